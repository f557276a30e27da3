package kernel

// The gradients of a convolution of floats. Products are rounded before they are added; the result is the same bits on every
// tier. Those of ±1 operands are SignGradients.

// FiltersForGradInput reorders filters from PyTorch's [K,C/G,R,S] to the order that ConvGradInput reads, which depends on
// the tier.
func FiltersForGradInput(dst, src []float32, g Geometry) {
	checkLen("FiltersForGradInput", "dst", len(dst), g.FilterLen())
	checkLen("FiltersForGradInput", "src", len(src), g.FilterLen())
	if tilesInput(g) {
		flipFilters(dst, src, g)
		return
	}
	// [C,R',S',K/G]: for input channel c of group q, entry j is of filter q·K/G+j; taps reversed.
	gc, gk, rs := g.GroupC(), g.K/g.Groups, g.Kernel*g.Kernel
	for k := range g.K {
		for i := range gc {
			c := k/gk*gc + i
			for t := range rs {
				dst[(c*rs+rs-1-t)*gk+k%gk] = src[(k*gc+i)*rs+t]
			}
		}
	}
}

// paddedOut returns the extents of the padded gradient by the output: Stride-1 zeros between its pixels, and borders such
// that input pixel (y,z) receives from the Kernel x Kernel window at (y,z).
func paddedOut(g Geometry) (h, w int) { return g.H + g.Kernel - 1, g.W + g.Kernel - 1 }

// GradInputScratch returns the elements that ConvGradInput needs as scratch.
func GradInputScratch(g Geometry) int {
	h, w := paddedOut(g)
	return h * w * g.K
}

// ConvGradInput writes to dx, [H,W,C], the gradient of Conv by its input, for the gradient dy, [OutH,OutW,K], of its
// result and the filters wt of FiltersForGradInput. With p the padded dy and w' the reversed taps it is
//
//	dx[y,z,c] = Σ_r Σ_s (Σ_k p[y+r,z+s,k]·w'[r,s,k,c])
//
// one sum over k for each tap, and then over the taps, each from 0 and in ascending order: blocked sums lose less to
// rounding than one long one. scratch has GradInputScratch elements; it is zero at first and then belongs to this
// function and this geometry.
func ConvGradInput(dx, dy, wt, scratch []float32, g Geometry) {
	checkLen("ConvGradInput", "dx", len(dx), g.InLen())
	checkLen("ConvGradInput", "dy", len(dy), g.OutLen())
	checkLen("ConvGradInput", "wt", len(wt), g.FilterLen())
	checkLen("ConvGradInput", "scratch", len(scratch), GradInputScratch(g))
	padOut(scratch, dy, g)
	if tilesInput(g) {
		convGradInputTiled(dx, scratch, wt, g, &active.tiles)
		return
	}
	_, pw := paddedOut(g)
	gc, gk, rs := g.GroupC(), g.K/g.Groups, g.Kernel*g.Kernel
	for y := range g.H {
		for z := range g.W {
			out := dx[(y*g.W+z)*g.C : (y*g.W+z+1)*g.C]
			clear(out)
			for t := range rs {
				in := scratch[((y+t/g.Kernel)*pw+z+t%g.Kernel)*g.K:][:g.K]
				for q := range g.Groups {
					addMatVec(out[q*gc:(q+1)*gc], wt[(q*gc*rs+t)*gk:], in[q*gk:(q+1)*gk], rs*gk)
				}
			}
		}
	}
}

// addMatVec adds to dst[c] the product of x with the row of m that begins at c·step.
func addMatVec(dst, m, x []float32, step int) {
	c := 0
	for ; c+4 <= len(dst); c += 4 {
		m0, m1, m2, m3 := m[c*step:][:len(x)], m[(c+1)*step:][:len(x)], m[(c+2)*step:][:len(x)], m[(c+3)*step:][:len(x)]
		var a0, a1, a2, a3 float32
		for j, v := range x {
			a0 += float32(m0[j] * v)
			a1 += float32(m1[j] * v)
			a2 += float32(m2[j] * v)
			a3 += float32(m3[j] * v)
		}
		dst[c] += a0
		dst[c+1] += a1
		dst[c+2] += a2
		dst[c+3] += a3
	}
	for ; c < len(dst); c++ {
		row := m[c*step:][:len(x)]
		var acc float32
		for j, v := range x {
			acc += float32(row[j] * v)
		}
		dst[c] += acc
	}
}

// GradFiltersScratch returns the elements that ConvGradFilters needs as scratch.
func GradFiltersScratch(g Geometry) int {
	if tilesFilters(g) {
		return (g.H + 2*g.Pad) * (g.W + 2*g.Pad) * g.C
	}
	if gradTilesPatches(g) {
		return g.K*patchLen(g) + patchScratch(g)
	}
	return 4*g.Kernel*g.Kernel*g.C + g.FilterLen()
}

// ConvGradFilters adds to dw, [K,R,S,C/G], the gradient of Conv by its filters, for the input x, [H,W,C], and the
// gradient dy, [OutH,OutW,K], of its result: for each weight one sum over the output pixels, from 0 and in ascending
// order, which is then added to dw. scratch has GradFiltersScratch elements; it is zero at first and then belongs to this
// function and this geometry.
func ConvGradFilters(dw, dy, x, scratch []float32, g Geometry) {
	checkLen("ConvGradFilters", "dw", len(dw), g.FilterLen())
	checkLen("ConvGradFilters", "dy", len(dy), g.OutLen())
	checkLen("ConvGradFilters", "x", len(x), g.InLen())
	checkLen("ConvGradFilters", "scratch", len(scratch), GradFiltersScratch(g))
	if tilesFilters(g) {
		padIn(scratch, x, g)
		convGradFiltersTiled(dw, dy, scratch, g, &active.tiles)
		return
	}
	if gradTilesPatches(g) {
		convGradFiltersPatches(dw, dy, x, scratch, g, &active.tiles)
		return
	}
	sum, rows := scratch[:g.FilterLen()], scratch[g.FilterLen():]
	clear(sum)
	if g.Groups == 1 {
		gradFiltersDense(sum, dy, x, rows, g)
	} else {
		gradFiltersGrouped(sum, dy, x, g)
	}
	Add(dw, dw, sum)
}

// gradFiltersDense takes four output pixels at a time: their windows of x as four rows, then for each filter one pass
// over its gradient.
func gradFiltersDense(sum, dy, x, rows []float32, g Geometry) {
	n := g.Kernel * g.Kernel * g.C
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
			out := sum[k*n:][:n]
			a, b, c, d := x0[:len(out)], x1[:len(out)], x2[:len(out)], x3[:len(out)]
			for i, v := range out {
				v += float32(g0 * a[i])
				v += float32(g1 * b[i])
				v += float32(g2 * c[i])
				v += float32(g3 * d[i])
				out[i] = v
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

func gradFiltersGrouped(dw, dy, x []float32, g Geometry) {
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
