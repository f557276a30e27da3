package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// block emits the passes of a block of layers over an image: they work in steps of 16 elements, for sources of whole steps
// of channels, of 8 and of 4. A step is of several vectors of float64: its parts.
func (t *tier) block() {
	if t.lanes == 8 {
		t.countMoments() // also where vectors are wider
	}
	for _, n := range []int{16, 8, 4} {
		t.blockForward(n, false)
		t.blockReduce(n)
		if n >= t.half() {
			t.blockSpread(n)
		}
	}
	t.blockForward(16, true)
	t.maskGrad()
	t.combineMasked()
}

// parts returns the float64 vectors of a step.
func (t *tier) parts() int { return interleaved / t.half() }

// int16At is the operand of the i-th vector's worth of int16 behind a pointer.
func (t *tier) int16At(p reg.Register, i int) Mem { return Mem{Base: p, Disp: 2 * t.half() * i} }

// integers is a register of int32 that widens to a float64 vector.
func (t *tier) integers() reg.VecVirtual {
	if t.lanes == 16 {
		return YMM()
	}
	return XMM()
}

// counts loads n int16 at p as float64, in as many vectors as they need; four of them fill a vector of eight twice.
func (t *tier) counts(p reg.Register, n int) []reg.VecVirtual {
	v := t.vecs(max(1, n/t.half()))
	for i, r := range v {
		w := t.integers()
		if n < t.half() {
			x := XMM()
			VPBROADCASTQ(Mem{Base: p}, x)
			VPMOVSXWD(x, w)
		} else {
			VPMOVSXWD(t.int16At(p, i), w)
		}
		VCVTDQ2PD(w, r)
	}
	return v
}

// upper returns the second half of a float32 vector.
func (t *tier) upper(v reg.VecVirtual) reg.VecVirtual {
	if t.lanes == 16 {
		u := YMM()
		VEXTRACTF32X8(Imm(1), v, u)
		return u
	}
	u := XMM()
	VEXTRACTF128(Imm(1), v, u)
	return u
}

// lower is the first half of a float32 vector.
func (t *tier) lower(v reg.VecVirtual) reg.Register {
	if t.lanes == 16 {
		return v.AsY()
	}
	return v.AsX()
}

// narrow rounds two float64 vectors into one of float32.
func (t *tier) narrow(low, high reg.VecVirtual) reg.VecVirtual {
	v := t.vec()
	if t.lanes == 16 {
		l, h := YMM(), YMM()
		VCVTPD2PS(low, l)
		VCVTPD2PS(high, h)
		VINSERTF32X8(Imm(1), h, l.AsZ(), v)
		return v
	}
	l, h := XMM(), XMM()
	VCVTPD2PSY(low, l)
	VCVTPD2PSY(high, h)
	VINSERTF128(Imm(1), h, l.AsY(), v)
	return v
}

// masked loads the float32 vectors of a step where the bits at mask are set, 0 elsewhere.
func (t *tier) masked(src, mask reg.Register) []reg.VecVirtual {
	if t.lanes == 16 {
		k, v := K(), ZMM()
		KMOVW(Mem{Base: mask}, k)
		VMOVUPS_Z(Mem{Base: src}, k, v)
		return []reg.VecVirtual{v}
	}
	bits := YMM()
	VPBROADCASTW(Mem{Base: mask}, bits)
	v := t.vecs(2)
	for i, r := range v {
		table := t.laneBits().Offset(32 * i)
		VPAND(table, bits, r)
		VPCMPEQD(table, r, r)
		VANDPS(t.at(src, i), r, r)
	}
	return v
}

// laneBits is a table of 16 integers: lane i of a step is bit i.
func (t *tier) laneBits() Mem {
	if t.bits16 != (Mem{}) {
		return t.bits16
	}
	t.bits16 = GLOBL("bitOfStep", RODATA|NOPTR)
	for i := range interleaved {
		DATA(4*i, U32(1<<i))
	}
	return t.bits16
}

// part makes float64 of the i-th part of a step's float32 vectors.
func (t *tier) part(step []reg.VecVirtual, i int) reg.VecVirtual {
	v := t.vec()
	if i%2 == 0 {
		VCVTPS2PD(t.lower(step[i/2]), v)
	} else {
		VCVTPS2PD(t.upper(step[i/2]), v)
	}
	return v
}

