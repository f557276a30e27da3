package main

import "fmt"

// A vector of the tier is a pair of registers: eight float32, in steps of which package kernel lays out its work.
const (
	lanes     = 8
	registers = lanes / 4 // of a vector
)

const rounded = "Products are rounded before they are added. "

// conv writes ConvTileVxP for V vectors of output channels and P pixels a block.
func (f *file) conv() {
	for _, shape := range [][2]int{{2, 4}, {2, 1}, {1, 8}, {1, 1}} {
		f.convTile(shape[0], shape[1])
	}
}

func (f *file) convTile(vectors, pixels int) {
	channels := vectors * lanes
	f.function(fmt.Sprintf("ConvTile%dx%d", vectors, pixels),
		"dst, src, w *float32, blocks, rows, taps, depth, srcRow, srcPixel, dstPixel, wStep int",
		[]string{fmt.Sprintf("computes blocks of %d pixels by %d channels:", pixels, channels),
			"",
			"\tdst[p*dstPixel+c] = sum over r < rows, s < taps, d < depth of",
			"\t                    src[p*srcPixel+r*srcRow+s*depth+d] * w[((r*taps+s)*depth+d)*wStep+c]",
			"",
			fmt.Sprintf("for p < %d*blocks and c < %d: one sum over d for each tap, from 0, and then over the taps, from 0; all in ascending order.", pixels, channels),
			rounded + "Strides count elements; blocks, rows, taps and depth are at least 1."},
		func(a *fn) {
			dst, src, blocks := a.param("dst"), a.param("src"), a.param("blocks")
			srcRow, srcPixel, wStep, dstPixel := a.scaled("srcRow", 2), a.scaled("srcPixel", 2), a.scaled("wStep", 2), a.scaled("dstPixel", 2)
			acc := a.takeVecs(vectors * registers * pixels)
			// The sums over the taps are in dst itself: few pixels leave no registers for them.
			each := func(touch func(p gp, v []vec)) {
				a.scope(func() {
					p, n := a.clone(dst), len(acc)/pixels
					for i := range pixels {
						touch(p, acc[i*n:(i+1)*n])
						if i < pixels-1 {
							a.add(dstPixel, p)
						}
					}
				})
			}
			a.loop("block", blocks, func() {
				a.zero(acc...)
				each(func(p gp, v []vec) { a.store(p, 0, v...) })
				row, w, rows := a.clone(src), a.param("w"), a.param("rows")
				a.loop("row", rows, func() {
					s := a.pixels(row, srcPixel, pixels)
					taps := a.param("taps")
					a.loop("tap", taps, func() {
						a.zero(acc...)
						depth := a.param("depth")
						a.loop("depth", depth, func() { a.multiplyAdd(acc, w, wStep, s) })
						each(func(p gp, v []vec) {
							a.scope(func() {
								total := a.takeVecs(len(v))
								a.load(p, 0, total...)
								for i, t := range total {
									a.fadd4(t, t, v[i])
								}
								a.store(p, 0, total...)
							})
						})
					})
					a.add(srcRow, row)
				})
				for range pixels {
					a.add(srcPixel, src)
					a.add(dstPixel, dst)
				}
			})
			a.op("RET")
		})
}

// pixels returns pointers to n pixels step bytes apart.
func (a *fn) pixels(first, step gp, n int) []gp {
	s := []gp{a.clone(first)}
	for len(s) < n {
		p := a.gp()
		a.op("ADD", step, s[len(s)-1], p)
		s = append(s, p)
	}
	return s
}

// multiplyAdd writes acc[p][i] += x[p]·w[i] with the scalars x that the pointers s point to and the vectors w, the
// products rounded first. It moves s on by an element and w by wStep. Products of one scalar are added after those of the
// next are on their way.
func (a *fn) multiplyAdd(acc []vec, w, wStep gp, s []gp) {
	n := len(acc) / len(s)
	wv := a.takeVecs(n)
	a.load(w, 0, wv...)
	a.add(wStep, w)
	groups := min(2, len(s))
	x, products := a.takeVecs(len(s)), a.takeVecs(groups*n)
	for p, r := range s {
		a.op("FMOVS.P", mem(r, 4), x[p].f())
	}
	add := func(p int) {
		for i := range n {
			a.fadd4(acc[p*n+i], acc[p*n+i], products[p%groups*n+i])
		}
	}
	for p, v := range x {
		for i, m := range wv {
			a.fmul4Lane(products[p%groups*n+i], m, v)
		}
		if p > 0 {
			add(p - 1)
		}
	}
	add(len(s) - 1)
}

