package kernel

import (
	"math"
	"unsafe"
)

// minusZero changes nothing that it is added to.
var minusZero = float32(math.Copysign(0, -1))

// Activation is the passes between two layers, over each channel c of a map, in one:
//
//	u = float32(s1[c]*x) + b1[c];  u = u where u > 0, else float32(slope[c]*u)
//	y = float32(s2[c]*u) + b2[c]
//	bit c of signs = float32(s3[c]*y) + b3[c] < 0
//
// NaN is not positive. A missing scale or slope is 1 and a missing bias -0, which change nothing.
type Activation struct {
	S1, B1, Slope, S2, B2, S3, B3 []float32 // [C], nil: missing
}

// ActivationLayer is an Activation over maps of some channels, prepared for the active tier. The map comes in parts, which
// lie side by side in the result. It serves any number of goroutines.
type ActivationLayer struct {
	channels int
	parts    []activationPart
}

// activationPart is the activation of the channels [first,first+n), and its constants: for each vector of channels one
// vector of each of the seven.
type activationPart struct {
	first, n int
	kernel   *activationKernel // nil: plain Go, vectors of one channel
	params   []float32
}

// activationKernel computes, for vectors of some channels c and pixels p,
//
//	u = x[p*xPixel+c]*params[0] + params[1];  u = u where u > 0, else u*params[2]
//	dst[p*dstPixel+c] = v = u*params[3] + params[4]
//	bit c of the bytes from signs[p*signsPixel] on = v*params[5] + params[6] < 0, unless signs is nil
type activationKernel struct {
	channels int
	run      func(dst *float32, signs *uint8, x, params *float32, pixels, vectors, dstPixel, signsPixel, xPixel int)
}

// NewActivationLayer prepares a over parts of so many channels each.
func NewActivationLayer(a Activation, parts ...int) *ActivationLayer {
	l := &ActivationLayer{}
	for _, n := range parts {
		p := activationPart{first: l.channels, n: n}
		lanes := 1
		for i := range active.device.activation {
			// The bits of a vector are whole bytes of their own.
			if k := &active.device.activation[i]; n%k.channels == 0 && p.first%8 == 0 {
				p.kernel, lanes = k, k.channels
				break
			}
		}
		p.params = a.interleave(p.first, n, lanes)
		l.parts = append(l.parts, p)
		l.channels += n
	}
	return l
}

// interleave returns the constants of n channels from first on, in vectors of lanes.
func (a *Activation) interleave(first, n, lanes int) []float32 {
	out := make([]float32, 0, 7*n)
	for c := first; c < first+n; c += lanes {
		for i, v := range [][]float32{a.S1, a.B1, a.Slope, a.S2, a.B2, a.S3, a.B3} {
			for j := range lanes {
				switch {
				case v != nil:
					out = append(out, v[c+j])
				case i == 1 || i == 4 || i == 6:
					out = append(out, minusZero)
				default:
					out = append(out, 1)
				}
			}
		}
	}
	return out
}

// Kernel names what Apply runs.
func (l *ActivationLayer) Kernel() string {
	for _, p := range l.parts {
		if p.kernel == nil {
			return Generic
		}
	}
	return active.name
}

// Apply computes dst, [pixels,C], and signs, [pixels,Words(C)] or nil, from the parts of x, [pixels,n] each. dst may be x
// if there is one part.
func (l *ActivationLayer) Apply(dst []float32, signs []uint64, x ...[]float32) {
	pixels, wd := len(dst)/l.channels, Words(l.channels)
	checkLen("Apply", "parts", len(x), len(l.parts))
	checkLen("Apply", "dst", len(dst), pixels*l.channels)
	if signs != nil {
		checkLen("Apply", "signs", len(signs), pixels*wd)
		clear(signs)
	}
	for i, p := range l.parts {
		checkLen("Apply", "x", len(x[i]), pixels*p.n)
		if p.kernel == nil {
			p.compose(dst, signs, x[i], l.channels)
			continue
		}
		var bits *uint8
		var step int
		if signs != nil {
			bits, step = (*uint8)(unsafe.Add(unsafe.Pointer(&signs[0]), p.first/8)), 8*wd
		}
		p.kernel.run(&dst[p.first], bits, &x[i][0], &p.params[0], pixels, p.n/p.kernel.channels, l.channels, step, p.n)
	}
}

// compose is Apply of a part in plain Go; wide is the channels of dst.
func (p *activationPart) compose(dst []float32, signs []uint64, x []float32, wide int) {
	wd := Words(wide)
	for px := range len(x) / p.n {
		in, out := x[px*p.n:(px+1)*p.n], dst[px*wide+p.first:][:p.n]
		for c, v := range in {
			k := p.params[7*c : 7*c+7 : 7*c+7]
			u := float32(k[0]*v) + k[1]
			if !(u > 0) {
				u = float32(k[2] * u)
			}
			u = float32(k[3]*u) + k[4]
			out[c] = u
			if signs != nil && float32(k[5]*u)+k[6] < 0 {
				signs[px*wd+(p.first+c)/WordBits] |= 1 << ((p.first + c) % WordBits)
			}
		}
	}
}
