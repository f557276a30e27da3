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
	if k := affineFor(n); k != nil && !interleave && len(src) > 0 {
		for j := 0; j < wide; j += k.lanes {
			k.floats(&dst[j], &src[j%n], &scale[j], &bias[j], len(src)/n, wide, n)
		}
		return
	}
	affine(dst, src, scale, bias, factor, interleave)
}

// AffineCounts is Affine of counts: dst[p,j] = float32(scale[j]*float32(src[p,i])) + bias[j].
func AffineCounts(dst []float32, src []int32, scale, bias []float32, factor int, interleave bool) {
	wide := len(scale)
	n := wide / factor
	checkLen("AffineCounts", "bias", len(bias), wide)
	checkLen("AffineCounts", "scale", wide, n*factor)
	checkLen("AffineCounts", "dst", len(dst), len(src)*factor)
	if k := affineFor(n); k != nil && !interleave && len(src) > 0 {
		for j := 0; j < wide; j += k.lanes {
			k.counts(&dst[j], &src[j%n], &scale[j], &bias[j], len(src)/n, wide, n)
		}
		return
	}
	affine(dst, src, scale, bias, factor, interleave)
}

// affine is Affine and AffineCounts in plain Go.
func affine[T int32 | float32](dst []float32, src []T, scale, bias []float32, factor int, interleave bool) {
	wide := len(scale)
	n := wide / factor
	for p := 0; p*n < len(src); p++ {
		in, out := src[p*n:(p+1)*n], dst[p*wide:(p+1)*wide]
		if interleave {
			for i, v := range in {
				for j := i * factor; j < (i+1)*factor; j++ {
					out[j] = float32(scale[j]*float32(v)) + bias[j]
				}
			}
			continue
		}
		for r := 0; r < wide; r += n {
			o, s, b := out[r:r+n], scale[r:r+n], bias[r:r+n]
			for i, v := range in {
				o[i] = float32(s[i]*float32(v)) + b[i]
			}
		}
	}
}

// Tile writes to dst, [pixels,factor·n], the copies of the channels of src, [pixels,n]: channel j is j mod n, or j/factor with
// interleave.
func Tile[T float32 | float64](dst, src []T, n, factor int, interleave bool) {
	checkLen("Tile", "dst", len(dst), len(src)*factor)
	wide := n * factor
	for p := 0; p*n < len(src); p++ {
		in, out := src[p*n:(p+1)*n], dst[p*wide:(p+1)*wide]
		if !interleave {
			for r := 0; r < wide; r += n {
				copy(out[r:r+n], in)
			}
			continue
		}
		for j := range out {
			out[j] = in[j/factor]
		}
	}
}

// TileGrad writes to dst, [pixels,n], the sums over the copies of each channel in src, [pixels,factor·n], in ascending order.
func TileGrad(dst, src []float32, n, factor int, interleave bool) {
	checkLen("TileGrad", "src", len(src), len(dst)*factor)
	wide := n * factor
	if k := active.device.avgPool; k.run != nil && n%k.channels == 0 && !interleave && len(dst) > 0 {
		for c := 0; c < n; c += k.channels {
			k.run(&dst[c], &src[c], len(dst)/n, 1, factor, 0, n, wide, n, 1)
		}
		return
	}
	first, next := 1, n // copies of channel i: i·first + r·next
	if interleave {
		first, next = factor, 1
	}
	for e := range dst {
		in, i := src[e/n*wide:], e%n
		sum := in[i*first]
		for r := 1; r < factor; r++ {
			sum += in[i*first+r*next]
		}
		dst[e] = sum
	}
}

// Add is dst[i] = a[i] + b[i]. dst may be a or b.
func Add(dst, a, b []float32) {
	checkLen("Add", "a", len(a), len(dst))
	checkLen("Add", "b", len(b), len(dst))
	if k := active.flat.add; k != nil && len(dst) >= active.lanes {
		n := len(dst) / active.lanes
		k(&dst[0], &a[0], &b[0], n)
		done := n * active.lanes
		dst, a, b = dst[done:], a[done:], b[done:]
	}
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Hardtanh is dst[i] = min(1, max(-1, src[i])); NaN stays NaN. dst may be src.
func Hardtanh(dst, src []float32) {
	checkLen("Hardtanh", "src", len(src), len(dst))
	if k := active.flat.hardtanh; k != nil && len(dst) >= active.lanes {
		n := len(dst) / active.lanes
		k(&dst[0], &src[0], n)
		dst, src = dst[n*active.lanes:], src[n*active.lanes:]
	}
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
	if k := active.flat.hardtanhGrad; k != nil && len(dx) >= active.lanes {
		n := len(dx) / active.lanes
		k(&dx[0], &dy[0], &y[0], n)
		done := n * active.lanes
		dx, dy, y = dx[done:], dy[done:], y[done:]
	}
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

// ScaleChannels is dst[p,c] = scale[c]·src[p,c]. dst may be src.
func ScaleChannels(dst, src, scale []float32) {
	c := len(scale)
	checkLen("ScaleChannels", "src", len(src), len(dst))
	checkLen("ScaleChannels", "dst", len(dst)%c, 0)
	if k := active.flat.scaleChannels; k != nil && c%active.lanes == 0 && len(dst) > 0 {
		for first := 0; first < c; first += active.lanes {
			k(&dst[first], &src[first], &scale[first], len(dst)/c, c)
		}
		return
	}
	for p := 0; p < len(dst); p += c {
		in, out := src[p:p+c], dst[p:p+c]
		for i, s := range scale {
			out[i] = s * in[i]
		}
	}
}

// ScaleCounts is dst[p,c] = scale[c]·float32(counts[p,c]).
func ScaleCounts(dst []float32, counts []int32, scale []float32) {
	c := len(scale)
	checkLen("ScaleCounts", "counts", len(counts), len(dst))
	checkLen("ScaleCounts", "dst", len(dst)%c, 0)
	if k := active.flat.scaleCounts; k != nil && c%active.lanes == 0 && len(dst) > 0 {
		for first := 0; first < c; first += active.lanes {
			k(&dst[first], &counts[first], &scale[first], len(dst)/c, c)
		}
		return
	}
	for p := 0; p < len(dst); p += c {
		in, out := counts[p:p+c], dst[p:p+c]
		for i, s := range scale {
			out[i] = s * float32(in[i])
		}
	}
}
