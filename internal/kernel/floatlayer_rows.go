package kernel

import (
	"math"
	"unsafe"
)

// floatRows is a FloatLayer by signRows.
type floatRows struct {
	s           *signRows
	scale, bias []float32
	clip        float32
	factor      int
	spread      []spreadOrder // nil where rows are taken as they are
}

// newFloatRows prepares l, nil if its tier has no kernels for it.
func newFloatRows(l *FloatLayer) *floatRows {
	s := l.f.rows
	if s == nil {
		return nil
	}
	b := &floatRows{s: s, scale: l.scale, bias: l.bias, clip: float32(math.Inf(1)), factor: len(l.scale) / s.g.K}
	if l.clip {
		b.clip = 1
	}
	if s.g.K%spreadLanes != 0 || l.interleave && b.factor > 1 {
		if b.spread = s.spreads(b.factor, l.interleave); b.spread == nil {
			return nil
		}
	}
	return b
}

// floatScratch is the elements that lie behind those of signRows: a spread row, and floats of the pixels of a block for
// calls without dst.
func (b *floatRows) floatScratch() (spread, floats int) {
	if b.spread != nil {
		spread = b.s.spreadLen()
	}
	for i := range b.s.blocks {
		floats = max(floats, (b.s.blocks[i].pixels*len(b.scale)+1)/2)
	}
	return spread, floats
}

func (b *floatRows) scratch() int {
	spread, floats := b.floatScratch()
	return b.s.scratch() + spread + floats
}

// floatCall is the maps of one call.
type floatCall struct {
	dst, shortcut []float32 // or nil
	signs         []uint64  // or nil
	room, spread  []uint64
	floats        []float32 // in place of dst
}

// convolve is FloatLayer.Convolve.
func (b *floatRows) convolve(dst []float32, signs, x []uint64, shortcut []float32, scratch []uint64) {
	s, k := b.s, b.s.g.K
	s.engine.prepare(scratch, x)
	spread, _ := b.floatScratch()
	rest := scratch[s.scratch():]
	c := &floatCall{dst: dst, shortcut: shortcut, signs: signs, room: s.room(scratch), spread: rest[:spread]}
	c.floats = unsafe.Slice((*float32)(unsafe.Pointer(&rest[spread])), 2*(len(rest)-spread))
	if len(b.scale)%WordBits != 0 {
		clear(signs)
	}
	for first := 0; first < s.lanes; first += s.panel {
		n := min(s.panel, k-first)
		for i := range s.blocks {
			block := &s.blocks[i]
			s.engine.run(scratch, block, first)
			for j := block.done; j < block.rows; j++ {
				if b.spread != nil {
					b.spreadRow(c, j*k, block.y+j, first*b.factor, n*b.factor, block.pixels, s.panelAt(first))
					continue
				}
				b.write(c, c.room, j*k, block.y+j, first, n, b.factor, block.pixels, s.panelAt(first))
			}
		}
	}
}

// spreadRow writes n channels, from channel on, of pixels from row y on. The values are those from at on in the room.
func (b *floatRows) spreadRow(c *floatCall, at, y, channel, n, pixels, panel int) {
	for end := channel + n; channel < end; channel += spreadPanel {
		part := min(spreadPanel, end-channel)
		b.s.spreadRow(c.spread, c.room, at, b.spread[channel/spreadLanes:(channel+part)/spreadLanes], pixels, panel)
		b.write(c, c.spread, 0, y, channel, part, 1, pixels, spreadPanel)
	}
}

// write writes n channels, a multiple of 8, from channel on, and as many from each K on from there for all copies, of
// pixels from row y on. The values are those from at on in d, panel apart.
func (b *floatRows) write(c *floatCall, d []uint64, at, y, channel, n, copies, pixels, panel int) {
	ow, wide := b.s.g.OutW(), len(b.scale)
	wd := Words(wide)
	for i := 0; i < n; {
		size, lanes := 0, 16
		if n-i < lanes {
			size, lanes = 1, 8
		}
		var add, signs int
		out, shortcut, bits := &c.floats[0], (*float32)(nil), (*uint8)(nil)
		if c.dst != nil {
			out = &c.dst[y*ow*wide+channel+i]
		}
		if c.shortcut != nil {
			add, shortcut = 1, &c.shortcut[y*ow*wide+channel+i]
		}
		if c.signs != nil {
			signs, bits = 1, (*uint8)(unsafe.Add(unsafe.Pointer(&c.signs[y*ow*wd]), (channel+i)/8))
		}
		from, scale, bias, full := b.s.k.at(d, at+i), &b.scale[channel+i], &b.bias[channel+i], float32(b.s.full())
		if copies == 1 {
			b.s.k.floats[size][add][signs](out, shortcut, bits, from, scale, bias, b.clip, full, pixels, wide, 8*wd, panel)
		} else {
			b.s.k.tile[size][add][signs](out, shortcut, bits, from, scale, bias, b.clip, full, pixels, copies, b.s.g.K, wide, 8*wd, panel)
		}
		i += lanes
	}
}
