package kernel

// BitLayer is a 1-bit convolution whose counts become the bits of the next one's input, in one pass:
//
//	bit (y,z,j) of dst = (count (y,z,i) < limits[j]) xor bit j of flip
//
// over the len(limits) = factor·K channels j of a channel tile, where i is j mod K, or j/factor with interleave. It
// serves any number of goroutines.
type BitLayer struct {
	f          *SignFilters
	limits     []int32
	flip       []uint64 // nil flips nothing
	interleave bool
	fused      bitConvolver // nil in plain Go
}

// bitConvolver is a BitLayer in assembly.
type bitConvolver interface {
	scratch() int
	convolve(dst, x, scratch []uint64)
}

// NewBitLayer prepares the layer of f with limits, [factor·K], and flip, [Words(factor·K)] or nil. It keeps all three,
// which must not change.
func NewBitLayer(f *SignFilters, limits []int32, flip []uint64, interleave bool) *BitLayer {
	checkLen("NewBitLayer", "limits", len(limits)%f.g.K, 0)
	if flip != nil {
		checkLen("NewBitLayer", "flip", len(flip), Words(len(limits)))
	}
	l := &BitLayer{f: f, limits: limits, flip: flip, interleave: interleave}
	if b := newPopcountBits(l); b != nil {
		l.fused = b
	} else if b := newBitRows(l); b != nil {
		l.fused = b
	}
	return l
}

// Kernel names what Convolve runs.
func (l *BitLayer) Kernel() string { return l.f.Kernel() }

// Scratch returns the elements that Convolve needs as scratch.
func (l *BitLayer) Scratch() int {
	if l.fused != nil {
		return l.fused.scratch()
	}
	return l.f.Scratch() + countWords(l.f)
}

// Convolve computes dst, [OutH,OutW,Words(factor·K)], from x, [H,W,G,Words(C/G)]. scratch has at least Scratch elements,
// whose values neither matter nor survive. The slices must not overlap.
func (l *BitLayer) Convolve(dst, x, scratch []uint64) {
	g := l.f.g
	checkLen("Convolve", "dst", len(dst), g.OutH()*g.OutW()*Words(len(l.limits)))
	checkLen("Convolve", "x", len(x), g.InWords())
	checkLen("Convolve", "scratch", min(len(scratch), l.Scratch()), l.Scratch())
	if l.fused != nil {
		l.fused.convolve(dst, x, scratch)
		return
	}
	counts, rest := takeCounts(l.f, scratch)
	l.f.Convolve(counts, x, rest)
	ThresholdCounts(dst, counts, l.limits, l.flip, g.K, l.interleave)
}

// ThresholdCounts is, over the pixels p,
//
//	bit (p,j) of dst = (src[p,i] < limits[j]) xor bit j of flip
//
// where src has n channels, limits has factor·n, and i is j mod n, or j/factor with interleave. dst is
// [pixels,Words(factor·n)], flip is [Words(factor·n)] or nil.
func ThresholdCounts[T int16 | int32](dst []uint64, src []T, limits []int32, flip []uint64, n int, interleave bool) {
	wd, factor := Words(len(limits)), len(limits)/n
	checkLen("ThresholdCounts", "limits", len(limits), n*factor)
	checkLen("ThresholdCounts", "dst", len(dst), len(src)/n*wd)
	for p := 0; p*n < len(src); p++ {
		in, out := src[p*n:(p+1)*n], dst[p*wd:(p+1)*wd]
		i, copies := 0, factor
		for w := range out {
			part := limits[w*WordBits : min((w+1)*WordBits, len(limits))]
			var word uint64
			for b, limit := range part {
				// The difference is negative in 64 bits where the count is below the limit.
				word |= uint64(int64(in[i])-int64(limit)) >> 63 << (b & (WordBits - 1))
				if copies--; copies == 0 || !interleave {
					copies, i = factor, i+1
				}
				if i == n {
					i = 0
				}
			}
			if flip != nil {
				word ^= flip[w]
			}
			out[w] = word
		}
	}
}
