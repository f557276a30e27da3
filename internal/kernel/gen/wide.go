package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wide emits the passes that compute in float64: a vector holds half as many elements. A product of two float32 is exact
// there, so that it may be fused with its addition.
func (t *tier) wide() {
	t.moments()
	t.batchNorm()
	t.batchNormSums()
	t.batchNormGrad()
	t.sumSquares()
	t.signGrad()
	t.combine()
}

// half returns the elements of a float64 vector.
func (t *tier) half() int { return t.lanes / 2 }

// loadWide loads float32 values as float64.
func (t *tier) loadWide(m Mem) reg.VecVirtual {
	v := t.vec()
	VCVTPS2PD(m, v)
	return v
}

// storeWide rounds float64 values to float32 and stores them.
func (t *tier) storeWide(v reg.VecVirtual, m Mem) {
	if t.lanes == 16 {
		n := YMM()
		VCVTPD2PS(v, n)
		VMOVUPS(n, m)
		return
	}
	n := XMM()
	VCVTPD2PSY(v, n)
	VMOVUPS(n, m)
}

// rounded is storeWide, and returns the rounded values.
func (t *tier) rounded(v reg.VecVirtual, m Mem) reg.VecVirtual {
	w := t.vec()
	if t.lanes == 16 {
		n := YMM()
		VCVTPD2PS(v, n)
		VMOVUPS(n, m)
		VCVTPS2PD(n, w)
		return w
	}
	n := XMM()
	VCVTPD2PSY(v, n)
	VMOVUPS(n, m)
	VCVTPS2PD(n, w)
	return w
}

// wideAt is the operand of the i-th float64 vector behind a pointer.
func (t *tier) wideAt(p reg.Register, i int) Mem { return Mem{Base: p, Disp: 8 * t.half() * i} }

// narrowAt is the operand of the i-th half vector of float32 behind a pointer.
func (t *tier) narrowAt(p reg.Register, i int) Mem { return Mem{Base: p, Disp: 4 * t.half() * i} }

func (t *tier) loadDoubles(p reg.Register) reg.VecVirtual {
	v := t.vec()
	VMOVUPD(Mem{Base: p}, v)
	return v
}

func (t *tier) zeros(n int) []reg.VecVirtual {
	v := t.vecs(n)
	for _, r := range v {
		t.zero(r)
	}
	return v
}

const half = "for half the tier's lanes of channels"

func (t *tier) moments() {
	t.function("Moments", "func(sum, squares *float64, x *float32, pixels, step int)",
		"adds x[p*step+c] for p < pixels to sum[c], and its square to squares[c], "+half+", in ascending order.")
	x, n, step := param("x"), param("pixels"), bytes("step")
	sum, squares := param("sum"), param("squares")
	acc := []reg.VecVirtual{t.loadDoubles(sum), t.loadDoubles(squares)}
	loop("pixel", n, func() {
		v := t.loadWide(Mem{Base: x})
		VADDPD(v, acc[0], acc[0])
		VFMADD231PD(v, v, acc[1])
		ADDQ(step, x)
	})
	VMOVUPD(acc[0], Mem{Base: sum})
	VMOVUPD(acc[1], Mem{Base: squares})
	VZEROUPPER()
	RET()
}