// storeBits stores at p one bit for each lane of a step's vectors: whether it compares so with the operand.
func (t *tier) storeBits(p reg.Register, step []reg.VecVirtual, predicate uint64, with Op) {
	if t.lanes == 16 {
		k := K()
		VCMPPS(Imm(predicate), with, step[0], k)
		KMOVW(k, Mem{Base: p})
		return
	}
	word := GP32()
	for i := range step { // the second vector's bits come first, to be shifted
		v, m := YMM(), GP32()
		VCMPPS(Imm(predicate), with, step[1-i], v)
		VMOVMSKPS(v, m)
		if i == 0 {
			MOVL(m, word)
			SHLL(Imm(8), word)
		} else {
			ORL(m, word)
		}
	}
	MOVW(word.As16(), Mem{Base: p})
}

func (t *tier) countMoments() {
	t.function("CountMoments", "func(dst *int16, sum, squares, counts *int32, pixels, step int)",
		"is dst[p*step+c] = counts[p*step+c], and adds them to sum[c] and their squares to squares[c], for 8 channels c and pixels p, at least 1.")
	dst, src, n := param("dst"), param("counts"), param("pixels")
	step, half := bytes("step"), param("step")
	ADDQ(half, half)
	sum, squares := param("sum"), param("squares")
	s, q := YMM(), YMM()
	VMOVDQU(Mem{Base: sum}, s)
	VMOVDQU(Mem{Base: squares}, q)
	loop("pixel", n, func() {
		v, h := YMM(), XMM()
		VMOVDQU(Mem{Base: src}, v)
		VPADDD(v, s, s)
		VEXTRACTI128(Imm(1), v, h)
		VPACKSSDW(h, v.AsX(), h)
		VMOVDQU(h, Mem{Base: dst})
		VPMULLD(v, v, v)
		VPADDD(v, q, q)
		ADDQ(step, src)
		ADDQ(half, dst)
	})
	VMOVDQU(s, Mem{Base: sum})
	VMOVDQU(q, Mem{Base: squares})
	VZEROUPPER()
	RET()
}

// sources describes the channels of n computed maps that a step of 16 copies takes.
func sources(n int) string {
	if n == 16 {
		return "n a multiple of 16"
	}
	return fmt.Sprintf("n = %d", n)
}

// blockForward emits the pass over counts, or over float32.
func (t *tier) blockForward(n int, floats bool) {
	name, src, size := "BlockForward", "*int16", 2
	if floats {
		name, src, size = "NormForward", "*float32", 4
	}
	t.function(fmt.Sprintf("%s%d", name, n),
		"func(y *float32, mask *uint16, signs *uint64, sum, squares *float64, src "+src+", s *float32, scale, bias *float64, pixels, steps, copies, signSkip int)",
		fmt.Sprintf("computes, for pixels of copies times steps of 16 channels, %s,", sources(n)),
		"",
		"\ty[p,j] = min(1, max(-1, float32(scale[j]*src[p, j mod n] + bias[j]) + s[p,j]))",
		"",
		"without s if it is nil; the bits |y| < 1 in mask and y < 0 in signs, signSkip bytes further on after each pixel; and adds",
		"element 16*k+i of y to sum[i] and its square to squares[i].",
		"steps is n/16 or, with a smaller n, that of the whole pixel and copies 1. pixels, steps and copies are at least 1.")
	y, mask, signs, x, s, pixels := param("y"), param("mask"), param("signs"), param("src"), param("s"), param("pixels")
	sums, products := t.vecs(t.parts()), t.vecs(t.parts())
	sum := param("sum")
	for i := range sums {
		VMOVUPD(t.wideAt(sum, i), sums[i])
	}
	sum = param("squares")
	for i := range products {
		VMOVUPD(t.wideAt(sum, i), products[i])
	}
	one, minus := t.constant(bitsOne), t.constant(bitsMinusOne)
	loop("pixel", pixels, func() {
		scale, bias, copies := param("scale"), param("bias"), param("copies")
		loop("copy", copies, func() {
			c, steps := clone(x), param("steps")
			loop("step", steps, func() {
				v := t.normalised(t.source(c, n, floats), scale, bias)
				TESTQ(s, s)
				JZ(LabelRef("plain"))
				for i, r := range v {
					VADDPS(t.at(s, i), r, r)
				}
				ADDQ(Imm(4*interleaved), s)
				Label("plain")
				for i, r := range v {
					VMAXPS(r, minus, r) // of a NaN, the first operand here is the result
					VMINPS(r, one, r)
					VMOVUPS(r, t.at(y, i))
				}
				t.storeBits(signs, v, 1, t.zeroOperand())
				for i := range sums {
					d := t.part(v, i)
					VADDPD(d, sums[i], sums[i])
					VFMADD231PD(d, d, products[i])
				}
				for _, r := range v {
					VANDPS(t.absOperand(), r, r)
				}
				t.storeBits(mask, v, 1, one)
				ADDQ(Imm(4*interleaved), y)
				ADDQ(Imm(8*interleaved), scale)
				ADDQ(Imm(8*interleaved), bias)
				ADDQ(Imm(2), mask)
				ADDQ(Imm(2), signs)
				if n == 16 {
					ADDQ(Imm(uint64(size*16)), c)
				}
			})
		})
		if n == 16 {
			pixel := param("steps")
			IMUL3Q(Imm(uint64(size*16)), pixel, pixel)
			ADDQ(pixel, x)
		} else {
			ADDQ(Imm(uint64(size*n)), x)
		}
		skip := param("signSkip")
		ADDQ(skip, signs)
	})
	sum = param("sum")
	for i := range sums {
		VMOVUPD(sums[i], t.wideAt(sum, i))
	}
	sum = param("squares")
	for i := range products {
		VMOVUPD(products[i], t.wideAt(sum, i))
	}
	VZEROUPPER()
	RET()
}

