package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// elementwise emits the float32 passes over whole vectors.
func (t *tier) elementwise() {
	t.add()
	t.hardtanh()
	t.hardtanhGrad()
	t.scaleChannels()
	t.countsToFloat()
	t.addAvgPoolGrad()
	t.multiplyAdds()
	t.affine("Affine", "src *float32", "src[p*srcStep+c]", func(m Mem, v reg.VecVirtual) { VMOVUPS(m, v) })
	t.affine("AffineCounts", "src *int32", "float32(src[p*srcStep+c])", func(m Mem, v reg.VecVirtual) { VCVTDQ2PS(m, v) })
}

func (t *tier) function(name, signature string, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(append([]string{name + " " + doc[0]}, doc[1:]...)...)
}

// constant fills a register with a float32 or, given its bits, any 32-bit value.
func (t *tier) constant(bits uint32) reg.VecVirtual {
	g := GP32()
	MOVL(U32(bits), g)
	x := XMM()
	VMOVD(g, x)
	v := t.vec()
	VPBROADCASTD(x, v)
	return v
}

const (
	bitsOne      = 0x3f800000
	bitsMinusOne = 0xbf800000
	bitsAbs      = 0x7fffffff
)

func (t *tier) add() {
	t.function("Add", "func(dst, a, b *float32, vectors int)", "is dst[i] = a[i] + b[i] over vectors of the tier's lanes, at least 1.")
	dst, a, b, n := param("dst"), param("a"), param("b"), param("vectors")
	loop("vector", n, func() {
		v := t.vec()
		VMOVUPS(Mem{Base: a}, v)
		VADDPS(Mem{Base: b}, v, v)
		VMOVUPS(v, Mem{Base: dst})
		t.next(a, b, dst)
	})
	VZEROUPPER()
	RET()
}

// next moves pointers on by one vector.
func (t *tier) next(p ...reg.Register) {
	for _, r := range p {
		ADDQ(Imm(uint64(4*t.lanes)), r)
	}
}

