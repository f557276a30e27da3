package kernel

// FiltersForGradInput reorders filters from PyTorch's [K,C/G,R,S] to the order that ConvGradInput reads, which
// depends on the tier: in plain Go [C,R,S,K/G], where for input channel c of group q entry [c,r,s,j] is the weight of
// filter q·K/G+j.
func FiltersForGradInput(dst, src []float32, g Geometry) {
	checkLen("FiltersForGradInput", "dst", len(dst), g.FilterLen())
	checkLen("FiltersForGradInput", "src", len(src), g.FilterLen())
	if tilesInput(g) {
		flipFilters(dst, src, g)
		return
	}
	gc, gk, rs := g.GroupC(), g.K/g.Groups, g.Kernel*g.Kernel
	for k := range g.K {
		for i := range gc {
			c := k/gk*gc + i
			for t := range rs {
				dst[(c*rs+t)*gk+k%gk] = src[(k*gc+i)*rs+t]
			}
		}
	}
}

// GradInputScratch returns the elements that ConvGradInput needs as scratch.
func GradInputScratch(g Geometry) int {
	h, w := paddedOut(g)
	return max(h*w*g.K, g.Kernel*g.Kernel*g.K)
}

// ConvGradInput writes to dx, [H,W,C], the gradient of Conv by its input, for the gradient dy, [OutH,OutW,K], of its
// result and the filters wt of FiltersForGradInput. scratch has GradInputScratch elements; it is zero at first and then
// belongs to this function and this geometry.
func ConvGradInput(dx, dy, wt, scratch []float32, g Geometry) {
	checkLen("ConvGradInput", "dx", len(dx), g.InLen())
	checkLen("ConvGradInput", "dy", len(dy), g.OutLen())
	checkLen("ConvGradInput", "wt", len(wt), g.FilterLen())
	if tilesInput(g) {
		convGradInputTiled(dx, dy, wt, scratch, g)
		return
	}
	if g.Stride == 1 && g.Groups == 1 {
		convGradInputDense(dx, dy, wt, scratch, g)
		return
	}
	oh, ow, gc, gk := g.OutH(), g.OutW(), g.GroupC(), g.K/g.Groups
	clear(dx)
	for y := range g.H {
		for z := range g.W {
			out := dx[(y*g.W+z)*g.C : (y*g.W+z+1)*g.C]
			for r := range g.Kernel {
				oy := y + g.Pad - r
				if oy < 0 || oy%g.Stride != 0 || oy/g.Stride >= oh {
					continue
				}
				for s := range g.Kernel {
					oz := z + g.Pad - s
					if oz < 0 || oz%g.Stride != 0 || oz/g.Stride >= ow {
						continue
					}
					in := dy[(oy/g.Stride*ow+oz/g.Stride)*g.K:][:g.K]
					for c := range out {
						first := c / gc * gk
						w := wt[((c*g.Kernel+r)*g.Kernel+s)*gk:][:gk]
						out[c] += dot(w, in[first:first+gk])
					}
				}
			}
		}
	}
}

// convGradInputDense is ConvGradInput for stride 1 and one group: for each input pixel it gathers the gradients of the
// outputs that saw it into one row, which it multiplies with the rows of wt.
func convGradInputDense(dx, dy, wt, scratch []float32, g Geometry) {
	oh, ow := g.OutH(), g.OutW()
	row := scratch[:g.Kernel*g.Kernel*g.K]
	for y := range g.H {
		for z := range g.W {
			at := 0
			for r := range g.Kernel {
				oy := y + g.Pad - r
				for s := range g.Kernel {
					oz := z + g.Pad - s
					part := row[at : at+g.K]
					if oy < 0 || oy >= oh || oz < 0 || oz >= ow {
						clear(part)
					} else {
						copy(part, dy[(oy*ow+oz)*g.K:])
					}
					at += g.K
				}
			}
			matVec(dx[(y*g.W+z)*g.C:(y*g.W+z+1)*g.C], wt, row)
		}
	}
}

// matVec writes to dst, [n], the product of m, [n,len(x)], with x.
func matVec(dst, m, x []float32) {
	n := len(x)
	i := 0
	for ; i+4 <= len(dst); i += 4 {
		m0 := m[i*n:][:n]
		m1 := m[(i+1)*n:][:n]
		m2 := m[(i+2)*n:][:n]
		m3 := m[(i+3)*n:][:n]
		var a0, a1, a2, a3 float32
		for j, v := range x {
			a0 += float32(m0[j] * v)
			a1 += float32(m1[j] * v)
			a2 += float32(m2[j] * v)
			a3 += float32(m3[j] * v)
		}
		dst[i], dst[i+1], dst[i+2], dst[i+3] = a0, a1, a2, a3
	}
	for ; i < len(dst); i++ {
		dst[i] = dot(m[i*n:][:n], x)
	}
}

