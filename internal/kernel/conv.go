package kernel

// ConvScratch returns the elements that Conv needs as scratch.
func ConvScratch(g Geometry) int {
	if !tilesPatches(g) {
		return 0
	}
	return g.FilterLen() + patchScratch(g)
}

// Conv is the convolution of x, [H,W,C], with the filters w, [K,R,S,C/G], written to dst, [OutH,OutW,K]. Each sum
// runs over the rows, columns and channels of its window in ascending order, without the taps outside the image:
//
//	for r, s, c { acc += float32(w[k,r,s,c] * x[y·stride-pad+r, z·stride-pad+s, c]) }
//
// scratch has ConvScratch elements, zero at first and then for this function and this geometry alone, or is nil: then
// the convolution runs in plain Go.
func Conv(dst, x, w, scratch []float32, g Geometry) {
	checkLen("Conv", "dst", len(dst), g.OutLen())
	checkLen("Conv", "x", len(x), g.InLen())
	checkLen("Conv", "w", len(w), g.FilterLen())
	if scratch != nil && tilesPatches(g) {
		checkLen("Conv", "scratch", len(scratch), ConvScratch(g))
		convPatches(dst, x, w, scratch, g)
		return
	}
	oh, ow, c := g.OutH(), g.OutW(), g.GroupC()
	filter, perGroup := g.Kernel*g.Kernel*c, g.K/g.Groups
	for y := range oh {
		r0, r1 := taps(y, g.Stride, g.Pad, g.Kernel, g.H)
		for z := range ow {
			s0, s1 := taps(z, g.Stride, g.Pad, g.Kernel, g.W)
			out := dst[(y*ow+z)*g.K : (y*ow+z+1)*g.K]
			corner := (y*g.Stride-g.Pad)*g.W + z*g.Stride - g.Pad
			for k := 0; k < g.K; k++ {
				if g.Groups == 1 && k+4 <= g.K {
					conv4(out[k:k+4], x, w[k*filter:(k+4)*filter], g, corner, r0, r1, s0, s1)
					k += 3
					continue
				}
				first := k / perGroup * c
				var acc float32
				for r := r0; r < r1; r++ {
					for s := s0; s < s1; s++ {
						a := x[(corner+r*g.W+s)*g.C+first:][:c]
						b := w[k*filter+(r*g.Kernel+s)*c:][:c]
						for i, v := range a {
							acc += float32(b[i] * v)
						}
					}
				}
				out[k] = acc
			}
		}
	}
}

// conv4 computes four filters of one pixel side by side, each sum in the order of Conv.
func conv4(out, x, w []float32, g Geometry, corner, r0, r1, s0, s1 int) {
	filter := len(w) / 4
	var acc0, acc1, acc2, acc3 float32
	for r := r0; r < r1; r++ {
		a := x[(corner+r*g.W+s0)*g.C : (corner+r*g.W+s1)*g.C]
		at := (r*g.Kernel + s0) * g.C
		w0 := w[at:][:len(a)]
		w1 := w[filter+at:][:len(a)]
		w2 := w[2*filter+at:][:len(a)]
		w3 := w[3*filter+at:][:len(a)]
		for i, v := range a {
			acc0 += float32(w0[i] * v)
			acc1 += float32(w1[i] * v)
			acc2 += float32(w2[i] * v)
			acc3 += float32(w3[i] * v)
		}
	}
	out[0], out[1], out[2], out[3] = acc0, acc1, acc2, acc3
}
