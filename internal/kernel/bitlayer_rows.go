package kernel

// bitRows is a BitLayer by signRows.
type bitRows struct {
	s      *signRows
	wide   int
	spread []spreadOrder // nil where rows are taken as they are
	parts  []bitPart     // by panel
}

// bitPart is some bits of one word of each pixel: those of a panel from right on, at the bits from left on, as many as keep
// has.
type bitPart struct {
	first            int    // filter of the panel that they come from
	orders           int    // with spread: the first of the orders of up to 64 channels that they are among
	limits           []byte // of all values side by side
	word             int
	right, left      uint64
	keep, old, flips uint64 // old are the bits of the word that were written before
}

// newBitRows prepares l, nil if its tier has no kernels for it.
func newBitRows(l *BitLayer) *bitRows {
	s := l.f.rows
	if s == nil {
		return nil
	}
	b := &bitRows{s: s, wide: len(l.limits)}
	k := s.g.K
	factor := b.wide / k
	if l.interleave && factor > 1 {
		if b.spread = s.spreads(factor, true); b.spread == nil {
			return nil
		}
	}
	written := make([]uint64, Words(b.wide))
	for first := 0; first < s.lanes; first += s.panel {
		n := min(s.panel, k-first)
		if b.spread != nil {
			for j := first * factor; j < (first+n)*factor; j += spreadPanel {
				channels := min(spreadPanel, (first+n)*factor-j)
				b.add(l, written, bitPart{first: first, orders: j / spreadLanes, limits: b.limits(l.limits[j:j+channels], 1, spreadPanel)}, j, channels)
			}
			continue
		}
		for j := first; j < b.wide; j += k {
			b.add(l, written, bitPart{first: first, limits: b.limits(l.limits[j:j+n], s.blocks[0].rows, s.panelAt(first))}, j, n)
		}
	}
	return b
}

// limits returns the limits of d for limits, rows times over, with room for n values.
func (b *bitRows) limits(limits []int32, rows, n int) []byte {
	out := make([]byte, b.s.k.size*n)
	for i := range min(n, rows*len(limits)) {
		b.s.k.put(out, i, b.s.limit(limits[i%len(limits)]))
	}
	return out
}

// add appends the parts of p for the bits of channels [j,j+n), one for each word.
func (b *bitRows) add(l *BitLayer, written []uint64, p bitPart, j, n int) {
	for at := j; at < j+n; {
		end := min(j+n, (at/WordBits+1)*WordBits)
		p.word, p.right, p.left = at/WordBits, uint64(at-j), uint64(at%WordBits)
		p.keep = ^uint64(0) >> (WordBits - (end - at))
		bits := p.keep << p.left
		p.old = written[p.word]
		written[p.word] |= bits
		p.flips = bits // a bit is set where d is not below its limit
		if l.flip != nil {
			p.flips &^= l.flip[p.word]
		}
		b.parts = append(b.parts, p)
		at = end
	}
}

func (b *bitRows) scratch() int {
	if b.spread == nil {
		return b.s.scratch()
	}
	return b.s.scratch() + b.s.spreadLen()
}

// convolve is BitLayer.Convolve.
func (b *bitRows) convolve(dst, x, scratch []uint64) {
	s := b.s
	s.engine.prepare(scratch, x)
	room := s.room(scratch)
	for parts := b.parts; len(parts) > 0; {
		n := 1 // of this panel
		for n < len(parts) && parts[n].first == parts[0].first {
			n++
		}
		for i := range s.blocks {
			block := &s.blocks[i]
			s.engine.run(scratch, block, parts[0].first)
			if b.spread != nil {
				b.spreadRows(dst, scratch, parts[:n], block)
				continue
			}
			for i := range parts[:n] {
				b.write(dst, room, &parts[i], block.y, block.rows, block.pixels, s.panelAt(parts[i].first))
			}
		}
		parts = parts[n:]
	}
}

// spreadRows writes the parts of a panel for the rows of a block, one by one.
func (b *bitRows) spreadRows(dst, scratch []uint64, parts []bitPart, block *rowBlock) {
	s := b.s
	spread := scratch[s.scratch():]
	for j := range block.rows {
		for i := range parts {
			p := &parts[i]
			if i == 0 || p.orders != parts[i-1].orders {
				orders := b.spread[p.orders:min(p.orders+spreadPanel/spreadLanes, len(b.spread))]
				s.spreadRow(spread, s.room(scratch), j*s.g.K, orders, block.pixels, s.panelAt(p.first))
			}
			b.write(dst, spread, p, block.y+j, 1, block.pixels, spreadPanel)
		}
	}
}

// write writes a part of rows output rows from y on, from values that are panel apart.
func (b *bitRows) write(dst, d []uint64, p *bitPart, y, rows, pixels, panel int) {
	wd, ow := Words(b.wide), b.s.g.OutW()
	for i := range b.s.k.bits {
		if k := &b.s.k.bits[i]; k.panel == panel {
			k.run(&dst[y*ow*wd+p.word], b.s.k.at(d, 0), &p.limits[0], pixels, wd, rows, ow*wd, b.s.g.K, p.right, p.left, p.keep, p.old, p.flips)
			return
		}
	}
}