// grad writes GradTileKxV for K filters and V vectors of window elements.
func (f *file) grad() {
	f.gradTile(4, 2)
	f.gradTile(4, 1)
}

func (f *file) gradTile(filters, vectors int) {
	f.function(fmt.Sprintf("GradTile%dx%d", filters, vectors),
		"dw, dy, x *float32, rows, pixels, dyRow, dyPixel, xRow, xPixel, dwStep int",
		[]string{fmt.Sprintf("adds to %d filters by %d window elements:", filters, vectors*lanes),
			"",
			"\tdw[k*dwStep+i] += sum over y < rows, z < pixels of dy[y*dyRow+z*dyPixel+k] * x[y*xRow+z*xPixel+i]",
			"",
			fmt.Sprintf("for k < %d and i < %d: one sum in ascending order, then added. Products are rounded first.", filters, vectors*lanes),
			"Strides count elements; rows and pixels are at least 1."},
		func(a *fn) {
			dyRow, xRow, rows := a.param("dy"), a.param("x"), a.param("rows")
			dyStep, xStep, dyPixel, xPixel := a.scaled("dyRow", 2), a.scaled("xRow", 2), a.scaled("dyPixel", 2), a.scaled("xPixel", 2)
			n := vectors * registers
			acc := a.zeros(filters * n)
			a.loop("row", rows, func() {
				dy, x, pixels := a.clone(dyRow), a.clone(xRow), a.param("pixels")
				a.loop("pixel", pixels, func() {
					v, g, products := a.takeVecs(n), a.takeVecs(filters), a.takeVecs(2*n)
					a.load(x, 0, v...)
					add := func(k int) {
						for i := range n {
							a.fadd4(acc[k*n+i], acc[k*n+i], products[k%2*n+i])
						}
					}
					for k := range filters {
						a.op("FMOVS", mem(dy, 4*k), g[k].f())
						for i := range n {
							a.fmul4Lane(products[k%2*n+i], v[i], g[k])
						}
						if k > 0 {
							add(k - 1)
						}
					}
					add(filters - 1)
					a.add(dyPixel, dy)
					a.add(xPixel, x)
				})
				a.add(dyStep, dyRow)
				a.add(xStep, xRow)
			})
			dw, dwStep := a.param("dw"), a.scaled("dwStep", 2)
			for k := range filters {
				a.scope(func() {
					v := a.takeVecs(n)
					a.load(dw, 0, v...)
					for i, r := range v {
						a.fadd4(r, r, acc[k*n+i])
					}
					a.store(dw, 0, v...)
					a.add(dwStep, dw)
				})
			}
			a.op("RET")
		})
}

// gatherRows writes the copying of windows: a run of at least 8 elements is whole vectors and one that ends with it.
func (f *file) gatherRows() {
	f.function("GatherRows", "dst, src *float32, pixels, rows, run, srcRow, srcPixel, dstPixel int",
		[]string{"is dst[p*dstPixel+r*run+i] = src[p*srcPixel+r*srcRow+i] for p < pixels, r < rows, i < run. pixels and rows are at least 1, run",
			"at least 8."}, func(a *fn) {
			dst, src, pixels := a.param("dst"), a.param("src"), a.param("pixels")
			srcRow, srcPixel, dstPixel, run := a.scaled("srcRow", 2), a.scaled("srcPixel", 2), a.scaled("dstPixel", 2), a.scaled("run", 2)
			a.loop("pixel", pixels, func() {
				from, to, rows := a.clone(src), a.clone(dst), a.param("rows")
				a.loop("row", rows, func() {
					s, d, end, v := a.clone(from), a.clone(to), a.gp(), a.takeVecs(registers)
					a.add(run, to)
					a.op("SUB", imm(4*lanes), to, end) // where the last vector goes
					vector, last := a.label("vector"), a.label("last")
					a.at(vector)
					a.op("CMP", end, d)
					a.op("BHS", last)
					a.loadNext(s, v...)
					a.storeNext(d, v...)
					a.op("JMP", vector)
					a.at(last)
					a.op("ADD", run, from, s)
					a.load(s, -4*lanes, v...)
					a.store(end, 0, v...)
					a.add(srcRow, from)
				})
				a.add(srcPixel, src)
				a.add(dstPixel, dst)
			})
			a.op("RET")
		})
}
