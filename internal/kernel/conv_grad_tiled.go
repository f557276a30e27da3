package kernel

// tilesInput reports whether ConvGradInput runs in the active tier's tiles for g.
func tilesInput(g Geometry) bool {
	return active.lanes > 0 && g.Groups == 1 && g.C%active.lanes == 0
}

// tilesFilters reports whether ConvGradFilters runs in the active tier's tiles for g.
func tilesFilters(g Geometry) bool {
	return active.lanes > 0 && g.Groups == 1 && g.Kernel*g.C%active.lanes == 0 && g.K%4 == 0
}

// flipFilters reorders filters from [K,C,R,S] to [R',S',K,C], rows and columns of taps reversed: with them the gradient
// by the input is a convolution of the gradient by the output.
func flipFilters(dst, src []float32, g Geometry) {
	rs := g.Kernel * g.Kernel
	for k := range g.K {
		for c := range g.C {
			for t := range rs {
				dst[((rs-1-t)*g.K+k)*g.C+c] = src[(k*g.C+c)*rs+t]
			}
		}
	}
}

// paddedOut returns the extents of the padded gradient that tiles read: Stride-1 zeros between its pixels, and borders such
// that input pixel (y,z) reads from (y,z) on.
func paddedOut(g Geometry) (h, w int) { return g.H + g.Kernel - 1, g.W + g.Kernel - 1 }

// convGradInputTiled is ConvGradInput as a convolution over the padded dy. The scratch's zeros are never written.
func convGradInputTiled(dx, dy, wt, scratch []float32, g Geometry) {
	ph, pw := paddedOut(g)
	p := scratch[:ph*pw*g.K]
	oh, ow, off := g.OutH(), g.OutW(), g.Kernel-1-g.Pad
	for y := range oh {
		row := p[((y*g.Stride+off)*pw+off)*g.K:]
		in := dy[y*ow*g.K : (y+1)*ow*g.K]
		if g.Stride == 1 {
			copy(row, in)
			continue
		}
		for z := range ow {
			copy(row[z*g.Stride*g.K:(z*g.Stride+1)*g.K], in[z*g.K:])
		}
	}
	convTiled(dx, p, wt, g.H, g.W, g.C, g.Kernel, g.K, pw, 1)
}

// convTiled computes dst, [h,w,c], from the padded src, [.,srcW,k], and the filters w, [kernel,kernel,k,c], at a stride.
// c is a multiple of the tier's lanes.
func convTiled(dst, src, w []float32, h, width, c, kernel, k, srcW, stride int) {
	t := active
	depth, srcRow := kernel*k, srcW*k
	_ = dst[h*width*c-1]
	_ = src[((h-1)*stride+kernel-1)*srcRow+((width-1)*stride+kernel)*k-1]
	_ = w[kernel*depth*c-1]
	for first := 0; first < c; {
		v := min(2, (c-first)/t.lanes)
		for y := range h {
			out, in := y*width*c+first, y*stride*srcRow
			z := 0
			if blocks := width / t.block; blocks > 0 {
				t.convBlock[v-1](&dst[out], &src[in], &w[first], blocks, kernel, depth, srcRow, stride*k, c, c)
				z = blocks * t.block
			}
			if z < width {
				t.convPixel[v-1](&dst[out+z*c], &src[in+z*stride*k], &w[first], width-z, kernel, depth, srcRow, stride*k, c, c)
			}
		}
		first += v * t.lanes
	}
}

// convGradFiltersTiled is ConvGradFilters over the padded x. The scratch's zeros are never written.
func convGradFiltersTiled(dw, dy, x, scratch []float32, g Geometry) {
	pw := g.W + 2*g.Pad
	p := scratch[:(g.H+2*g.Pad)*pw*g.C]
	for y := range g.H {
		copy(p[((y+g.Pad)*pw+g.Pad)*g.C:], x[y*g.W*g.C:(y+1)*g.W*g.C])
	}
	oh, ow := g.OutH(), g.OutW()
	filter := g.Kernel * g.Kernel * g.C
	window := g.Kernel * g.C // elements of one row of a window: neighbours in x and in dw
	for r := range g.Kernel {
		for i := 0; i < window; {
			var step int
			for k := 0; k < g.K; {
				tile := gradTileFor(g.K-k, (window-i)/active.lanes)
				tile.run(&dw[k*filter+r*window+i], &dy[k], &p[r*pw*g.C+i], oh, ow, ow*g.K, g.K, g.Stride*pw*g.C, g.Stride*g.C, filter)
				k += tile.filters
				step = tile.vectors
			}
			i += step * active.lanes
		}
	}
}

// gradTileFor returns the largest tile of at most the given filters and vectors. The number of vectors depends on vectors
// alone.
func gradTileFor(filters, vectors int) *gradTile {
	for i := range active.gradTiles {
		t := &active.gradTiles[i]
		if t.filters <= filters && t.vectors <= vectors && (t.vectors == 3 || vectors < 3) {
			return t
		}
	}
	panic("kernel: no tile")
}