func (t *tier) hardtanh() {
	t.function("Hardtanh", "func(dst, src *float32, vectors int)", "is dst[i] = min(1, max(-1, src[i])) over vectors of the tier's lanes, at least 1; NaN stays NaN.")
	dst, src, n := param("dst"), param("src"), param("vectors")
	one, minus := t.constant(bitsOne), t.constant(bitsMinusOne)
	loop("vector", n, func() {
		v := t.vec()
		VMOVUPS(Mem{Base: src}, v)
		VMAXPS(v, minus, v) // of a NaN, the first operand here is the result
		VMINPS(v, one, v)
		VMOVUPS(v, Mem{Base: dst})
		t.next(src, dst)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) hardtanhGrad() {
	t.function("HardtanhGrad", "func(dx, dy, y *float32, vectors int)", "is dx[i] = dy[i] where |y[i]| < 1, else 0, over vectors of the tier's lanes, at least 1.")
	dx, dy, y, n := param("dx"), param("dy"), param("y"), param("vectors")
	one, abs := t.constant(bitsOne), t.constant(bitsAbs)
	loop("vector", n, func() {
		v := t.vec()
		if t.lanes == 16 {
			VPANDD(Mem{Base: y}, abs, v)
			k := K()
			VCMPPS(Imm(1), one, v, k)
			VMOVUPS_Z(Mem{Base: dy}, k, v)
		} else {
			VPAND(Mem{Base: y}, abs, v)
			VCMPPS(Imm(1), one, v, v)
			VANDPS(Mem{Base: dy}, v, v)
		}
		VMOVUPS(v, Mem{Base: dx})
		t.next(dx, dy, y)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) scaleChannels() {
	t.function("ScaleChannels", "func(dst, src, scale *float32, pixels, step int)",
		"is dst[p*step+c] = scale[c] * src[p*step+c] for the tier's lanes of channels c and pixels p, at least 1.")
	dst, src, n, step := param("dst"), param("src"), param("pixels"), bytes("step")
	s, scale := t.vec(), param("scale")
	VMOVUPS(Mem{Base: scale}, s)
	loop("pixel", n, func() {
		v := t.vec()
		VMULPS(Mem{Base: src}, s, v)
		VMOVUPS(v, Mem{Base: dst})
		ADDQ(step, src)
		ADDQ(step, dst)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) countsToFloat() {
	t.function("ScaleCounts", "func(dst *float32, counts *int32, scale *float32, pixels, step int)",
		"is dst[p*step+c] = scale[c] * float32(counts[p*step+c]) for the tier's lanes of channels c and pixels p, at least 1.")
	dst, src, n, step := param("dst"), param("counts"), param("pixels"), bytes("step")
	s, scale := t.vec(), param("scale")
	VMOVUPS(Mem{Base: scale}, s)
	loop("pixel", n, func() {
		v := t.vec()
		VCVTDQ2PS(Mem{Base: src}, v)
		VMULPS(v, s, v)
		VMOVUPS(v, Mem{Base: dst})
		ADDQ(step, src)
		ADDQ(step, dst)
	})
	VZEROUPPER()
	RET()
}

// affine emits a pass over the tier's lanes of channels; load makes float32 of what lies at src.
func (t *tier) affine(name, src, element string, load func(m Mem, v reg.VecVirtual)) {
	t.function(name, "func(dst *float32, "+src+", scale, bias *float32, pixels, dstStep, srcStep int)",
		"is dst[p*dstStep+c] = scale[c]*"+element+" + bias[c] for the tier's lanes of channels c and pixels p, at least 1, the product rounded first.")
	dst, from, n, dstStep, srcStep := param("dst"), param("src"), param("pixels"), bytes("dstStep"), bytes("srcStep")
	s, b := t.vec(), t.vec()
	scale, bias := param("scale"), param("bias")
	VMOVUPS(Mem{Base: scale}, s)
	VMOVUPS(Mem{Base: bias}, b)
	loop("pixel", n, func() {
		v := t.vec()
		load(Mem{Base: from}, v)
		VMULPS(v, s, v)
		VADDPS(b, v, v)
		VMOVUPS(v, Mem{Base: dst})
		ADDQ(srcStep, from)
		ADDQ(dstStep, dst)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) addAvgPoolGrad() {
	t.function("AddAvgPoolGrad", "func(dx, dy *float32, pixels, rows, taps, xRow, xTap, xPixel, dyPixel int, scale float32)",
		"adds, over the tier's lanes of channels c and pixels p, rows r and taps s, at least 1 of each, one after the other,",
		"",
		"\tdx[p*xPixel+r*xRow+s*xTap+c] += scale*dy[p*dyPixel+c]",
		"",
		"the product rounded first.")
	dx, dy, pixels := param("dx"), param("dy"), param("pixels")
	xRow, xTap, xPixel, dyPixel := bytes("xRow"), bytes("xTap"), bytes("xPixel"), bytes("dyPixel")
	scale := t.vec()
	VBROADCASTSS(floatParam("scale"), scale)
	loop("pixel", pixels, func() {
		g := t.vec()
		VMULPS(Mem{Base: dy}, scale, g)
		row, rows := clone(dx), param("rows")
		loop("row", rows, func() {
			x, taps := clone(row), param("taps")
			loop("tap", taps, func() {
				v := t.vec()
				VADDPS(Mem{Base: x}, g, v)
				VMOVUPS(v, Mem{Base: x})
				ADDQ(xTap, x)
			})
			ADDQ(xRow, row)
		})
		ADDQ(xPixel, dx)
		ADDQ(dyPixel, dy)
	})
	VZEROUPPER()
	RET()
}

// peakChains is the number of independent sums of MultiplyAdds: enough to fill the units' latency.
const peakChains = 12

func (t *tier) multiplyAdds() {
	t.function("MultiplyAdds", "func(rounds int)",
		fmt.Sprintf("does %d fused multiply-adds of vectors of the tier's lanes, on registers alone, rounds times, at least once.", peakChains))
	rounds := param("rounds")
	acc, a, b := t.zeros(peakChains), t.vec(), t.vec()
	t.zero(a)
	t.zero(b)
	loop("round", rounds, func() {
		for _, r := range acc {
			VFMADD231PS(a, b, r)
		}
	})
	VZEROUPPER()
	RET()
}
