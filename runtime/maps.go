package runtime

import (
	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// sources returns for each output channel of op, which has n input channels, the input channel that it reads: j mod n,
// or j/f with Interleave.
func sources(n int, op *artifact.Op) []int32 {
	f := op.FactorCount()
	from := make([]int32, n*f)
	for j := range from {
		if op.Interleave {
			from[j] = int32(j / f)
		} else {
			from[j] = int32(j % n)
		}
	}
	return from
}

// gather is dst[p,j] = src[p,from[j]] over the pixels p.
func gather(dst, src []float32, from []int32, pixels int) {
	n, wide := len(src)/pixels, len(from)
	for p := range pixels {
		in, out := src[p*n:(p+1)*n], dst[p*wide:(p+1)*wide]
		for j, i := range from {
			out[j] = in[i]
		}
	}
}

// copyChannels is dst[p,first+i] = src[p,i] over the pixels p, where src has n channels, dst has wide, and i runs over
// what both have.
func copyChannels(dst, src []float32, n, wide, first int) {
	for p := 0; p*n < len(src); p++ {
		copy(dst[p*wide+first:(p+1)*wide], src[p*n:(p+1)*n])
	}
}

// padChannels is copyChannels with zeros in the other channels.
func padChannels(dst, src []float32, n, wide, first int) {
	clear(dst)
	copyChannels(dst, src, n, wide, first)
}

// packCounts is kernel.PackSigns of counts: src is [rows,c], dst is [rows,Words(c)].
func packCounts(dst []uint64, src []int32, rows, c int) {
	w := 0
	for row := range rows {
		in := src[row*c : (row+1)*c]
		for len(in) > 0 {
			part := in[:min(kernel.WordBits, len(in))]
			in = in[len(part):]
			var word uint64
			for k, v := range part {
				word |= uint64(uint32(v)>>31) << (k & 63)
			}
			dst[w] = word
			w++
		}
	}
}

// thresholdCounts is, over the pixels p and with C = len(limits),
//
//	bit (p,j) of dst = (src[p,from[j]] < limits[j]) xor bit j of flip
//
// src is [pixels,n]; dst is [pixels,groups,Words(C/groups)] and flip, unless nil, is [groups,Words(C/groups)]: each
// group of channels starts a word.
func thresholdCounts(dst []uint64, src, limits []int32, flip []uint64, from []int32, n, groups int) {
	c := len(limits) / groups
	from = from[:len(limits)]
	perPixel := groups * kernel.Words(c)
	for p := 0; p*n < len(src); p++ {
		in, out := src[p*n:(p+1)*n], dst[p*perPixel:(p+1)*perPixel]
		w := 0
		for j := 0; j < len(limits); w++ {
			end := min(j+kernel.WordBits, (j/c+1)*c)
			var word uint64
			for k := 0; j < end; k++ {
				// The difference of two int32 is negative in 64 bits where in < limit.
				word |= uint64(int64(in[from[j]])-int64(limits[j])) >> 63 << (k & 63)
				j++
			}
			out[w] = word
		}
		for i, f := range flip {
			out[i] ^= f
		}
	}
}

// regroup returns the bits of v, [Words(c)], as [groups,Words(c/groups)]; nil for nil.
func regroup(v []uint64, c, groups int) []uint64 {
	if v == nil || groups == 1 {
		return v
	}
	per := c / groups
	words := kernel.Words(per)
	out := make([]uint64, groups*words)
	for j := range c {
		bit := v[j/kernel.WordBits] >> (j % kernel.WordBits) & 1
		i := j % per
		out[j/per*words+i/kernel.WordBits] |= bit << (i % kernel.WordBits)
	}
	return out
}
