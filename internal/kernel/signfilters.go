package kernel

import (
	"math/bits"
	"unsafe"
)

// SignFilters are the packed signs of a convolution's filters, prepared for the active tier. They serve any number of
// goroutines between two calls of Pack.
type SignFilters struct {
	g     Geometry
	words []uint64 // [K,R,S,Words(C/G)], what BinConv takes
	// Tiles: filters side by side, and what padding would add to the counts where a window reaches over the border.
	lanes           []uint32  // [ceil(K/16),R,S,W32,16]
	rows, columns   []int     // by output row and column: its class, taps of equal validity
	rowOf, columnOf []span    // by class: the valid taps
	excess          [][]int32 // by class of row and of column: [K], nil where no tap is outside
	lookup          *lookupFilters
}

type span struct{ first, end int }

// words32 is the number of 32-bit words that hold the channels of one pixel in tiles.
func words32(g Geometry) int {
	if g.C <= 32 {
		return 1
	}
	return 2 * Words(g.C)
}

// tilesSigns reports whether the active tier has tiles for g.
func tilesSigns(g Geometry) bool {
	return active.binConv[0].run != nil && g.Groups == 1 && (g.K%16 == 0 || g.K < 16)
}

// NewSignFilters allocates filters for g.
func NewSignFilters(g Geometry) *SignFilters {
	g.Check()
	f := &SignFilters{g: g, words: make([]uint64, g.FilterWords()), lookup: newLookup(g)}
	if !tilesSigns(g) {
		return f
	}
	f.lanes = make([]uint32, (g.K+15)/16*g.Kernel*g.Kernel*words32(g)*16)
	f.rows, f.rowOf = classes(g.OutH(), g.H, g)
	f.columns, f.columnOf = classes(g.OutW(), g.W, g)
	f.excess = make([][]int32, len(f.rowOf)*len(f.columnOf))
	for i := range f.excess {
		r, c := f.rowOf[i/len(f.columnOf)], f.columnOf[i%len(f.columnOf)]
		if r.end-r.first < g.Kernel || c.end-c.first < g.Kernel {
			f.excess[i] = make([]int32, g.K)
		}
	}
	return f
}

// classes groups the output positions of one axis by their valid taps.
func classes(n, extent int, g Geometry) (of []int, list []span) {
	of = make([]int, n)
	for o := range of {
		var s span
		s.first, s.end = taps(o, g.Stride, g.Pad, g.Kernel, extent)
		of[o] = -1
		for i, have := range list {
			if have == s {
				of[o] = i
			}
		}
		if of[o] < 0 {
			of[o] = len(list)
			list = append(list, s)
		}
	}
	return of, list
}

// Pack takes over the signs of w, [K,C/G,R,S] in PyTorch's order.
func (f *SignFilters) Pack(w []float32) {
	PackFilters(f.words, w, f.g)
	f.arrange()
}

// Load takes over filters that are packed, [K,R,S,Words(C/G)] as PackFilters packs them.
func (f *SignFilters) Load(words []uint64) {
	checkLen("Load", "words", len(words), len(f.words))
	copy(f.words, words)
	f.arrange()
}

// Kernel names what Convolve runs.
func (f *SignFilters) Kernel() string {
	switch {
	case f.lookup != nil:
		return "lookup"
	case f.lanes != nil:
		return "vpopcntd"
	}
	return "popcount"
}

// Spare returns the capacity beyond its length that Convolve's dst needs to be fast.
func (f *SignFilters) Spare() int {
	if f.lanes == nil || f.g.K%16 == 0 {
		return 0
	}
	return 16 - f.g.K%16
}

