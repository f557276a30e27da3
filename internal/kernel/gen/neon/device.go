package main

import "fmt"

// device writes what only inference uses: the first convolution with what follows it, pools, the classifier.
func (f *file) device() {
	for _, shape := range [][2]int{{2, 4}, {2, 1}, {1, 4}, {1, 1}} {
		f.flatConv(shape[0], shape[1])
	}
	for _, vectors := range []int{4, 2, 1} { // sums wait for one another: several run side by side
		f.meanPixels(vectors)
		f.dense(vectors)
	}
	f.avgPool()
	f.pool("AvgPool2", "float32", "the sum, times scale,")
	f.pool("MaxPool2", "int32", "the maximum")
	f.activation()
}

func (f *file) flatConv(vectors, pixels int) {
	channels := vectors * lanes
	f.function(fmt.Sprintf("FlatConvTile%dx%d", vectors, pixels),
		"dst *float32, signs *uint8, x, w, scale, bias *float32, blocks, rows, run, xRow, xPixel, wStep, dstPixel, signsPixel, copies, copyStep int, low, high float32",
		[]string{fmt.Sprintf("computes blocks of %d pixels by %d channels of a convolution and what follows it:", pixels, channels),
			"",
			"\tsum = sum over r < rows, i < run of x[p*xPixel+r*xRow+i] * w[(r*run+i)*wStep+c], in ascending order, from 0",
			"\ty   = min(high, max(low, sum*scale[c] + bias[c]))",
			"\tdst[p*dstPixel+j*copyStep+c] = y for j < copies, unless dst is nil",
			"\tbit c of the bytes from signs[p*signsPixel+j*copyStep/8] on = y < 0, unless signs is nil",
			"",
			fmt.Sprintf("for p < %d*blocks and c < %d. Products are rounded before they are added; NaN stays NaN. Strides count elements, that of a", pixels, channels),
			"nil is 0; blocks, rows, run and copies are at least 1."}, func(a *fn) {
			dst, signs, x, blocks := a.param("dst"), a.param("signs"), a.param("x"), a.param("blocks")
			xPixel, xRow, wStep := a.scaled("xPixel", 2), a.scaled("xRow", 2), a.scaled("wStep", 2)
			acc := a.takeVecs(vectors * registers * pixels)
			a.loop("block", blocks, func() {
				a.zero(acc...)
				row, w, rows := a.clone(x), a.param("w"), a.param("rows")
				a.loop("row", rows, func() {
					s, run := a.pixels(row, xPixel, pixels), a.param("run")
					a.loop("run", run, func() { a.multiplyAdd(acc, w, wStep, s) })
					a.add(xRow, row)
				})
				a.finish(acc, vectors, dst, signs)
				for range pixels {
					a.add(xPixel, x)
				}
			})
			a.op("RET")
		})
}

// finish writes what follows the sums of a block of flatConv, and moves dst and signs on by it.
func (a *fn) finish(acc []vec, vectors int, dst, signs gp) {
	n := vectors * registers
	a.scope(func() {
		low, high, scale, bias := a.broadcast("low"), a.broadcast("high"), a.takeVecs(n), a.takeVecs(n)
		a.load(a.param("scale"), 0, scale...)
		a.load(a.param("bias"), 0, bias...)
		for i, r := range acc {
			a.fmul4(r, r, scale[i%n])
		}
		for i, r := range acc {
			a.fadd4(r, r, bias[i%n])
		}
		for _, r := range acc {
			a.fmax4(r, r, low)
		}
		for _, r := range acc {
			a.fmin4(r, r, high)
		}
	})
	dstPixel, signsPixel, copyStep := a.scaled("dstPixel", 2), a.param("signsPixel"), a.param("copyStep")
	weights := a.byteBits()
	for p := range len(acc) / n {
		y := acc[p*n:][:n]
		noFloats, noSigns := a.label("noFloats"), a.label("noSigns")
		a.op("CBZ", dst, noFloats)
		a.scope(func() {
			d, copies := a.clone(dst), a.param("copies")
			a.loop("floats", copies, func() {
				a.store(d, 0, y...)
				a.op("ADD", fmt.Sprintf("%v<<2", copyStep), d, d)
			})
		})
		a.at(noFloats)
		a.op("CBZ", signs, noSigns)
		a.scope(func() {
			masks := a.takeVecs(n)
			for i, m := range masks {
				a.fltz4(m, y[i])
			}
			bits, d, copies := a.gather(weights, masks), a.clone(signs), a.param("copies")
			a.loop("signs", copies, func() {
				a.op(storeBits(n), bits, mem(d, 0))
				a.op("ADD", fmt.Sprintf("%v>>3", copyStep), d, d)
			})
		})
		a.at(noSigns)
		a.add(dstPixel, dst)
		a.add(signsPixel, signs)
	}
}