func (t *tier) batchNorm() {
	t.function("BatchNorm", "func(y, x *float32, scale, bias *float64, pixels, yStep, xStep int)",
		"is y[p*yStep+c] = scale[c]*x[p*xStep+c] + bias[c] "+half+" and p < pixels, the product rounded first.")
	y, x, n, yStep, xStep := param("y"), param("x"), param("pixels"), bytes("yStep"), bytes("xStep")
	s, b := t.loadDoubles(param("scale")), t.loadDoubles(param("bias"))
	loop("pixel", n, func() {
		v := t.loadWide(Mem{Base: x})
		VMULPD(v, s, v)
		VADDPD(v, b, v)
		t.storeWide(v, Mem{Base: y})
		ADDQ(xStep, x)
		ADDQ(yStep, y)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) batchNormSums() {
	t.function("BatchNormSums", "func(sum, products *float64, dy, x *float32, pixels, dyStep, xStep int)",
		"adds dy[p*dyStep+c] for p < pixels to sum[c], and dy[p*dyStep+c]*x[p*xStep+c] to products[c], "+half+", in ascending order.")
	dy, x, n, dyStep, xStep := param("dy"), param("x"), param("pixels"), bytes("dyStep"), bytes("xStep")
	sum, products := param("sum"), param("products")
	acc := []reg.VecVirtual{t.loadDoubles(sum), t.loadDoubles(products)}
	loop("pixel", n, func() {
		g, v := t.loadWide(Mem{Base: dy}), t.loadWide(Mem{Base: x})
		VADDPD(g, acc[0], acc[0])
		VFMADD231PD(g, v, acc[1])
		ADDQ(dyStep, dy)
		ADDQ(xStep, x)
	})
	VMOVUPD(acc[0], Mem{Base: sum})
	VMOVUPD(acc[1], Mem{Base: products})
	VZEROUPPER()
	RET()
}

func (t *tier) batchNormGrad() {
	t.function("BatchNormGrad", "func(dx, dy, x *float32, scale, a, b *float64, pixels, copies, dyStep, xStep int)",
		"is dx[p*xStep+c] = a[c] + b[c]*x[p*xStep+c] + sum over r < copies of scale[r*xStep+c]*dy[p*dyStep+r*xStep+c] "+half+" and p < pixels, in ascending order, products rounded first.")
	dx, dy, x, n, dyStep, xStep := param("dx"), param("dy"), param("x"), param("pixels"), bytes("dyStep"), bytes("xStep")
	a, b := t.loadDoubles(param("a")), t.loadDoubles(param("b"))
	loop("pixel", n, func() {
		acc := t.loadWide(Mem{Base: x})
		VMULPD(acc, b, acc)
		VADDPD(acc, a, acc)
		g, s, copies := clone(dy), param("scale"), param("copies")
		loop("copy", copies, func() {
			v := t.loadWide(Mem{Base: g})
			VMULPD(Mem{Base: s}, v, v)
			VADDPD(v, acc, acc)
			ADDQ(xStep, g)
			LEAQ(Mem{Base: s, Index: xStep, Scale: 2}, s)
		})
		t.storeWide(acc, Mem{Base: dx})
		ADDQ(xStep, dx)
		ADDQ(xStep, x)
		ADDQ(dyStep, dy)
	})
	VZEROUPPER()
	RET()
}

// interleaved is the number of partial sums of a reduction over a whole map, and of the elements of a step.
const interleaved = 16

func (t *tier) sumSquares() {
	t.function("SumSquares", "func(sum, squares *float64, x *float32, steps int)",
		"adds x[16*k+i] over k < steps to sum[i], and its square to squares[i], for i < 16.")
	x, n, sum, squares := param("x"), param("steps"), param("sum"), param("squares")
	parts := interleaved / t.half()
	s, q := t.vecs(parts), t.vecs(parts)
	for i := range parts {
		VMOVUPD(t.wideAt(sum, i), s[i])
		VMOVUPD(t.wideAt(squares, i), q[i])
	}
	loop("step", n, func() {
		for i := range parts {
			v := t.loadWide(t.narrowAt(x, i))
			VADDPD(v, s[i], s[i])
			VFMADD231PD(v, v, q[i])
		}
		ADDQ(Imm(4*interleaved), x)
	})
	for i := range parts {
		VMOVUPD(s[i], t.wideAt(sum, i))
		VMOVUPD(q[i], t.wideAt(squares, i))
	}
	VZEROUPPER()
	RET()
}

// double fills a register with a float64 parameter.
func (t *tier) double(name string) reg.VecVirtual {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := t.vec()
	VBROADCASTSD(p.Addr, v)
	return v
}

func (t *tier) doubleConstant(bits uint64) reg.VecVirtual {
	g := GP64()
	MOVQ(U64(bits), g)
	x := XMM()
	VMOVQ(g, x)
	v := t.vec()
	VBROADCASTSD(x, v)
	return v
}

func (t *tier) signGrad() {
	t.function("SignGrad", "func(sum *float64, d, x *float32, steps int, inv float64)",
		"is d[j] *= max(0, 2 - 2*|x[j]*inv|) for j < 16*steps, and then adds d[16*k+i]*x[16*k+i] over k to sum[i] for i < 16.")
	d, x, n, sum := param("d"), param("x"), param("steps"), param("sum")
	inv, two, abs := t.double("inv"), t.doubleConstant(0x4000000000000000), t.doubleConstant(0x7fffffffffffffff)
	twice := t.vec() // 2·|x·inv| is |x·(2·inv)|
	VADDPD(inv, inv, twice)
	parts := interleaved / t.half()
	s := t.vecs(parts)
	for i := range parts {
		VMOVUPD(t.wideAt(sum, i), s[i])
	}
	zero := t.vec()
	t.zero(zero)
	loop("step", n, func() {
		for i := range parts {
			v := t.loadWide(t.narrowAt(x, i))
			u := t.vec()
			VMULPD(v, twice, u)
			if t.lanes == 16 {
				VPANDQ(u, abs, u)
			} else {
				VPAND(u, abs, u)
			}
			VSUBPD(u, two, u)
			VMAXPD(u, zero, u)
			g := t.loadWide(t.narrowAt(d, i))
			VMULPD(u, g, g)
			VFMADD231PD(v, t.rounded(g, t.narrowAt(d, i)), s[i])
		}
		ADDQ(Imm(4*interleaved), x)
		ADDQ(Imm(4*interleaved), d)
	})
	for i := range parts {
		VMOVUPD(s[i], t.wideAt(sum, i))
	}
	VZEROUPPER()
	RET()
}

func (t *tier) combine() {
	t.function("Combine", "func(d, x *float32, steps int, p, q, r float64)",
		"is d[j] = p*d[j] + (q*x[j] + r) for j < 16*steps, products rounded first.")
	d, x, n := param("d"), param("x"), param("steps")
	p, q, r := t.double("p"), t.double("q"), t.double("r")
	parts := interleaved / t.half()
	loop("step", n, func() {
		for i := range parts {
			v := t.loadWide(t.narrowAt(x, i))
			VMULPD(v, q, v)
			VADDPD(v, r, v)
			g := t.loadWide(t.narrowAt(d, i))
			VMULPD(g, p, g)
			VADDPD(g, v, v)
			t.storeWide(v, t.narrowAt(d, i))
		}
		ADDQ(Imm(4*interleaved), x)
		ADDQ(Imm(4*interleaved), d)
	})
	VZEROUPPER()
	RET()
}