// arrange makes the tiles of the packed words.
func (f *SignFilters) arrange() {
	g := f.g
	if f.lookup != nil {
		f.lookup.arrange(f.words)
		return
	}
	if f.lanes == nil {
		return
	}
	wd, w32, rs := Words(g.C), words32(g), g.Kernel*g.Kernel
	for k := range g.K {
		for t := range rs {
			for i := range w32 {
				word := uint32(f.words[(k*rs+t)*wd+i/2] >> (32 * (i % 2)))
				f.lanes[((k/16*rs+t)*w32+i)*16+k%16] = word
			}
		}
	}
	for i, e := range f.excess {
		if e == nil {
			continue
		}
		r, c := f.rowOf[i/len(f.columnOf)], f.columnOf[i%len(f.columnOf)]
		for k := range e {
			// A padded tap has all bits clear: it adds C - 2·popcount(w).
			e[k] = 0
			for t := range rs {
				if y, z := t/g.Kernel, t%g.Kernel; y >= r.first && y < r.end && z >= c.first && z < c.end {
					continue
				}
				set := 0
				for _, word := range f.words[(k*rs+t)*wd : (k*rs+t+1)*wd] {
					set += bits.OnesCount64(word)
				}
				e[k] += int32(g.C - 2*set)
			}
		}
	}
}

// Scratch returns the elements that Convolve needs as scratch.
func (f *SignFilters) Scratch() int {
	switch g := f.g; {
	case f.lookup != nil:
		return f.lookup.scratch()
	case f.lanes != nil:
		return ((g.H+2*g.Pad)*(g.W+2*g.Pad)*words32(g) + 1) / 2
	}
	return 0
}

// Convolve is BinConv with these filters. scratch has at least Scratch elements, whose values neither matter nor
// survive. It is fast only where dst has Spare elements of capacity beyond its length, whose values do not survive either.
func (f *SignFilters) Convolve(dst []int32, x, scratch []uint64) {
	g := f.g
	if f.lookup != nil {
		checkLen("Convolve", "dst", len(dst), g.OutLen())
		checkLen("Convolve", "x", len(x), g.InWords())
		checkLen("Convolve", "scratch", min(len(scratch), f.Scratch()), f.Scratch())
		f.lookup.convolve(dst, x, scratch)
		return
	}
	if f.lanes == nil || cap(dst) < len(dst)+f.Spare() {
		BinConv(dst, x, f.words, g)
		return
	}
	checkLen("Convolve", "dst", len(dst), g.OutLen())
	checkLen("Convolve", "x", len(x), g.InWords())
	checkLen("Convolve", "scratch", min(len(scratch), f.Scratch()), f.Scratch())
	w32, pw := words32(g), g.W+2*g.Pad
	padded := unsafe.Slice((*uint32)(unsafe.Pointer(&scratch[0])), 2*len(scratch))[:(g.H+2*g.Pad)*pw*w32]
	clear(padded)
	for y := range g.H {
		row := padded[((y+g.Pad)*pw+g.Pad)*w32:][:g.W*w32]
		in := x[y*g.W*Words(g.C):][:g.W*Words(g.C)]
		if w32 == 1 {
			for i := range row {
				row[i] = uint32(in[i])
			}
			continue
		}
		for i, word := range in {
			row[2*i], row[2*i+1] = uint32(word), uint32(word>>32)
		}
	}
	oh, ow, rs := g.OutH(), g.OutW(), g.Kernel*g.Kernel
	wide := dst[:len(dst)+f.Spare()]
	for first := 0; first < g.K; first += 16 {
		filters := &f.lanes[first/16*rs*w32*16]
		for y := range oh {
			for z := 0; z < ow; {
				tile := active.binConvTile(ow - z)
				blocks := (ow - z) / tile.pixels
				tile.run(&wide[(y*ow+z)*g.K+first], &padded[(y*g.Stride*pw+z*g.Stride)*w32], filters, blocks, g.Kernel, g.Kernel*w32,
					pw*w32, g.Stride*w32, g.K, rs*g.C)
				z += blocks * tile.pixels
			}
		}
	}
	for y := range oh {
		for z := range ow {
			if e := f.excess[f.rows[y]*len(f.columnOf)+f.columns[z]]; e != nil {
				out := dst[(y*ow+z)*g.K:][:len(e)]
				for k, v := range e {
					out[k] -= v
				}
			}
		}
	}
}
