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
// by the input is a convolution of the padded gradient by the output.
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

// padOut writes dy, [OutH,OutW,K], into the interior of the padded p.
func padOut(p, dy []float32, g Geometry) {
	_, pw := paddedOut(g)
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
}

// convGradInputTiled is ConvGradInput over the padded gradient p.
func convGradInputTiled(dx, p, wt []float32, g Geometry, t *tiles) {
	_, pw := paddedOut(g)
	for first := 0; first < g.C; {
		var tile *convTile
		for y := range g.H {
			for z := 0; z < g.W; {
				tile = t.convTile((g.C-first)/active.lanes, g.W-z)
				blocks := (g.W - z) / tile.pixels
				tile.run(&dx[(y*g.W+z)*g.C+first], &p[(y*pw+z)*g.K], &wt[first], blocks, g.Kernel, g.Kernel, g.K, pw*g.K, g.K, g.C, g.C)
				z += blocks * tile.pixels
			}
		}
		first += tile.vectors * active.lanes
	}
}

// convTile returns the widest tile of at most the given vectors, and of those the one with the most pixels, at most the
// given number.
func (t *tiles) convTile(vectors, pixels int) *convTile {
	for i := range t.conv {
		if t.conv[i].vectors <= vectors && t.conv[i].pixels <= pixels {
			return &t.conv[i]
		}
	}
	panic("kernel: no tile is small enough")
}

// padIn writes x, [H,W,C], into the interior of the padded p, [H+2Pad,W+2Pad,C].
func padIn(p, x []float32, g Geometry) {
	pw := g.W + 2*g.Pad
	for y := range g.H {
		copy(p[((y+g.Pad)*pw+g.Pad)*g.C:], x[y*g.W*g.C:(y+1)*g.W*g.C])
	}
}

// convGradFiltersTiled is ConvGradFilters over the padded input p.
func convGradFiltersTiled(dw, dy, p []float32, g Geometry, t *tiles) {
	pw, oh, ow := g.W+2*g.Pad, g.OutH(), g.OutW()
	filter := g.Kernel * g.Kernel * g.C
	window := g.Kernel * g.C // elements of one row of a window: neighbours in x and in dw
	for r := range g.Kernel {
		for i := 0; i < window; {
			vectors := t.vectors((window - i) / active.lanes)
			for k := 0; k < g.K; {
				tile := t.gradTile(vectors, g.K-k)
				tile.run(&dw[k*filter+r*window+i], &dy[k], &p[r*pw*g.C+i], oh, ow, ow*g.K, g.K, g.Stride*pw*g.C, g.Stride*g.C, filter)
				k += tile.filters
			}
			i += vectors * active.lanes
		}
	}
}

// vectors returns the widest tiles' number of vectors, at most the given one.
func (t *tiles) vectors(most int) int {
	for i := range t.grad {
		if t.grad[i].vectors <= most {
			return t.grad[i].vectors
		}
	}
	panic("kernel: no tile is narrow enough")
}

// gradTile returns the tile of the given vectors with the most filters, at most the given number.
func (t *tiles) gradTile(vectors, most int) *gradTile {
	for i := range t.grad {
		if t.grad[i].vectors == vectors && t.grad[i].filters <= most {
			return &t.grad[i]
		}
	}
	panic("kernel: no tile has few enough filters")
}
