package main

import "fmt"

// block writes the passes of a block of layers over an image: they work in steps of 16 elements, four registers of float32
// or eight of float64, for sources of whole steps of channels, of 8 and of 4.
func (f *file) block() {
	for _, n := range []int{16, 8, 4} {
		f.blockForward(n, false)
		f.blockReduce(n)
		f.blockSpread(n)
	}
	f.blockForward(16, true)
	f.countMoments()
	f.maskGrad()
	f.combineMasked()
}

const quads = interleaved / 4 // registers of a step

// sources describes the channels of n computed maps that a step of 16 copies takes.
func sources(n int) string {
	if n == 16 {
		return "n a multiple of 16"
	}
	return fmt.Sprintf("n = %d", n)
}

// counts loads the n int16 of a step.
func (a *fn) counts(p gp, n int) []vec {
	v := a.takeVecs(max(1, n/8))
	if n == 4 {
		a.op("FMOVD", mem(p, 0), v[0].f())
	} else {
		a.load(p, 0, v...)
	}
	return v
}

// countsOf makes float64 of those counts that register i of a step takes.
func (a *fn) countsOf(v []vec, n, i int) [2]vec {
	i %= n / 4
	d := [2]vec{a.vec(), a.vec()}
	a.signExtend(d[0], v[i/2], i%2)
	a.scvtf4(d[0], d[0]) // exact
	a.widen(d[0], d[1], d[0])
	return d
}

// masked loads a step where the bits at mask are set, 0 elsewhere.
func (a *fn) masked(p, mask gp, weights []vec) []vec {
	v := a.takeVecs(quads)
	a.load(p, 0, v...)
	a.scope(func() {
		word, bits, m := a.gp(), a.vec(), a.takeVecs(quads)
		a.op("MOVHU", mem(mask, 0), word)
		a.op("VDUP", word, bits.as("S4"))
		for i, r := range m {
			a.op("VCMTST", weights[i].as("S4"), bits.as("S4"), r.as("S4"))
			a.and(v[i], v[i], r)
		}
	})
	return v
}

// blockForward writes the pass over counts, or over float32.
func (f *file) blockForward(n int, floats bool) {
	name, src, size := "BlockForward", "*int16", 2
	if floats {
		name, src, size = "NormForward", "*float32", 4
	}
	f.function(fmt.Sprintf("%s%d", name, n),
		"y *float32, mask *uint16, signs *uint64, sum, squares *float64, src "+src+", s *float32, scale, bias *float64, pixels, steps, copies, signSkip int",
		[]string{fmt.Sprintf("computes, for pixels of copies times steps of 16 channels, %s,", sources(n)),
			"",
			"\ty[p,j] = min(1, max(-1, float32(scale[j]*src[p, j mod n] + bias[j]) + s[p,j]))",
			"",
			"without s if it is nil; the bits |y| < 1 in mask and y < 0 in signs, signSkip bytes further on after each pixel; and adds",
			"element 16*k+i of y to sum[i] and its square to squares[i].",
			"steps is n/16 or, with a smaller n, that of the whole pixel and copies 1. pixels, steps and copies are at least 1."}, func(a *fn) {
			y, mask, signs, x, s, pixels := a.param("y"), a.param("mask"), a.param("signs"), a.param("src"), a.param("s"), a.param("pixels")
			skip, sum, squares := a.param("signSkip"), a.param("sum"), a.param("squares")
			sums, products := a.takeVecs(interleaved/2), a.takeVecs(interleaved/2)
			a.load(sum, 0, sums...)
			a.load(squares, 0, products...)
			one, minus, weights := a.words(bitsOne), a.words(bitsMinusOne), a.byteBits()
			a.loop("pixel", pixels, func() {
				scale, bias, copies, next := a.param("scale"), a.param("bias"), a.param("copies"), a.gp()
				a.loop("copy", copies, func() {
					a.op("MOVD", x, next)
					steps := a.param("steps")
					a.loop("step", steps, func() {
						v := a.normalised(next, scale, bias, n, floats)
						if n == 16 {
							a.add(size*n, next)
						}
						plain := a.label("plain")
						a.op("CBZ", s, plain)
						a.scope(func() {
							shortcut := a.takeVecs(quads)
							a.loadNext(s, shortcut...)
							for i, r := range shortcut {
								a.fadd4(v[i], v[i], r)
							}
						})
						a.at(plain)
						for _, r := range v {
							a.fmax4(r, r, minus)
						}
						for _, r := range v {
							a.fmin4(r, r, one)
						}
						a.storeNext(y, v...)
						a.scope(func() {
							m := a.takeVecs(quads)
							for i, r := range m {
								a.fltz4(r, v[i])
							}
							a.op("MOVH.P", a.gather(weights, m), mem(signs, 2))
							for i, r := range m {
								a.facgt4(r, one, v[i])
							}
							a.op("MOVH.P", a.gather(weights, m), mem(mask, 2))
						})
						for i, r := range v {
							a.scope(func() {
								for j, d := range a.widened(r) {
									a.fadd2(sums[2*i+j], sums[2*i+j], d)
									a.fmla2(products[2*i+j], d, d) // the product is exact
								}
							})
						}
					})
				})
				if n == 16 {
					a.op("MOVD", next, x)
				} else {
					a.add(size*n, x)
				}
				a.add(skip, signs)
			})
			a.store(sum, 0, sums...)
			a.store(squares, 0, products...)
			a.op("RET")
		})
}

