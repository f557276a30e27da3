package kernel

import "math"

// lookupBits is a BitLayer on a tier with lookupKernels.
type lookupBits struct {
	f      *lookupFilters
	wide   int
	spread []spreadOrder // nil where rows of counts are taken as they are
	parts  []bitPart     // by panel
}

// bitPart is some bits of one word of each pixel: those of the counts from right on, at the bits from left on, as many as
// keep has.
type bitPart struct {
	panel            int     // first filter of the panel that they come from
	orders           int     // with spread: the first of the orders of up to 64 channels that they are among
	limits           []int16 // of all counts beside one another
	word             int
	right, left      uint64
	keep, old, flips uint64 // old are the bits of the word that were written before
}

// newLookupBits prepares l, nil if its tier has no kernels for it.
func newLookupBits(l *BitLayer) *lookupBits {
	f := l.f.lookup
	if f == nil {
		return nil
	}
	b := &lookupBits{f: f, wide: len(l.limits)}
	factor := b.wide / f.g.K
	if l.interleave && factor > 1 {
		if b.spread = f.spreads(factor, true); b.spread == nil {
			return nil
		}
	}
	written := make([]uint64, Words(b.wide))
	for first := 0; first < f.lanes; first += lookupPanel {
		n := min(lookupPanel, f.g.K-first)
		if b.spread != nil {
			for j := first * factor; j < (first+n)*factor; j += lookupPanel {
				limits := narrowLimits(l.limits[j:min(j+lookupPanel, (first+n)*factor)], 1, lookupPanel)
				p := bitPart{panel: first, orders: j / spreadLanes, limits: limits}
				b.add(p, l, written, j, min(lookupPanel, (first+n)*factor-j))
			}
			continue
		}
		for j := first; j < b.wide; j += f.g.K {
			p := bitPart{panel: first, limits: narrowLimits(l.limits[j:j+n], f.rows, f.panel(first))}
			b.add(p, l, written, j, n)
		}
	}
	return b
}

// add appends the parts of p for the bits of channels [j,j+n), one for each word.
func (b *lookupBits) add(p bitPart, l *BitLayer, written []uint64, j, n int) {
	for at := j; at < j+n; {
		end := min(j+n, (at/WordBits+1)*WordBits)
		p.word, p.right, p.left = at/WordBits, uint64(at-j), uint64(at%WordBits)
		p.keep = ^uint64(0) >> (WordBits - (end - at))
		bits := p.keep << p.left
		p.old = written[p.word]
		written[p.word] |= bits
		if p.flips = 0; l.flip != nil {
			p.flips = l.flip[p.word] & bits
		}
		b.parts = append(b.parts, p)
		at = end
	}
}

// narrowLimits returns limits rows times over, for n counts of int16. No count is below the limits behind them.
func narrowLimits(limits []int32, rows, n int) []int16 {
	narrow := make([]int16, n)
	for i := range narrow {
		narrow[i] = math.MinInt16
		if i < rows*len(limits) {
			narrow[i] = int16(max(math.MinInt16, min(math.MaxInt16, limits[i%len(limits)])))
		}
	}
	return narrow
}

func (b *lookupBits) scratch() int {
	if b.spread == nil {
		return b.f.scratch()
	}
	return b.f.scratch() + b.f.spreadScratch()
}

// convolve is BitLayer.Convolve.
func (b *lookupBits) convolve(dst, x, scratch []uint64) {
	f := b.f
	f.prepare(scratch, x)
	counts := f.counts(scratch)
	for parts := b.parts; len(parts) > 0; {
		n := 1 // of this panel
		for n < len(parts) && parts[n].panel == parts[0].panel {
			n++
		}
		for _, block := range f.blocks {
			f.run(counts, scratch, block, parts[0].panel)
			if b.spread != nil {
				b.spreadRows(dst, counts, scratch, parts[:n], block)
				continue
			}
			for i := range parts[:n] {
				b.write(dst, counts, &parts[i], block.y, f.rows, f.panel(parts[i].panel))
			}
		}
		parts = parts[n:]
	}
}

// spreadRows writes the parts of a panel for the rows of a block, one by one.
func (b *lookupBits) spreadRows(dst []uint64, counts []int16, scratch []uint64, parts []bitPart, block lookupBlock) {
	f := b.f
	room := f.spreadRoom(scratch)
	for j := range f.rows {
		for i := range parts {
			p := &parts[i]
			orders := b.spread[p.orders:min(p.orders+lookupPanel/spreadLanes, len(b.spread))]
			if i == 0 || p.orders != parts[i-1].orders {
				f.spreadRow(room, counts[j*f.g.K:], orders, f.panel(p.panel))
			}
			b.write(dst, room, p, block.y+j, 1, lookupPanel)
		}
	}
}

// write writes a part of rows output rows from y on, from counts that are panel elements apart.
func (b *lookupBits) write(dst []uint64, counts []int16, p *bitPart, y, rows, panel int) {
	wd, ow := Words(b.wide), b.f.g.OutW()
	kernel := b.f.k.thresholds[0]
	if panel == lookupLanes {
		kernel = b.f.k.thresholds[1]
	}
	kernel(&dst[y*ow*wd+p.word], &counts[0], &p.limits[0], ow, wd, rows, ow*wd, b.f.g.K, p.right, p.left, p.keep, p.old, p.flips)
}
