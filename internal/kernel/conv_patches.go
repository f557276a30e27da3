package kernel

// Convolutions of few channels (a network's first) do not fill vectors with channels. Their windows are gathered
// into rows, one for each output pixel, which then are the channels of a 1x1 convolution.

// patchLen returns the elements of one row of patches: a window, R·S·C, rounded up to whole vectors.
func patchLen(g Geometry) int {
	n, l := g.Kernel*g.Kernel*g.C, max(1, active.lanes)
	return (n + l - 1) / l * l
}

// tilesPatches reports whether Conv runs in tiles over patches for g.
func tilesPatches(g Geometry) bool {
	return active.lanes > 0 && g.Groups == 1 && g.K%active.lanes == 0
}

// gradTilesPatches reports whether ConvGradFilters runs in tiles over patches for g.
func gradTilesPatches(g Geometry) bool {
	return active.lanes > 0 && g.Groups == 1 && g.K%4 == 0 && !tilesFilters(g)
}

// patchScratch returns the elements of all rows of patches, and of the padded map that they are gathered from.
func patchScratch(g Geometry) int {
	return g.OutH()*g.OutW()*patchLen(g) + (g.H+2*g.Pad)*(g.W+2*g.Pad)*g.C
}

// gatherPatches writes the window of each output pixel to p, [OutH·OutW,patchLen] with room for the padded map behind it,
// with zeros outside the image. What lies behind a window in its row is left alone.
func gatherPatches(p, x []float32, g Geometry) {
	row, oh, ow := patchLen(g), g.OutH(), g.OutW()
	run, width := g.Kernel*g.C, (g.W+2*g.Pad)*g.C
	padded := p[oh*ow*row:]
	padMap(padded, x, g)
	for y := range oh {
		out, in := p[y*ow*row:], padded[y*g.Stride*width:]
		if k := active.gatherRows; k != nil && run >= 8 {
			k(&out[0], &in[0], ow, g.Kernel, run, width, g.Stride*g.C, row)
			continue
		}
		for z := range ow {
			for r := range g.Kernel {
				copy(out[z*row+r*run:][:run], in[r*width+z*g.Stride*g.C:])
			}
		}
	}
}

// convPatches is Conv over patches; w is [K,R,S,C].
func convPatches(dst, x, w, scratch []float32, g Geometry) {
	n, row, pixels := g.Kernel*g.Kernel*g.C, patchLen(g), g.OutH()*g.OutW()
	wt, p := scratch[:n*g.K], scratch[n*g.K:]
	for k := range g.K {
		for i, v := range w[k*n : (k+1)*n] {
			wt[i*g.K+k] = v
		}
	}
	gatherPatches(p, x, g)
	for first := 0; first < g.K; {
		var tile *convTile
		for z := 0; z < pixels; {
			tile = active.tiles.convTile((g.K-first)/active.lanes, pixels-z)
			blocks := (pixels - z) / tile.pixels
			tile.run(&dst[z*g.K+first], &p[z*row], &wt[first], blocks, 1, 1, n, 0, row, g.K, g.K)
			z += blocks * tile.pixels
		}
		first += tile.vectors * active.lanes
	}
}

// convGradFiltersPatches is ConvGradFilters over patches.
func convGradFiltersPatches(dw, dy, x, scratch []float32, g Geometry, t *tiles) {
	n, row, pixels := g.Kernel*g.Kernel*g.C, patchLen(g), g.OutH()*g.OutW()
	sum, p := scratch[:g.K*row], scratch[g.K*row:]
	clear(sum)
	gatherPatches(p, x, g)
	for i := 0; i < row; {
		vectors := t.vectors((row - i) / active.lanes)
		for k := 0; k < g.K; {
			tile := t.gradTile(vectors, g.K-k)
			tile.run(&sum[k*row+i], &dy[k], &p[i], 1, pixels, 0, g.K, 0, row, row)
			k += tile.filters
		}
		i += vectors * active.lanes
	}
	for k := range g.K {
		Add(dw[k*n:(k+1)*n], dw[k*n:(k+1)*n], sum[k*row:k*row+n])
	}
}
