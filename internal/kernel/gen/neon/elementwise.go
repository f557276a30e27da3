package main

// elementwise writes the float32 passes over whole vectors.
func (f *file) elementwise() {
	f.flat("Add", "dst, a, b *float32", "is dst[i] = a[i] + b[i] over vectors of 8, at least 1.", nil,
		func(a *fn, _ []vec, x, y vec) { a.fadd4(x, x, y) })
	f.flat("Hardtanh", "dst, src *float32", "is dst[i] = min(1, max(-1, src[i])) over vectors of 8, at least 1; NaN stays NaN.", []uint32{bitsMinusOne, bitsOne},
		func(a *fn, c []vec, x, _ vec) {
			a.fmax4(x, x, c[0])
			a.fmin4(x, x, c[1])
		})
	f.flat("HardtanhGrad", "dx, dy, y *float32", "is dx[i] = dy[i] where |y[i]| < 1, else 0, over vectors of 8, at least 1.", []uint32{bitsOne},
		func(a *fn, c []vec, dy, y vec) {
			a.facgt4(y, c[0], y)
			a.and(dy, dy, y)
		})
	f.channels("ScaleChannels", "dst, src, scale *float32", "scale[c] * src[p*step+c]", false)
	f.channels("ScaleCounts", "dst *float32, counts *int32, scale *float32", "scale[c] * float32(counts[p*step+c])", true)
	f.affine("Affine", "src *float32", "src[p*srcStep+c]", false)
	f.affine("AffineCounts", "src *int32", "float32(src[p*srcStep+c])", true)
	f.addAvgPoolGrad()
}

const (
	bitsOne      = 0x3f800000
	bitsMinusOne = 0xbf800000
)

// flat writes a pass over vectors: compute turns a register of the first source, and one of the second where there is one,
// into the result, which it leaves in the first.
func (f *file) flat(name, pointers, doc string, constants []uint32, compute func(a *fn, constants []vec, x, y vec)) {
	f.function(name, pointers+", vectors int", []string{doc}, func(a *fn) {
		var p []gp
		for _, n := range a.order[:len(a.order)-1] {
			p = append(p, a.param(n))
		}
		c, vectors := []vec{}, a.param("vectors")
		for _, bits := range constants {
			c = append(c, a.words(bits))
		}
		a.loop("vector", vectors, func() {
			x, y := a.takeVecs(registers), a.takeVecs(registers)
			a.loadNext(p[1], x...)
			if len(p) == 3 {
				a.loadNext(p[2], y...)
			}
			for i := range x {
				compute(a, c, x[i], y[i])
			}
			a.storeNext(p[0], x...)
		})
		a.op("RET")
	})
}

const overPixels = " for 8 channels c and pixels p, at least 1"

// channels writes the product of each pixel with a scale by channel.
func (f *file) channels(name, pointers, product string, counts bool) {
	f.function(name, pointers+", pixels, step int", []string{"is dst[p*step+c] = " + product + overPixels + "."}, func(a *fn) {
		dst, src, scale, pixels, step := a.param(a.order[0]), a.param(a.order[1]), a.param("scale"), a.param("pixels"), a.scaled("step", 2)
		s := a.takeVecs(registers)
		a.load(scale, 0, s...)
		a.loop("pixel", pixels, func() {
			v := a.takeVecs(registers)
			a.load(src, 0, v...)
			for i, r := range v {
				if counts {
					a.scvtf4(r, r)
				}
				a.fmul4(r, r, s[i])
			}
			a.store(dst, 0, v...)
			a.add(step, src, dst)
		})
		a.op("RET")
	})
}

func (f *file) affine(name, src, element string, counts bool) {
	f.function(name, "dst *float32, "+src+", scale, bias *float32, pixels, dstStep, srcStep int",
		[]string{"is dst[p*dstStep+c] = scale[c]*" + element + " + bias[c]" + overPixels + ", the product rounded first."}, func(a *fn) {
			dst, from, scale, bias := a.param("dst"), a.param("src"), a.param("scale"), a.param("bias")
			pixels, dstStep, srcStep := a.param("pixels"), a.scaled("dstStep", 2), a.scaled("srcStep", 2)
			s, b := a.takeVecs(registers), a.takeVecs(registers)
			a.load(scale, 0, s...)
			a.load(bias, 0, b...)
			a.loop("pixel", pixels, func() {
				v := a.takeVecs(registers)
				a.load(from, 0, v...)
				for i, r := range v {
					if counts {
						a.scvtf4(r, r)
					}
					a.fmul4(r, r, s[i])
				}
				for i, r := range v {
					a.fadd4(r, r, b[i])
				}
				a.store(dst, 0, v...)
				a.add(srcStep, from)
				a.add(dstStep, dst)
			})
			a.op("RET")
		})
}

func (f *file) addAvgPoolGrad() {
	f.function("AddAvgPoolGrad", "dx, dy *float32, pixels, rows, taps, xRow, xTap, xPixel, dyPixel int, scale float32",
		[]string{"adds, over 8 channels c and pixels p, rows r and taps s, at least 1 of each, one after the other,",
			"",
			"\tdx[p*xPixel+r*xRow+s*xTap+c] += scale*dy[p*dyPixel+c]",
			"",
			"the product rounded first."}, func(a *fn) {
			dx, dy, pixels := a.param("dx"), a.param("dy"), a.param("pixels")
			xRow, xTap, xPixel, dyPixel := a.scaled("xRow", 2), a.scaled("xTap", 2), a.scaled("xPixel", 2), a.scaled("dyPixel", 2)
			scale := a.broadcast("scale")
			a.loop("pixel", pixels, func() {
				g := a.takeVecs(registers)
				a.load(dy, 0, g...)
				for _, r := range g {
					a.fmul4(r, r, scale)
				}
				row, rows := a.clone(dx), a.param("rows")
				a.loop("row", rows, func() {
					x, taps := a.clone(row), a.param("taps")
					a.loop("tap", taps, func() {
						v := a.takeVecs(registers)
						a.load(x, 0, v...)
						for i, r := range v {
							a.fadd4(r, r, g[i])
						}
						a.store(x, 0, v...)
						a.add(xTap, x)
					})
					a.add(xRow, row)
				})
				a.add(xPixel, dx)
				a.add(dyPixel, dy)
			})
			a.op("RET")
		})
}