func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var acc float32
	for i, v := range a {
		acc += float32(v * b[i])
	}
	return acc
}

// GradFiltersScratch returns the elements that ConvGradFilters needs as scratch.
func GradFiltersScratch(g Geometry) int {
	return max(4*g.Kernel*g.Kernel*g.C, (g.H+2*g.Pad)*(g.W+2*g.Pad)*g.C)
}

// ConvGradFilters adds to dw, [K,R,S,C/G], the gradient of Conv by its filters, for the input x, [H,W,C], and the
// gradient dy, [OutH,OutW,K], of its result. scratch has GradFiltersScratch elements; it is zero at first and then belongs
// to this function and this geometry.
func ConvGradFilters(dw, dy, x, scratch []float32, g Geometry) {
	checkLen("ConvGradFilters", "dw", len(dw), g.FilterLen())
	checkLen("ConvGradFilters", "dy", len(dy), g.OutLen())
	checkLen("ConvGradFilters", "x", len(x), g.InLen())
	if tilesFilters(g) {
		convGradFiltersTiled(dw, dy, x, scratch, g)
		return
	}
	if g.Groups != 1 {
		convGradFiltersGrouped(dw, dy, x, g)
		return
	}
	// Four output pixels at a time: their windows of x as four rows, then for each filter one pass over its gradient.
	n := g.Kernel * g.Kernel * g.C
	rows := scratch[:4*n]
	pixels := g.OutH() * g.OutW()
	for p := 0; p < pixels; p += 4 {
		for q := range 4 {
			row := rows[q*n : (q+1)*n]
			if p+q < pixels {
				gatherWindow(row, x, p+q, g)
			} else {
				clear(row)
			}
		}
		x0, x1, x2, x3 := rows[:n], rows[n:2*n], rows[2*n:3*n], rows[3*n:4*n]
		for k := range g.K {
			var g0, g1, g2, g3 float32
			g0 = dy[p*g.K+k]
			if p+1 < pixels {
				g1 = dy[(p+1)*g.K+k]
			}
			if p+2 < pixels {
				g2 = dy[(p+2)*g.K+k]
			}
			if p+3 < pixels {
				g3 = dy[(p+3)*g.K+k]
			}
			if g0 == 0 && g1 == 0 && g2 == 0 && g3 == 0 {
				continue
			}
			out := dw[k*n:][:n]
			a, b, c, d := x0[:len(out)], x1[:len(out)], x2[:len(out)], x3[:len(out)]
			for i := range out {
				out[i] += float32(g0*a[i]) + float32(g1*b[i]) + float32(g2*c[i]) + float32(g3*d[i])
			}
		}
	}
}

// gatherWindow writes the window of output pixel p, [R,S,C], to row, with zeros outside the image.
func gatherWindow(row, x []float32, p int, g Geometry) {
	ow := g.OutW()
	top, left := p/ow*g.Stride-g.Pad, p%ow*g.Stride-g.Pad
	s0, s1 := taps(p%ow, g.Stride, g.Pad, g.Kernel, g.W)
	for r := range g.Kernel {
		part := row[r*g.Kernel*g.C : (r+1)*g.Kernel*g.C]
		if y := top + r; y < 0 || y >= g.H {
			clear(part)
			continue
		}
		clear(part[:s0*g.C])
		copy(part[s0*g.C:s1*g.C], x[((top+r)*g.W+left+s0)*g.C:])
		clear(part[s1*g.C:])
	}
}

func convGradFiltersGrouped(dw, dy, x []float32, g Geometry) {
	oh, ow, c := g.OutH(), g.OutW(), g.GroupC()
	filter, perGroup := g.Kernel*g.Kernel*c, g.K/g.Groups
	for y := range oh {
		r0, r1 := taps(y, g.Stride, g.Pad, g.Kernel, g.H)
		for z := range ow {
			s0, s1 := taps(z, g.Stride, g.Pad, g.Kernel, g.W)
			corner := (y*g.Stride-g.Pad)*g.W + z*g.Stride - g.Pad
			for k := range g.K {
				v := dy[(y*ow+z)*g.K+k]
				for r := r0; r < r1; r++ {
					for s := s0; s < s1; s++ {
						in := x[(corner+r*g.W+s)*g.C+k/perGroup*c:][:c]
						out := dw[k*filter+(r*g.Kernel+s)*c:][:c]
						for i, u := range in {
							out[i] += float32(v * u)
						}
					}
				}
			}
		}
	}
}