// storeBits is the instruction that stores a bit for each lane of n registers.
func storeBits(n int) string { return map[int]string{2: "MOVB", 4: "MOVH", 8: "MOVW"}[n] }

func (f *file) meanPixels(vectors int) {
	f.function(fmt.Sprintf("MeanPixels%d", vectors), "dst, x *float32, pixels, step int, scale float32",
		[]string{fmt.Sprintf("is dst[c] = scale * sum over p < pixels of x[p*step+c], in ascending order, from 0, for %d channels c. pixels is at least 1.", vectors*lanes)}, func(a *fn) {
			dst, x, pixels, step := a.param("dst"), a.param("x"), a.param("pixels"), a.scaled("step", 2)
			acc, scale := a.zeros(vectors*registers), a.broadcast("scale")
			a.loop("pixel", pixels, func() {
				v := a.takeVecs(len(acc))
				a.load(x, 0, v...)
				a.add(step, x)
				for i, r := range acc {
					a.fadd4(r, r, v[i])
				}
			})
			for _, r := range acc {
				a.fmul4(r, r, scale)
			}
			a.store(dst, 0, acc...)
			a.op("RET")
		})
}

func (f *file) dense(vectors int) {
	f.function(fmt.Sprintf("Dense%d", vectors), "dst, x, w, bias *float32, depth, wStep int",
		[]string{fmt.Sprintf("is dst[o] = bias[o] + sum over i < depth of w[i*wStep+o]*x[i], in ascending order, from 0, the bias last, for %d outputs o.", vectors*lanes),
			rounded + "depth is at least 1."}, func(a *fn) {
			dst, x, w, depth, step := a.param("dst"), a.param("x"), a.param("w"), a.param("depth"), a.scaled("wStep", 2)
			acc := a.zeros(vectors * registers)
			a.loop("input", depth, func() { a.multiplyAdd(acc, w, step, []gp{x}) })
			v := a.takeVecs(len(acc))
			a.load(a.param("bias"), 0, v...)
			for i, r := range acc {
				a.fadd4(r, r, v[i])
			}
			a.store(dst, 0, acc...)
			a.op("RET")
		})
}

func (f *file) avgPool() {
	f.function("AvgPool", "dst, x *float32, pixels, rows, taps, xRow, xTap, xPixel, dstPixel int, scale float32",
		[]string{"is, over 8 channels c and pixels p, at least 1,",
			"",
			"\tdst[p*dstPixel+c] = scale * sum over r < rows, s < taps of x[p*xPixel+r*xRow+s*xTap+c]",
			"",
			"in ascending order, beginning with the first."}, func(a *fn) {
			dst, x, pixels := a.param("dst"), a.param("x"), a.param("pixels")
			xRow, xTap, xPixel, dstPixel := a.scaled("xRow", 2), a.scaled("xTap", 2), a.scaled("xPixel", 2), a.scaled("dstPixel", 2)
			scale, minusZero := a.broadcast("scale"), a.words(1<<31)
			a.loop("pixel", pixels, func() {
				acc := a.takeVecs(registers)
				for _, r := range acc {
					a.move(r, minusZero) // adds nothing, not even to a sum of -0
				}
				row, rows := a.clone(x), a.param("rows")
				a.loop("row", rows, func() {
					s, taps := a.clone(row), a.param("taps")
					a.loop("tap", taps, func() {
						v := a.takeVecs(registers)
						a.load(s, 0, v...)
						a.add(xTap, s)
						for i, r := range acc {
							a.fadd4(r, r, v[i])
						}
					})
					a.add(xRow, row)
				})
				for _, r := range acc {
					a.fmul4(r, r, scale)
				}
				a.store(dst, 0, acc...)
				a.add(xPixel, x)
				a.add(dstPixel, dst)
			})
			a.op("RET")
		})
}

