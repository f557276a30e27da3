package kernel

import "math/bits"

// PackFilters packs the signs of w, [K,C/G,R,S] in PyTorch's order, into dst, [K,R,S,Words(C/G)].
func PackFilters(dst []uint64, w []float32, g Geometry) {
	checkLen("PackFilters", "dst", len(dst), g.FilterWords())
	checkLen("PackFilters", "w", len(w), g.FilterLen())
	c, rs, wd := g.GroupC(), g.Kernel*g.Kernel, Words(g.GroupC())
	clear(dst)
	for k := range g.K {
		for i := range c {
			for t := range rs {
				if w[(k*c+i)*rs+t] < 0 {
					dst[(k*rs+t)*wd+i/WordBits] |= 1 << (i % WordBits)
				}
			}
		}
	}
}

// BinConv is the convolution of the ±1 map x, [H,W,G,Words(C/G)], with the ±1 filters w, [K,R,S,Words(C/G)]: dst,
// [OutH,OutW,K], receives for each pixel and filter
//
//	(valid taps)·C/G - 2·popcount(x xor w)
//
// over the taps that fall into the image. Padding is exact: a tap outside contributes 0, neither +1 nor -1.
func BinConv(dst []int32, x, w []uint64, g Geometry) {
	checkLen("BinConv", "dst", len(dst), g.OutLen())
	checkLen("BinConv", "x", len(x), g.InWords())
	checkLen("BinConv", "w", len(w), g.FilterWords())
	oh, ow, wd := g.OutH(), g.OutW(), Words(g.GroupC())
	narrow := g.Kernel == 3 && g.Groups == 1 && wd == 1
	for y := range oh {
		r0, r1 := taps(y, g.Stride, g.Pad, g.Kernel, g.H)
		for z := range ow {
			s0, s1 := taps(z, g.Stride, g.Pad, g.Kernel, g.W)
			out := dst[(y*ow+z)*g.K : (y*ow+z+1)*g.K]
			corner := (y*g.Stride-g.Pad)*g.W + z*g.Stride - g.Pad // pixel index of tap (0,0), possibly outside
			if narrow && r1-r0 == 3 && s1-s0 == 3 {
				binPixel3x3(out, x[corner:], w, g.W, int32(9*g.C))
				continue
			}
			binPixel(out, x, w, g, corner, r0, r1, s0, s1)
		}
	}
}

// binPixel computes the K counts of one pixel from the taps [r0,r1) x [s0,s1).
func binPixel(out []int32, x, w []uint64, g Geometry, corner, r0, r1, s0, s1 int) {
	wd, perGroup := Words(g.GroupC()), g.K/g.Groups
	full := int32((r1 - r0) * (s1 - s0) * g.GroupC())
	for k := range out {
		diff := 0
		for r := r0; r < r1; r++ {
			if g.Groups == 1 { // the taps of a row are neighbours in memory
				a := x[(corner+r*g.W+s0)*wd : (corner+r*g.W+s1)*wd]
				b := w[((k*g.Kernel+r)*g.Kernel+s0)*wd:]
				b = b[:len(a)]
				for i, v := range a {
					diff += bits.OnesCount64(v ^ b[i])
				}
				continue
			}
			for s := s0; s < s1; s++ {
				a := x[((corner+r*g.W+s)*g.Groups+k/perGroup)*wd:][:wd]
				b := w[((k*g.Kernel+r)*g.Kernel+s)*wd:][:wd]
				for i, v := range a {
					diff += bits.OnesCount64(v ^ b[i])
				}
			}
		}
		out[k] = full - 2*int32(diff)
	}
}

// binPixel3x3 is binPixel for nine taps of one word each, all inside the image; x starts at tap (0,0).
func binPixel3x3(out []int32, x, w []uint64, width int, full int32) {
	a, b, c := x[:3], x[width:width+3], x[2*width:2*width+3]
	a0, a1, a2, b0, b1, b2, c0, c1, c2 := a[0], a[1], a[2], b[0], b[1], b[2], c[0], c[1], c[2]
	for k := range out {
		f := w[9*k : 9*k+9 : 9*k+9]
		diff := bits.OnesCount64(a0^f[0]) + bits.OnesCount64(a1^f[1]) + bits.OnesCount64(a2^f[2]) +
			bits.OnesCount64(b0^f[3]) + bits.OnesCount64(b1^f[4]) + bits.OnesCount64(b2^f[5]) +
			bits.OnesCount64(c0^f[6]) + bits.OnesCount64(c1^f[7]) + bits.OnesCount64(c2^f[8])
		out[k] = full - 2*int32(diff)
	}
}
