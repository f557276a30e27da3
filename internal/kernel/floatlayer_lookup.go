package kernel

import (
	"math"
	"unsafe"
)

// lookupFloats is a FloatLayer on a tier with lookupKernels.
type lookupFloats struct {
	f           *lookupFilters
	scale, bias []float32
	clip        float32
	factor      int
	spread      []spreadOrder // nil where rows of counts are taken as they are
}

// newLookupFloats prepares l, nil if its tier has no kernels for it.
func newLookupFloats(l *FloatLayer) *lookupFloats {
	f := l.f.lookup
	if f == nil {
		return nil
	}
	b := &lookupFloats{f: f, scale: l.scale, bias: l.bias, clip: float32(math.Inf(1)), factor: len(l.scale) / f.g.K}
	if l.clip {
		b.clip = 1
	}
	if f.g.K%spreadLanes != 0 || l.interleave && b.factor > 1 {
		if b.spread = f.spreads(b.factor, l.interleave); b.spread == nil {
			return nil
		}
	}
	return b
}

// scratch is that of the filters, a row that is spread, and a row of floats for calls without dst.
func (b *lookupFloats) scratch() int {
	return b.f.scratch() + b.f.spreadScratch() + (b.f.g.OutW()*len(b.scale)+1)/2
}

// floatMaps are the maps of one call.
type floatMaps struct {
	dst, shortcut []float32 // or nil
	signs         []uint64  // or nil
	row           []float32 // room for a row of dst
}

// convolve is FloatLayer.Convolve.
func (b *lookupFloats) convolve(dst []float32, signs, x []uint64, shortcut []float32, scratch []uint64) {
	f, k := b.f, b.f.g.K
	f.prepare(scratch, x)
	counts := f.counts(scratch)
	room := scratch[f.scratch()+f.spreadScratch():]
	m := &floatMaps{dst, shortcut, signs, unsafe.Slice((*float32)(unsafe.Pointer(&room[0])), 2*len(room))}
	if len(b.scale)%WordBits != 0 {
		clear(signs)
	}
	for first := 0; first < f.lanes; first += lookupPanel {
		n := min(lookupPanel, k-first)
		for _, block := range f.blocks {
			f.run(counts, scratch, block, first)
			for j := block.done; j < f.rows; j++ {
				row := counts[j*k:]
				if b.spread != nil {
					b.spreadRow(m, row, scratch, block.y+j, first*b.factor, n*b.factor, f.panel(first))
					continue
				}
				for at := first; at < len(b.scale); at += k {
					b.write(m, row, block.y+j, at, n, f.panel(first))
				}
			}
		}
	}
}

// spreadRow writes n channels of output row y, from channel at on, of counts that are to be spread.
func (b *lookupFloats) spreadRow(m *floatMaps, counts []int16, scratch []uint64, y, at, n, panel int) {
	room := b.f.spreadRoom(scratch)
	for end := at + n; at < end; at += lookupPanel {
		part := min(lookupPanel, end-at)
		b.f.spreadRow(room, counts, b.spread[at/spreadLanes:(at+part)/spreadLanes], panel)
		b.write(m, room, y, at, part, lookupPanel)
	}
}

// write writes n channels, a multiple of 8, of output row y, from channel at on, of counts that are panel elements apart.
func (b *lookupFloats) write(m *floatMaps, counts []int16, y, at, n, panel int) {
	ow, wide := b.f.g.OutW(), len(b.scale)
	wd := Words(wide)
	for i := 0; i < n; {
		kernels, lanes := &b.f.k.floats[0], 16
		if n-i < lanes {
			kernels, lanes = &b.f.k.floats[1], 8
		}
		var add, signs int
		out, shortcut, bits := &m.row[0], (*float32)(nil), (*uint8)(nil)
		if m.dst != nil {
			out = &m.dst[y*ow*wide+at+i]
		}
		if m.shortcut != nil {
			add, shortcut = 1, &m.shortcut[y*ow*wide+at+i]
		}
		if m.signs != nil {
			signs, bits = 1, (*uint8)(unsafe.Add(unsafe.Pointer(&m.signs[y*ow*wd]), (at+i)/8))
		}
		kernels[add][signs](out, shortcut, bits, &counts[i], &b.scale[at+i], &b.bias[at+i], b.clip, ow, wide, 8*wd, panel)
		i += lanes
	}
}
