package main

// wide writes the passes that compute in float64, two elements in a register and four in a vector. A product of two float32
// is exact there, so that it may be fused with its addition.
func (f *file) wide() {
	f.moments()
	f.batchNorm()
	f.batchNormSums()
	f.batchNormGrad()
	f.sumSquares()
	f.signGrad()
	f.combine()
}

const (
	forHalf     = "for 4 channels c"
	interleaved = 16 // partial sums of a reduction over a whole map, and elements of a step
)

// doublesOf loads four float32 as float64.
func (a *fn) doublesOf(p gp, offset int) [2]vec {
	d := [2]vec{a.vec(), a.vec()}
	a.load(p, offset, d[0])
	a.widen(d[0], d[1], d[0])
	return d
}

// widened makes float64 of four float32.
func (a *fn) widened(v vec) [2]vec {
	d := [2]vec{a.vec(), a.vec()}
	a.widen(d[0], d[1], v)
	return d
}

// storeRounded rounds four float64 and stores them. The first of d then holds them.
func (a *fn) storeRounded(d [2]vec, p gp, offset int) {
	a.narrow(d[0], d[0], d[1])
	a.store(p, offset, d[0])
}

// pair loads four float64.
func (a *fn) pair(p gp) [2]vec {
	d := [2]vec{a.vec(), a.vec()}
	a.load(p, 0, d[:]...)
	return d
}

func (f *file) moments() {
	f.function("Moments", "sum, squares *float64, x *float32, pixels, step int",
		[]string{"adds x[p*step+c] for p < pixels to sum[c], and its square to squares[c], " + forHalf + ", in ascending order."}, func(a *fn) {
			x, pixels, step, sum, squares := a.param("x"), a.param("pixels"), a.scaled("step", 2), a.param("sum"), a.param("squares")
			s, q := a.pair(sum), a.pair(squares)
			a.loop("pixel", pixels, func() {
				v := a.doublesOf(x, 0)
				for i, r := range v {
					a.fadd2(s[i], s[i], r)
					a.fmla2(q[i], r, r)
				}
				a.add(step, x)
			})
			a.store(sum, 0, s[:]...)
			a.store(squares, 0, q[:]...)
			a.op("RET")
		})
}

func (f *file) batchNorm() {
	f.function("BatchNorm", "y, x *float32, scale, bias *float64, pixels, yStep, xStep int",
		[]string{"is y[p*yStep+c] = scale[c]*x[p*xStep+c] + bias[c] " + forHalf + " and p < pixels, the product rounded first."}, func(a *fn) {
			y, x, pixels, yStep, xStep := a.param("y"), a.param("x"), a.param("pixels"), a.scaled("yStep", 2), a.scaled("xStep", 2)
			s, b := a.pair(a.param("scale")), a.pair(a.param("bias"))
			a.loop("pixel", pixels, func() {
				v := a.doublesOf(x, 0)
				for i, r := range v {
					a.fmul2(r, r, s[i])
				}
				for i, r := range v {
					a.fadd2(r, r, b[i])
				}
				a.storeRounded(v, y, 0)
				a.add(xStep, x)
				a.add(yStep, y)
			})
			a.op("RET")
		})
}

func (f *file) batchNormSums() {
	f.function("BatchNormSums", "sum, products *float64, dy, x *float32, pixels, dyStep, xStep int",
		[]string{"adds dy[p*dyStep+c] for p < pixels to sum[c], and dy[p*dyStep+c]*x[p*xStep+c] to products[c], " + forHalf + ", in ascending order."}, func(a *fn) {
			dy, x, pixels, dyStep, xStep := a.param("dy"), a.param("x"), a.param("pixels"), a.scaled("dyStep", 2), a.scaled("xStep", 2)
			sum, products := a.param("sum"), a.param("products")
			s, q := a.pair(sum), a.pair(products)
			a.loop("pixel", pixels, func() {
				g, v := a.doublesOf(dy, 0), a.doublesOf(x, 0)
				for i := range g {
					a.fadd2(s[i], s[i], g[i])
					a.fmla2(q[i], g[i], v[i])
				}
				a.add(dyStep, dy)
				a.add(xStep, x)
			})
			a.store(sum, 0, s[:]...)
			a.store(products, 0, q[:]...)
			a.op("RET")
		})
}

