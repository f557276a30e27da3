package kernel

import "unsafe"

// The scratch holds a padded map of paired nibbles, with room behind it for runs that are longer than a window, and one
// block of rows of counts of a panel.

func (f *lookupFilters) mapWidth() int { return f.g.W + 2*f.g.Pad }

func (f *lookupFilters) mapLen() int { // in uint64
	n := (f.g.H+2*f.g.Pad)*f.mapWidth()*f.nibbles + 3*f.groups*len(f.runs)/f.windowRows() + f.nibbles
	return (n + 3) / 4
}

func (f *lookupFilters) scratch() int { return f.mapLen() + (f.g.OutW()+1)*lookupPanel/4 }

// prepare writes the padded map of x, [H,W,Words(C)], to scratch.
func (f *lookupFilters) prepare(scratch []uint64, x []uint64) {
	g, wd, n, pairs := f.g, Words(f.g.C), f.nibbles/4, scratch[:f.mapLen()]
	row := f.mapWidth() * n
	border := g.Pad * row
	clear(pairs[:border])
	clear(pairs[border+g.H*row:])
	for y := range g.H {
		f.pairRow(pairs[border+y*row+g.Pad*n:], x[y*g.W*wd:])
	}
	// The edges: a pixel beside the image has no bits.
	const second = 0x0f00_0f00_0f00_0f00
	for y := range g.H {
		out := pairs[border+y*row:][:row]
		for z := range g.Pad {
			left, right := out[z*n:][:n], out[(g.Pad+g.W+z)*n:][:n]
			clear(right)
			if z+g.Stride < g.Pad || z+g.Stride >= g.Pad+g.W {
				clear(left)
				continue
			}
			for i, v := range out[(z+g.Stride)*n:][:n] {
				left[i] = v << 4 & second
			}
		}
		for z := max(0, g.W-g.Stride); z < g.W; z++ {
			for i := range n {
				out[(g.Pad+z)*n+i] &= second >> 4
			}
		}
	}
}

// pairRow writes the paired nibbles of the first W pixels of x, which runs to the end of the map; those of the last Stride
// pixels pair with pixels beyond the row. It may write behind the row too.
func (f *lookupFilters) pairRow(out, x []uint64) {
	g, wd, n := f.g, Words(f.g.C), f.nibbles/4
	ahead := g.Stride * wd
	kernel, perStep := f.k.pair[min(n/2, 2)], max(1, 4/n)
	// A step reads perStep words at its place and ahead.
	steps := (g.W*wd + perStep - 1) / perStep
	steps = min(steps, (len(x)-ahead)/perStep)
	done := 0
	if steps > 0 {
		kernel((*uint16)(unsafe.Pointer(&out[0])), &x[0], &x[ahead], steps)
		done = steps * perStep
	}
	perWord := min(n, 4)
	for i := done; i < g.W*wd; i++ {
		var next uint64
		if i+ahead < len(x) {
			next = x[i+ahead]
		}
		for j := range perWord {
			var v uint64
			for e := range 4 {
				nibble := 4 * (4*j + e)
				v |= (x[i]>>nibble&15<<4 | next>>nibble&15<<8) << (16 * e)
			}
			out[i*perWord+j] = v
		}
	}
}