// normalised writes float32(scale*x + bias) of a step, and moves scale and bias on.
func (a *fn) normalised(x, scale, bias gp, n int, floats bool) []vec {
	v := a.takeVecs(quads)
	a.scope(func() {
		var source []vec
		if floats {
			a.load(x, 0, v...)
		} else {
			source = a.counts(x, n)
		}
		for i, r := range v {
			a.scope(func() {
				var d [2]vec
				if floats {
					d = a.widened(r)
				} else {
					d = a.countsOf(source, n, i)
				}
				m := a.takeVecs(2)
				a.loadNext(scale, m...)
				for j, w := range d {
					a.fmul2(w, w, m[j])
				}
				a.loadNext(bias, m...)
				for j, w := range d {
					a.fadd2(w, w, m[j])
				}
				a.narrow(r, d[0], d[1])
			})
		}
	})
	return v
}

func (f *file) blockReduce(n int) {
	f.function(fmt.Sprintf("BlockReduce%d", n), "sum, products *float64, dy *float32, mask *uint16, counts *int16, pixels, dyStep, countStep int",
		[]string{"adds g = dy[p*dyStep+j], where the bit of mask is set, for p < pixels to sum[j], and g*counts[p*countStep + j mod n] to products[j],",
			fmt.Sprintf("for 16 channels j and %s, in ascending order, products rounded first. A pixel has dyStep bits of mask.", sources(n))}, func(a *fn) {
			dy, mask, src, pixels := a.param("dy"), a.param("mask"), a.param("counts"), a.param("pixels")
			dyStep, maskStep, countStep := a.scaled("dyStep", 2), a.param("dyStep"), a.scaled("countStep", 1)
			a.op("LSR", imm(3), maskStep, maskStep)
			sum, products := a.param("sum"), a.param("products")
			s, q := a.takeVecs(interleaved/2), a.takeVecs(interleaved/2)
			a.load(sum, 0, s...)
			a.load(products, 0, q...)
			weights := a.laneBits(interleaved)
			a.loop("pixel", pixels, func() {
				g := a.masked(dy, mask, weights)
				c := a.counts(src, n)
				for i, r := range g {
					a.scope(func() {
						counts, d := a.countsOf(c, n, i), a.widened(r)
						for j, v := range d {
							a.fadd2(s[2*i+j], s[2*i+j], v)
							a.fmla2(q[2*i+j], v, counts[j]) // the product is exact
						}
					})
				}
				a.add(dyStep, dy)
				a.add(maskStep, mask)
				a.add(countStep, src)
			})
			a.store(sum, 0, s...)
			a.store(products, 0, q...)
			a.op("RET")
		})
}