// pool writes a pass over windows of 2x2: the mean of floats, or the maximum of integers.
func (f *file) pool(name, element, doc string) {
	mean := element == "float32"
	f.function(name, "dst, x *"+element+", pixels, xRow, xTap, xPixel, dstPixel int, scale float32",
		[]string{"is, over 8 channels c and pixels p, at least 1, " + doc,
			"of x[p*xPixel+c], x[p*xPixel+xTap+c], x[p*xPixel+xRow+c], x[p*xPixel+xRow+xTap+c], in this order, to dst[p*dstPixel+c]."}, func(a *fn) {
			dst, x, pixels := a.param("dst"), a.param("x"), a.param("pixels")
			right, below, xPixel, dstPixel := a.scaled("xTap", 2), a.scaled("xRow", 2), a.scaled("xPixel", 2), a.scaled("dstPixel", 2)
			var scale vec
			if mean {
				scale = a.broadcast("scale")
			}
			across := a.gp()
			a.op("ADD", right, below, across)
			a.loop("pixel", pixels, func() {
				acc := a.takeVecs(registers)
				a.load(x, 0, acc...)
				for _, offset := range []gp{right, below, across} {
					a.scope(func() {
						at, v := a.gp(), a.takeVecs(registers)
						a.op("ADD", offset, x, at)
						a.load(at, 0, v...)
						for i, r := range acc {
							if mean {
								a.fadd4(r, r, v[i])
							} else {
								a.smax4(r, r, v[i])
							}
						}
					})
				}
				if mean {
					for _, r := range acc {
						a.fmul4(r, r, scale)
					}
				}
				a.store(dst, 0, acc...)
				a.add(xPixel, x)
				a.add(dstPixel, dst)
			})
			a.op("RET")
		})
}

func (f *file) activation() {
	f.function("Activation", "dst *float32, signs *uint8, x, params *float32, pixels, vectors, dstPixel, signsPixel, xPixel int",
		[]string{"computes, for vectors of 8 channels c and pixels p, at least 1,",
			"",
			"\tu = x[p*xPixel+c]*params[0] + params[1];  u = u where u > 0, else u*params[2]",
			"\tdst[p*dstPixel+c] = v = u*params[3] + params[4]",
			"\tbit c of the bytes from signs[p*signsPixel] on = v*params[5] + params[6] < 0, unless signs is nil",
			"",
			"where params[i] is that of the channel: a vector of each for every vector of channels. Products are rounded before they are",
			"added. dst may be x. Strides of floats count elements."}, func(a *fn) {
			dst, signs, x, pixels := a.param("dst"), a.param("signs"), a.param("x"), a.param("pixels")
			dstPixel, signsPixel, xPixel, weights := a.scaled("dstPixel", 2), a.param("signsPixel"), a.scaled("xPixel", 2), a.byteBits()
			a.loop("pixel", pixels, func() {
				d, s, from, params, vectors := a.clone(dst), a.clone(signs), a.clone(x), a.param("params"), a.param("vectors")
				a.loop("vector", vectors, func() {
					u, k := a.takeVecs(registers), a.takeVecs(registers)
					a.loadNext(from, u...)
					scaleAndAdd := func() {
						a.loadNext(params, k...)
						for i, r := range u {
							a.fmul4(r, r, k[i])
						}
						a.loadNext(params, k...)
						for i, r := range u {
							a.fadd4(r, r, k[i])
						}
					}
					scaleAndAdd()
					a.loadNext(params, k...)
					for i, r := range u {
						positive := a.vec()
						a.fgtz4(positive, r)
						a.fmul4(k[i], k[i], r)
						a.op("VBIF", positive.as("B16"), k[i].as("B16"), r.as("B16"))
					}
					scaleAndAdd()
					a.storeNext(d, u...)
					noSigns, done := a.label("noSigns"), a.label("done")
					a.op("CBZ", signs, noSigns)
					scaleAndAdd()
					for _, r := range u {
						a.fltz4(r, r)
					}
					a.op("MOVB.P", a.gather(weights, u), mem(s, 1))
					a.op("JMP", done)
					a.at(noSigns)
					a.add(2*4*lanes, params)
					a.at(done)
				})
				a.add(dstPixel, dst)
				a.add(signsPixel, signs)
				a.add(xPixel, x)
			})
			a.op("RET")
		})
}
