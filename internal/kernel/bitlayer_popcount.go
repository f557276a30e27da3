package kernel

import (
	"encoding/binary"
	"unsafe"
)

// popcountBits is a BitLayer by popcountKernels whose counts never leave the registers: they are compared there with limits
// of their own for each class of pixels. It does what has no channel tile, for whole vectors of filters.
//
// A flipped channel has its filter negated instead, since with that count < limit is -count > -limit. The starts of its
// signRows are the limits that the sums over a window must be above.
type popcountBits struct {
	s *signRows
	e *popcountRows
}

// newPopcountBits prepares l, nil if it is not for popcountBits.
func newPopcountBits(l *BitLayer) *popcountBits {
	g := l.f.g
	if l.f.rows == nil || len(l.limits) != g.K || g.K%popcountLanes != 0 {
		return nil
	}
	e, ok := l.f.rows.engine.(*popcountRows)
	if !ok {
		return nil
	}
	s := e.k.planRows(g, g.OutH())
	b := &popcountBits{s: s, e: s.engine.(*popcountRows)}
	s.arrange(l.negated())
	for i, limit := range l.limits {
		if l.flipped(i) {
			limit = 1 - max(limit, -1<<30) // which is beyond the counts
		}
		for _, starts := range s.starts {
			for c := i; c < len(starts)/4; c += s.lanes {
				start := int32(binary.LittleEndian.Uint32(starts[4*c:]))
				s.k.put(starts, c, s.limit(limit)-int(start)-1)
			}
		}
	}
	return b
}

// flipped reports whether the bit of channel i is flipped.
func (l *BitLayer) flipped(i int) bool {
	return l.flip != nil && l.flip[i/WordBits]>>(i%WordBits)&1 != 0
}

// negated returns the filters, with those of flipped channels negated.
func (l *BitLayer) negated() []uint64 {
	g := l.f.g
	words := make([]uint64, len(l.f.words))
	copy(words, l.f.words)
	wd := Words(g.GroupC())
	for i := range words {
		if !l.flipped(i / (g.Kernel * g.Kernel * wd)) {
			continue
		}
		channels := min(WordBits, g.GroupC()-i%wd*WordBits)
		words[i] ^= ^uint64(0) >> (WordBits - channels)
	}
	return words
}

func (b *popcountBits) scratch() int { return b.e.mapLen() }

// convolve is BitLayer.Convolve.
func (b *popcountBits) convolve(dst, x, scratch []uint64) {
	s, e, g := b.s, b.e, b.e.g
	e.prepare(scratch, x)
	ow, wd := g.OutW(), Words(g.K)
	line := g.Stride * e.mapWidth()
	for first := 0; first < s.lanes; first += s.panel {
		tiles, lowest := e.tilesFor(s.panelAt(first)), 0
		if first%WordBits == 0 {
			lowest = 1
		}
		for i := range s.blocks {
			block := &s.blocks[i]
			out := unsafe.Add(unsafe.Pointer(&dst[block.y*ow*wd]), first/8)
			limits := (*int32)(unsafe.Pointer(&s.starts[block.starts][4*first]))
			lines := block.pixels / ow
			if e.five {
				m, zip := e.maps16(scratch, block)
				e.k.bits16((*uint16)(out), limits, &s.columns[0], m, zip, &e.w[first*e.window()], ow, e.mapWidth(), g.Stride, 4*wd, lines, line, 4*ow*wd, lowest)
				continue
			}
			at, w, rows := e.inside(block, first)
			for _, sg := range e.segments {
				tiles[sg.tile].bits((*uint16)(unsafe.Add(out, 8*sg.z*wd)), limits, &s.columns[sg.z], wordAt(scratch, at+sg.z*g.Stride*e.words), w,
					sg.blocks, rows, g.Kernel*e.words, e.mapWidth()*e.words, g.Stride*e.words, 4*wd, lines, line*e.words, 4*ow*wd, lowest)
			}
		}
	}
}