func (f *file) blockSpread(n int) {
	f.function(fmt.Sprintf("BlockSpread%d", n),
		"dx, dy *float32, mask *uint16, counts *int16, scale, a, b *float64, pixels, steps, dxPixel, copyStep int",
		[]string{"is dx[p*dxPixel+c] = a[c] + b[c]*counts[p*dxPixel+c] + sum over the copies j of c of scale[j]*dy[p*dyPixel+j] where the bit of mask is",
			fmt.Sprintf("set, for %d channels c and p < pixels, in ascending order, products rounded first. %s. The copies come in steps of 16 elements,", n, sources(n)),
			"copyStep elements apart, and dyPixel, the elements of a pixel and the bits of its mask, is steps*copyStep. pixels and steps are at least 1."}, func(a *fn) {
			dx, dy, mask, src, pixels := a.param("dx"), a.param("dy"), a.param("mask"), a.param("counts"), a.param("pixels")
			first, slope, dxPixel, srcPixel := a.param("a"), a.param("b"), a.scaled("dxPixel", 2), a.scaled("dxPixel", 1)
			dyStep, scaleStep, maskStep := a.scaled("copyStep", 2), a.scaled("copyStep", 3), a.param("copyStep")
			a.op("LSR", imm(3), maskStep, maskStep)
			weights, acc := a.laneBits(interleaved), a.takeVecs(n/2)
			a.loop("pixel", pixels, func() {
				a.scope(func() {
					c := a.counts(src, n)
					for i := 0; i < len(acc); i += 2 {
						a.scope(func() {
							m, d := a.takeVecs(2), a.countsOf(c, n, i/2)
							a.load(slope, 16*i, m...)
							a.load(first, 16*i, acc[i], acc[i+1])
							for j, v := range d {
								a.fmul2(v, v, m[j])
								a.fadd2(acc[i+j], acc[i+j], v)
							}
						})
					}
				})
				scale, steps := a.param("scale"), a.param("steps")
				a.loop("step", steps, func() {
					for i, r := range a.masked(dy, mask, weights) {
						a.scope(func() {
							m, d := a.takeVecs(2), a.widened(r)
							a.load(scale, 32*i, m...)
							for j, v := range d {
								to := acc[(2*i+j)%len(acc)]
								a.fmul2(v, v, m[j])
								a.fadd2(to, to, v)
							}
						})
					}
					a.add(dyStep, dy)
					a.add(scaleStep, scale)
					a.add(maskStep, mask)
				})
				for i := 0; i < len(acc); i += 2 {
					a.narrow(acc[i], acc[i], acc[i+1])
					a.store(dx, 8*i, acc[i])
				}
				a.add(dxPixel, dx)
				a.add(srcPixel, src)
			})
			a.op("RET")
		})
}

func (f *file) countMoments() {
	f.function("CountMoments", "dst *int16, sum, squares, counts *int32, pixels, step int",
		[]string{"is dst[p*step+c] = counts[p*step+c], and adds them to sum[c] and their squares to squares[c], for 8 channels c and pixels p, at least 1."}, func(a *fn) {
			dst, src, pixels, step, half := a.param("dst"), a.param("counts"), a.param("pixels"), a.scaled("step", 2), a.scaled("step", 1)
			sum, squares := a.param("sum"), a.param("squares")
			s, q := a.takeVecs(2), a.takeVecs(2)
			a.load(sum, 0, s...)
			a.load(squares, 0, q...)
			a.loop("pixel", pixels, func() {
				v, narrow := a.takeVecs(2), a.vec()
				a.load(src, 0, v...)
				a.op("VUZP1", v[1].as("H8"), v[0].as("H8"), narrow.as("H8"))
				for i, r := range v {
					a.op("VADD", r.as("S4"), s[i].as("S4"), s[i].as("S4"))
					a.mla4(q[i], r, r)
				}
				a.store(dst, 0, narrow)
				a.add(step, src)
				a.add(half, dst)
			})
			a.store(sum, 0, s...)
			a.store(squares, 0, q...)
			a.op("RET")
		})
}

func (f *file) maskGrad() {
	f.function("MaskGrad", "dx, dy *float32, mask *uint16, steps int",
		[]string{"is dx[j] = dy[j] where bit j of mask is set, else 0, for j < 16*steps; steps is at least 1."}, func(a *fn) {
			dx, dy, mask, steps := a.param("dx"), a.param("dy"), a.param("mask"), a.param("steps")
			weights := a.laneBits(interleaved)
			a.loop("step", steps, func() {
				a.storeNext(dx, a.masked(dy, mask, weights)...)
				a.add(4*interleaved, dy)
				a.add(2, mask)
			})
			a.op("RET")
		})
}

func (f *file) combineMasked() {
	f.function("CombineMasked", "dst, d, x, dy *float32, mask *uint16, steps int, p, q, r float64",
		[]string{"is dst[j] = float32(p*d[j] + (q*x[j] + r)) + (dy[j] where bit j of mask is set, else 0) for j < 16*steps, products rounded first."}, func(a *fn) {
			dst, d, x, dy, mask, steps := a.param("dst"), a.param("d"), a.param("x"), a.param("dy"), a.param("mask"), a.param("steps")
			c, weights := a.combination(), a.laneBits(interleaved)
			a.loop("step", steps, func() {
				g := a.masked(dy, mask, weights)
				v, w := a.takeVecs(quads), a.takeVecs(quads)
				a.loadNext(d, v...)
				a.loadNext(x, w...)
				for i := range v {
					a.combined(c, v[i], w[i])
					a.fadd4(v[i], v[i], g[i])
				}
				a.storeNext(dst, v...)
				a.add(4*interleaved, dy)
				a.add(2, mask)
			})
			a.op("RET")
		})
}
