package kernel

import "unsafe"

// FloatLayer is a 1-bit convolution with what follows its counts in one pass:
//
//	v = float32(scale[j]*float32(count (y,z,i))) + bias[j]
//	v = v + shortcut[y,z,j]                    with a shortcut
//	dst[y,z,j] = min(1, max(-1, v))            v itself without clip; NaN stays NaN
//	bit (y,z,j) of signs = dst[y,z,j] < 0
//
// over the len(scale) = factor·K channels j of a channel tile, where i is j mod K, or j/factor with interleave. It serves
// any number of goroutines.
type FloatLayer struct {
	f                *SignFilters
	scale, bias      []float32
	interleave, clip bool
	rows             *floatRows
}

// NewFloatLayer prepares the layer of f with scale and bias, [factor·K] each. It keeps all three, which must
// not change.
func NewFloatLayer(f *SignFilters, scale, bias []float32, interleave, clip bool) *FloatLayer {
	checkLen("NewFloatLayer", "scale", len(scale)%f.g.K, 0)
	checkLen("NewFloatLayer", "bias", len(bias), len(scale))
	l := &FloatLayer{f: f, scale: scale, bias: bias, interleave: interleave, clip: clip}
	l.rows = newFloatRows(l)
	return l
}

// Kernel names what Convolve runs.
func (l *FloatLayer) Kernel() string { return l.f.Kernel() }

// Scratch returns the elements that Convolve needs as scratch.
func (l *FloatLayer) Scratch() int {
	if l.rows != nil {
		return l.rows.scratch()
	}
	return l.f.Scratch() + countWords(l.f) + (l.f.g.OutH()*l.f.g.OutW()*len(l.scale)+1)/2
}

// Convolve computes dst, [OutH,OutW,factor·K], and signs, [OutH,OutW,Words(factor·K)], from x, [H,W,G,Words(C/G)], and
// shortcut, [OutH,OutW,factor·K]. dst, signs or shortcut may be nil, and dst may be shortcut; else the slices must not
// overlap. scratch has at least Scratch elements, whose values neither matter nor survive.
func (l *FloatLayer) Convolve(dst []float32, signs, x []uint64, shortcut []float32, scratch []uint64) {
	g, wide := l.f.g, len(l.scale)
	pixels := g.OutH() * g.OutW()
	checkLen("Convolve", "x", len(x), g.InWords())
	checkLen("Convolve", "scratch", min(len(scratch), l.Scratch()), l.Scratch())
	if dst != nil {
		checkLen("Convolve", "dst", len(dst), pixels*wide)
	}
	if shortcut != nil {
		checkLen("Convolve", "shortcut", len(shortcut), pixels*wide)
	}
	if signs != nil {
		checkLen("Convolve", "signs", len(signs), pixels*Words(wide))
	}
	if l.rows != nil {
		l.rows.convolve(dst, signs, x, shortcut, scratch)
		return
	}
	counts, rest := takeCounts(l.f, scratch)
	l.f.Convolve(counts, x, rest)
	y := dst
	if dst == nil || shortcut != nil { // which may be dst
		y = unsafe.Slice((*float32)(unsafe.Pointer(&rest[l.f.Scratch()])), pixels*wide)
	}
	AffineCounts(y, counts, l.scale, l.bias, wide/g.K, l.interleave)
	if dst == nil {
		dst = y
	}
	if shortcut != nil {
		Add(dst, y, shortcut)
	}
	if l.clip {
		Hardtanh(dst, dst)
	}
	if signs != nil {
		PackSigns(signs, dst, pixels, wide)
	}
}

// countWords returns the elements of scratch that hold the counts of f.
func countWords(f *SignFilters) int { return (f.g.OutLen() + 1) / 2 }

// takeCounts splits the counts of f off scratch.
func takeCounts(f *SignFilters, scratch []uint64) (counts []int32, rest []uint64) {
	n := countWords(f)
	return unsafe.Slice((*int32)(unsafe.Pointer(&scratch[0])), 2*n)[:f.g.OutLen()], scratch[n:]
}