// source loads n elements at p as float64.
func (t *tier) source(p reg.Register, n int, floats bool) []reg.VecVirtual {
	if !floats {
		return t.counts(p, n)
	}
	v := make([]reg.VecVirtual, n/t.half())
	for i := range v {
		v[i] = t.loadWide(t.narrowAt(p, i))
	}
	return v
}

// normalised emits float32(scale*x + bias) of a step, x in as many vectors as differ.
func (t *tier) normalised(x []reg.VecVirtual, scale, bias reg.Register) []reg.VecVirtual {
	d := t.vecs(t.parts())
	for i := range x {
		for j := i; j < len(d); j += len(x) {
			VMULPD(t.wideAt(scale, j), x[i], d[j])
			VADDPD(t.wideAt(bias, j), d[j], d[j])
		}
	}
	v := make([]reg.VecVirtual, len(d)/2)
	for i := range v {
		v[i] = t.narrow(d[2*i], d[2*i+1])
	}
	return v
}

// zeroOperand and absOperand are vectors of zeros and of masks of the absolute value in memory.
func (t *tier) zeroOperand() Mem { return t.filled("zeroOfStep", 0, &t.zeros16) }
func (t *tier) absOperand() Mem  { return t.filled("absOfStep", bitsAbs, &t.abs16) }

func (t *tier) filled(name string, bits uint32, m *Mem) Mem {
	if *m == (Mem{}) {
		*m = GLOBL(name, RODATA|NOPTR)
		for i := range interleaved {
			DATA(4*i, U32(bits))
		}
	}
	return *m
}

func (t *tier) blockReduce(n int) {
	t.function(fmt.Sprintf("BlockReduce%d", n), "func(sum, products *float64, dy *float32, mask *uint16, counts *int16, pixels, dyStep, countStep int)",
		"adds g = dy[p*dyStep+j], where the bit of mask is set, for p < pixels to sum[j], and g*counts[p*countStep + j mod n] to products[j],",
		fmt.Sprintf("for 16 channels j and %s, in ascending order, products rounded first. A pixel has dyStep bits of mask.", sources(n)))
	dy, mask, src, pixels := param("dy"), param("mask"), param("counts"), param("pixels")
	dyStep, maskStep, srcStep := bytes("dyStep"), param("dyStep"), param("countStep")
	SHRQ(Imm(3), maskStep)
	ADDQ(srcStep, srcStep)
	sum, products := param("sum"), param("products")
	s, q := t.vecs(t.parts()), t.vecs(t.parts())
	for i := range s {
		VMOVUPD(t.wideAt(sum, i), s[i])
		VMOVUPD(t.wideAt(products, i), q[i])
	}
	loop("pixel", pixels, func() {
		g := t.masked(dy, mask)
		c := t.counts(src, n)
		for i := range s {
			v := t.part(g, i)
			VADDPD(v, s[i], s[i])
			VFMADD231PD(c[i%len(c)], v, q[i]) // the product is exact
		}
		ADDQ(dyStep, dy)
		ADDQ(maskStep, mask)
		ADDQ(srcStep, src)
	})
	for i := range s {
		VMOVUPD(s[i], t.wideAt(sum, i))
		VMOVUPD(q[i], t.wideAt(products, i))
	}
	VZEROUPPER()
	RET()
}

