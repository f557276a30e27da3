package kernel

// Affine is dst[p,j] = float32(scale[j]*src[p,i]) + bias[j] over the pixels p of a map, where src has n channels, dst
// has len(scale) = factor·n, and the input channel of j is i = j mod n, or j/factor with interleave: a batch norm
// behind a channel tile. len(bias) is len(scale). dst may be src if factor is 1.
func Affine(dst, src, scale, bias []float32, factor int, interleave bool) {
	wide := len(scale)
	n := wide / factor
	checkLen("Affine", "bias", len(bias), wide)
	checkLen("Affine", "scale", wide, n*factor)
	checkLen("Affine", "dst", len(dst), len(src)*factor)
	for p := 0; p*n < len(src); p++ {
		in, out := src[p*n:(p+1)*n], dst[p*wide:(p+1)*wide]
		if interleave {
			for i, v := range in {
				for j := i * factor; j < (i+1)*factor; j++ {
					out[j] = float32(scale[j]*v) + bias[j]
				}
			}
			continue
		}
		for r := 0; r < wide; r += n {
			o, s, b := out[r:r+n], scale[r:r+n], bias[r:r+n]
			s, b, a := s[:len(o)], b[:len(o)], in[:len(o)]
			for i, v := range a {
				o[i] = float32(s[i]*v) + b[i]
			}
		}
	}
}

// Add is dst[i] = a[i] + b[i]. dst may be a or b.
func Add(dst, a, b []float32) {
	checkLen("Add", "a", len(a), len(dst))
	checkLen("Add", "b", len(b), len(dst))
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Hardtanh is dst[i] = min(1, max(-1, src[i])); NaN stays NaN. dst may be src.
func Hardtanh(dst, src []float32) {
	checkLen("Hardtanh", "src", len(src), len(dst))
	src = src[:len(dst)]
	for i, v := range src {
		if v > 1 {
			v = 1
		} else if v < -1 {
			v = -1
		}
		dst[i] = v
	}
}

// HardtanhGrad is dx[i] = dy[i] where -1 < y[i] < 1, else 0, with y the output of Hardtanh: the gradient is 0 at
// exactly ±1. dx may be dy.
func HardtanhGrad(dx, dy, y []float32) {
	checkLen("HardtanhGrad", "dy", len(dy), len(dx))
	checkLen("HardtanhGrad", "y", len(y), len(dx))
	dy, y = dy[:len(dx)], y[:len(dx)]
	for i, v := range y {
		g := dy[i]
		if !(v > -1 && v < 1) {
			g = 0
		}
		dx[i] = g
	}
}

// PReLU is dst[p,c] = v where v = src[p,c] > 0, else float32(slope[c]*v). dst may be src.
func PReLU(dst, src, slope []float32) {
	checkLen("PReLU", "src", len(src), len(dst))
	c := len(slope)
	for p := 0; p < len(src); p += c {
		in, out := src[p:p+c], dst[p:p+c]
		for i, v := range in {
			if !(v > 0) {
				v = float32(slope[i] * v)
			}
			out[i] = v
		}
	}
}