func (f *file) batchNormGrad() {
	f.function("BatchNormGrad", "dx, dy, x *float32, scale, a, b *float64, pixels, copies, dyStep, xStep int",
		[]string{"is dx[p*xStep+c] = a[c] + b[c]*x[p*xStep+c] + sum over r < copies of scale[r*xStep+c]*dy[p*dyStep+r*xStep+c] " + forHalf + " and p < pixels, in ascending order, products rounded first."}, func(a *fn) {
			dx, dy, x, pixels := a.param("dx"), a.param("dy"), a.param("x"), a.param("pixels")
			dyStep, xStep, scaleStep := a.scaled("dyStep", 2), a.scaled("xStep", 2), a.scaled("xStep", 3)
			first, slope := a.pair(a.param("a")), a.pair(a.param("b"))
			a.loop("pixel", pixels, func() {
				acc := a.doublesOf(x, 0)
				for i, r := range acc {
					a.fmul2(r, r, slope[i])
				}
				for i, r := range acc {
					a.fadd2(r, r, first[i])
				}
				g, s, copies := a.clone(dy), a.param("scale"), a.param("copies")
				a.loop("copy", copies, func() {
					v, m := a.doublesOf(g, 0), a.pair(s)
					for i, r := range v {
						a.fmul2(r, r, m[i])
					}
					for i, r := range v {
						a.fadd2(acc[i], acc[i], r)
					}
					a.add(xStep, g)
					a.add(scaleStep, s)
				})
				a.storeRounded(acc, dx, 0)
				a.add(xStep, dx, x)
				a.add(dyStep, dy)
			})
			a.op("RET")
		})
}

func (f *file) sumSquares() {
	f.function("SumSquares", "sum, squares *float64, x *float32, steps int",
		[]string{"adds x[16*k+i] over k < steps to sum[i], and its square to squares[i], for i < 16."}, func(a *fn) {
			x, steps, sum, squares := a.param("x"), a.param("steps"), a.param("sum"), a.param("squares")
			s, q := a.takeVecs(interleaved/2), a.takeVecs(interleaved/2)
			a.load(sum, 0, s...)
			a.load(squares, 0, q...)
			a.loop("step", steps, func() {
				v := a.takeVecs(interleaved / 4)
				a.loadNext(x, v...)
				for i, r := range v {
					a.scope(func() {
						for j, d := range a.widened(r) {
							a.fadd2(s[2*i+j], s[2*i+j], d)
							a.fmla2(q[2*i+j], d, d)
						}
					})
				}
			})
			a.store(sum, 0, s...)
			a.store(squares, 0, q...)
			a.op("RET")
		})
}

func (f *file) signGrad() {
	f.function("SignGrad", "sum *float64, d, x *float32, steps int, inv float64",
		[]string{"is d[j] *= max(0, 2 - 2*|x[j]*inv|) for j < 16*steps, and then adds d[16*k+i]*x[16*k+i] over k to sum[i] for i < 16."}, func(a *fn) {
			d, x, steps, sum := a.param("d"), a.param("x"), a.param("steps"), a.param("sum")
			const bitsTwo = 0x4000000000000000
			twice, two, zero := a.broadcast("inv"), a.doubles(bitsTwo), a.zeros(1)[0]
			a.fadd2(twice, twice, twice) // 2·|x·inv| is |x·(2·inv)|
			s := a.takeVecs(interleaved / 2)
			a.load(sum, 0, s...)
			a.loop("step", steps, func() {
				v, g := a.takeVecs(interleaved/4), a.takeVecs(interleaved/4)
				a.loadNext(x, v...)
				a.load(d, 0, g...)
				for i := range v {
					a.scope(func() {
						xs, gs, u := a.widened(v[i]), a.widened(g[i]), a.takeVecs(2)
						for j := range u {
							a.fmul2(u[j], xs[j], twice)
							a.fabs2(u[j], u[j])
							a.fsub2(u[j], two, u[j])
							a.fmax2(u[j], u[j], zero)
							a.fmul2(gs[j], gs[j], u[j])
						}
						a.narrow(g[i], gs[0], gs[1])
						for j, r := range a.widened(g[i]) {
							a.fmla2(s[2*i+j], r, xs[j])
						}
					})
				}
				a.storeNext(d, g...)
			})
			a.store(sum, 0, s...)
			a.op("RET")
		})
}

func (f *file) combine() {
	f.function("Combine", "d, x *float32, steps int, p, q, r float64",
		[]string{"is d[j] = p*d[j] + (q*x[j] + r) for j < 16*steps, products rounded first."}, func(a *fn) {
			d, x, steps := a.param("d"), a.param("x"), a.param("steps")
			c := a.combination()
			a.loop("step", steps, func() {
				v, g := a.takeVecs(interleaved/4), a.takeVecs(interleaved/4)
				a.loadNext(x, v...)
				a.load(d, 0, g...)
				for i := range v {
					a.combined(c, g[i], v[i])
				}
				a.storeNext(d, g...)
			})
			a.op("RET")
		})
}

// combination broadcasts the parameters p, q and r.
func (a *fn) combination() [3]vec {
	return [3]vec{a.broadcast("p"), a.broadcast("q"), a.broadcast("r")}
}

// combined is d = p*d + (q*x + r) of four float32.
func (a *fn) combined(c [3]vec, d, x vec) {
	a.scope(func() {
		ds, xs := a.widened(d), a.widened(x)
		for i := range ds {
			a.fmul2(xs[i], xs[i], c[1])
			a.fmul2(ds[i], ds[i], c[0])
		}
		for i := range ds {
			a.fadd2(xs[i], xs[i], c[2])
			a.fadd2(ds[i], ds[i], xs[i])
		}
		a.narrow(d, ds[0], ds[1])
	})
}
