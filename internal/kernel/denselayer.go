package kernel

import "unsafe"

// DenseLayer is Linear with weights prepared for the active tier. It serves any number of goroutines.
type DenseLayer struct {
	in, out int
	w, bias []float32 // [out,in], [out]; with kernels [in,wide], [wide]
	wide    int       // outputs rounded up to whole vectors; 0 without kernels
}

// denseKernel is dst[o] = bias[o] + sum over i < depth of w[i*wStep+o]*x[i], in ascending order, from 0, the bias last, for
// some outputs o.
type denseKernel struct {
	outputs int
	run     func(dst, x, w, bias *float32, depth, wStep int)
}

// NewDenseLayer prepares w, [Out,In], and bias, [Out], which must not change.
func NewDenseLayer(w, bias []float32) *DenseLayer {
	l := &DenseLayer{in: len(w) / len(bias), out: len(bias), w: w, bias: bias}
	checkLen("NewDenseLayer", "w", len(w), l.in*l.out)
	if active.device.dense == nil {
		return l
	}
	lanes := active.device.dense[len(active.device.dense)-1].outputs
	l.wide = (l.out + lanes - 1) / lanes * lanes
	l.w, l.bias = make([]float32, l.in*l.wide), make([]float32, l.wide)
	copy(l.bias, bias)
	for o := range l.out {
		for i := range l.in {
			l.w[i*l.wide+o] = w[o*l.in+i]
		}
	}
	return l
}

// Kernel names what Apply runs.
func (l *DenseLayer) Kernel() string {
	if l.wide == 0 {
		return Generic
	}
	return active.name
}

// Scratch returns the elements that Apply needs as scratch.
func (l *DenseLayer) Scratch() int { return (l.wide + 1) / 2 }

// Apply computes dst, [Out], from x, [In]. scratch has at least Scratch elements, whose values neither matter nor survive.
func (l *DenseLayer) Apply(dst, x []float32, scratch []uint64) {
	checkLen("Apply", "dst", len(dst), l.out)
	checkLen("Apply", "x", len(x), l.in)
	if l.wide == 0 {
		Linear(dst, x, l.w, l.bias)
		return
	}
	checkLen("Apply", "scratch", min(len(scratch), l.Scratch()), l.Scratch())
	out := unsafe.Slice((*float32)(unsafe.Pointer(&scratch[0])), l.wide)
	for o := 0; o < l.wide; {
		k := &active.device.dense[0]
		for i := 1; k.outputs > l.wide-o; i++ {
			k = &active.device.dense[i]
		}
		k.run(&out[o], &x[0], &l.w[o], &l.bias[o], l.in, l.wide)
		o += k.outputs
	}
	copy(dst, out)
}