func (t *tier) blockSpread(n int) {
	t.function(fmt.Sprintf("BlockSpread%d", n),
		"func(dx, dy *float32, mask *uint16, counts *int16, scale, a, b *float64, pixels, steps, dxPixel, copyStep int)",
		"is dx[p*dxPixel+c] = a[c] + b[c]*counts[p*dxPixel+c] + sum over the copies j of c of scale[j]*dy[p*dyPixel+j] where the bit of mask is",
		fmt.Sprintf("set, for %d channels c and p < pixels, in ascending order, products rounded first. %s. The copies come in steps of 16 elements,", min(n, 16), sources(n)),
		"copyStep elements apart, and dyPixel, the elements of a pixel and the bits of its mask, is steps*copyStep. pixels and steps are at least 1.")
	dx, dy, mask, src, pixels := param("dx"), param("dy"), param("mask"), param("counts"), param("pixels")
	a, b, copyStep := param("a"), param("b"), param("copyStep")
	maskStep := clone(copyStep)
	SHRQ(Imm(3), maskStep)
	loop("pixel", pixels, func() {
		acc := t.counts(src, n)
		for i, r := range acc {
			VMULPD(t.wideAt(b, i), r, r)
			VADDPD(t.wideAt(a, i), r, r)
		}
		scale, steps := param("scale"), param("steps")
		loop("step", steps, func() {
			v := t.masked(dy, mask)
			for i := range t.parts() {
				d, r := t.part(v, i), acc[i%len(acc)]
				VMULPD(t.wideAt(scale, i), d, d)
				VADDPD(d, r, r)
			}
			LEAQ(Mem{Base: dy, Index: copyStep, Scale: 4}, dy)
			LEAQ(Mem{Base: scale, Index: copyStep, Scale: 8}, scale)
			ADDQ(maskStep, mask)
		})
		if len(acc) == 1 {
			t.storeWide(acc[0], Mem{Base: dx})
		}
		for i := 0; i+1 < len(acc); i += 2 {
			VMOVUPS(t.narrow(acc[i], acc[i+1]), t.at(dx, i/2))
		}
		step := param("dxPixel")
		LEAQ(Mem{Base: dx, Index: step, Scale: 4}, dx)
		LEAQ(Mem{Base: src, Index: step, Scale: 2}, src)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) maskGrad() {
	t.function("MaskGrad", "func(dx, dy *float32, mask *uint16, steps int)",
		"is dx[j] = dy[j] where bit j of mask is set, else 0, for j < 16*steps; steps is at least 1.")
	dx, dy, mask, n := param("dx"), param("dy"), param("mask"), param("steps")
	loop("step", n, func() {
		for i, v := range t.masked(dy, mask) {
			VMOVUPS(v, t.at(dx, i))
		}
		ADDQ(Imm(4*interleaved), dx)
		ADDQ(Imm(4*interleaved), dy)
		ADDQ(Imm(2), mask)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) combineMasked() {
	t.function("CombineMasked", "func(dst, d, x, dy *float32, mask *uint16, steps int, p, q, r float64)",
		"is dst[j] = float32(p*d[j] + (q*x[j] + r)) + (dy[j] where bit j of mask is set, else 0) for j < 16*steps, products rounded first.")
	dst, d, x, dy, mask, n := param("dst"), param("d"), param("x"), param("dy"), param("mask"), param("steps")
	p, q, r := t.double("p"), t.double("q"), t.double("r")
	loop("step", n, func() {
		for i, g := range t.masked(dy, mask) {
			w := t.vecs(2)
			for h := range w {
				w[h] = t.loadWide(t.narrowAt(x, 2*i+h))
				VMULPD(w[h], q, w[h])
				VADDPD(w[h], r, w[h])
				v := t.loadWide(t.narrowAt(d, 2*i+h))
				VMULPD(v, p, v)
				VADDPD(v, w[h], w[h])
			}
			VADDPS(t.narrow(w[0], w[1]), g, g)
			VMOVUPS(g, t.at(dst, i))
		}
		ADDQ(Imm(4*interleaved), dst)
		ADDQ(Imm(4*interleaved), d)
		ADDQ(Imm(4*interleaved), x)
		ADDQ(Imm(4*interleaved), dy)
		ADDQ(Imm(2), mask)
	})
	VZEROUPPER()
	RET()
}
