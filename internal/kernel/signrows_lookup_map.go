package kernel

import "unsafe"

// The map of lookupRows is padded and has paired nibbles, with space behind it for runs that are longer than a window.

func (e *lookupRows) mapWidth() int { return e.g.W + 2*e.g.Pad }

func (e *lookupRows) mapLen() int {
	n := (e.g.H+2*e.g.Pad)*e.mapWidth()*e.nibbles + 3*e.groups*len(e.runs)/e.windowRows() + e.nibbles
	return (n + 3) / 4
}

// roomLen has one pixel more, since a tile computes two.
func (e *lookupRows) roomLen() int { return (e.g.OutW() + 1) * lookupPanel / 4 }

// prepare writes the padded map of x, [H,W,Words(C)], to scratch.
func (e *lookupRows) prepare(scratch, x []uint64) {
	g, wd, n, pairs := e.g, Words(e.g.C), e.nibbles/4, scratch[:e.mapLen()]
	row := e.mapWidth() * n
	border := g.Pad * row
	clear(pairs[:border])
	clear(pairs[border+g.H*row:])
	for y := range g.H {
		e.pairRow(pairs[border+y*row+g.Pad*n:], x[y*g.W*wd:])
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
func (e *lookupRows) pairRow(out, x []uint64) {
	g, wd, n := e.g, Words(e.g.C), e.nibbles/4
	ahead := g.Stride * wd
	kernel, perStep := e.k.pair[min(n/2, 2)], max(1, 4/n)
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
