package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lookupRows emits what takes rows of int16 counts on: to int32 counts, to bits and to floats.
func (t *tier) lookupRows() {
	t.widenCounts()
	t.spreadCounts()
	for _, lanes := range []int{64, 32} {
		t.thresholdCounts(lanes)
	}
	for _, vectors := range []int{2, 1} {
		for _, add := range []bool{false, true} {
			for _, signs := range []bool{false, true} {
				t.floatCounts(vectors, add, signs)
			}
		}
	}
}

func (t *tier) widenCounts() {
	t.function("WidenCounts", "func(dst *int32, src *int16, pixels, vectors, dstPixel, srcPixel int)",
		"is dst[p*dstPixel+k] = src[p*srcPixel+k] for p < pixels and k < 8*vectors.")
	dst, src, n := param("dst"), param("src"), param("pixels")
	dstPixel, srcPixel := bytes("dstPixel"), shorts("srcPixel")
	loop("pixel", n, func() {
		d, s, k := clone(dst), clone(src), param("vectors")
		loop("vector", k, func() {
			v := YMM()
			VPMOVSXWD(Mem{Base: s}, v)
			VMOVDQU(v, Mem{Base: d})
			ADDQ(Imm(16), s)
			ADDQ(Imm(32), d)
		})
		ADDQ(dstPixel, dst)
		ADDQ(srcPixel, src)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) spreadCounts() {
	t.function("SpreadCounts", "func(dst, src *int16, order *uint8, pixels, dstPixel, srcPixel int)",
		"is dst[p*dstPixel+i] = src[p*srcPixel + order[2*i]/2] for p < pixels and i < 8. order has the byte offsets of 16 bytes, so that",
		"of an element two.")
	dst, src, n := param("dst"), param("src"), param("pixels")
	dstPixel, srcPixel := shorts("dstPixel"), shorts("srcPixel")
	order, at := XMM(), param("order")
	VMOVDQU(Mem{Base: at}, order)
	loop("pixel", n, func() {
		v := XMM()
		VMOVDQU(Mem{Base: src}, v)
		VPSHUFB(order, v, v)
		VMOVDQU(v, Mem{Base: dst})
		ADDQ(dstPixel, dst)
		ADDQ(srcPixel, src)
	})
	RET()
}

func (t *tier) thresholdCounts(lanes int) {
	t.function(fmt.Sprintf("ThresholdCounts%d", lanes),
		"func(dst *uint64, counts, limits *int16, pixels, dstPixel, rows, dstRow, perRow int, right, left, keep, old, flip uint64)",
		fmt.Sprintf("writes bits of %d counts, bit i of m being counts[p*%d+i] < limits[i]:", lanes, lanes),
		"",
		"\td = dst[p*dstPixel+r*dstRow]",
		"\td = d&old | ((m>>(right+r*perRow)&keep)<<left ^ flip)",
		"",
		"for p < pixels and r < rows. Counts are at least 1, and shifts at most 63.")
	dst, counts, n := param("dst"), param("counts"), param("pixels")
	dstPixel, dstRow := bytes8("dstPixel"), bytes8("dstRow")
	limits := t.vecs(lanes / 16)
	{
		p := param("limits")
		for i, v := range limits {
			VMOVDQU(Mem{Base: p, Disp: 32 * i}, v)
		}
	}
	right, left, keep, flip, perRow := param("right"), param("left"), param("keep"), param("flip"), param("perRow")
	old, err := Param("old").Resolve()
	if err != nil {
		panic(err)
	}
	loop("pixel", n, func() {
		var mask [2]reg.GPVirtual
		for i := range lanes / 32 {
			a, b := YMM(), YMM()
			VPCMPGTW(Mem{Base: counts, Disp: 64 * i}, limits[2*i], a)
			VPCMPGTW(Mem{Base: counts, Disp: 64*i + 32}, limits[2*i+1], b)
			VPACKSSWB(b, a, a)
			VPERMQ(Imm(0b11_01_10_00), a, a)
			mask[i] = GP64()
			VPMOVMSKB(a, mask[i].As32())
		}
		if lanes == 64 {
			SHLQ(Imm(32), mask[1])
			ORQ(mask[1], mask[0])
		}
		m := mask[0]
		SHRXQ(right, m, m)
		d, rows := clone(dst), param("rows")
		loop("row", rows, func() {
			v, o := clone(m), GP64()
			ANDQ(keep, v)
			SHLXQ(left, v, v)
			XORQ(flip, v)
			MOVQ(Mem{Base: d}, o)
			ANDQ(old.Addr, o)
			ORQ(o, v)
			MOVQ(v, Mem{Base: d})
			SHRXQ(perRow, m, m)
			ADDQ(dstRow, d)
		})
		ADDQ(Imm(uint64(2*lanes)), counts)
		ADDQ(dstPixel, dst)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) floatCounts(vectors int, add, signs bool) {
	name, value, more := fmt.Sprintf("FloatCounts%d", 8*vectors), "", ""
	if add {
		name += "Add"
		value = " + shortcut[p*dstPixel+i]"
	}
	if signs {
		name += "Signs"
		more = fmt.Sprintf(" Their signs are %d bits at byte p*bitsPixel of bits.", 8*vectors)
	}
	t.function(name, "func(dst, shortcut *float32, bits *uint8, counts *int16, scale, bias *float32, clip float32, pixels, dstPixel, bitsPixel, srcPixel int)",
		"is dst[p*dstPixel+i] = min(clip, max(-clip, scale[i]*float32(counts[p*srcPixel+i]) + bias[i]"+value+"))",
		fmt.Sprintf("for p < pixels and i < %d, each operation rounded; NaN stays NaN.%s", 8*vectors, more))
	dst, counts, n := param("dst"), param("counts"), param("pixels")
	dstPixel, srcPixel := bytes("dstPixel"), shorts("srcPixel")
	var shortcut, bits, bitsPixel reg.GPVirtual
	if add {
		shortcut = param("shortcut")
	}
	if signs {
		bits, bitsPixel = param("bits"), param("bitsPixel")
	}
	scale, bias := t.vecs(vectors), t.vecs(vectors)
	s, b := param("scale"), param("bias")
	for i := range vectors {
		VMOVUPS(t.at(s, i), scale[i])
		VMOVUPS(t.at(b, i), bias[i])
	}
	high, low, zero := YMM(), YMM(), YMM()
	clip, err := Param("clip").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(clip.Addr, high)
	t.zero(zero)
	VSUBPS(high, zero, low)
	loop("pixel", n, func() {
		masks := make([]reg.GPVirtual, vectors)
		for i := range vectors {
			v := YMM()
			VPMOVSXWD(Mem{Base: counts, Disp: 16 * i}, v)
			VCVTDQ2PS(v, v)
			VMULPS(scale[i], v, v)
			VADDPS(bias[i], v, v)
			if add {
				VADDPS(t.at(shortcut, i), v, v)
			}
			VMAXPS(v, low, v) // of a NaN, the first operand here is the result
			VMINPS(v, high, v)
			VMOVUPS(v, t.at(dst, i))
			if signs {
				masks[i] = GP64()
				VCMPPS(Imm(1), zero, v, v)
				VMOVMSKPS(v, masks[i].As32())
			}
		}
		if signs {
			if vectors == 2 {
				SHLQ(Imm(8), masks[1])
				ORQ(masks[1], masks[0])
				MOVW(masks[0].As16(), Mem{Base: bits})
			} else {
				MOVB(masks[0].As8(), Mem{Base: bits})
			}
			ADDQ(bitsPixel, bits)
		}
		if add {
			ADDQ(dstPixel, shortcut)
		}
		ADDQ(dstPixel, dst)
		ADDQ(srcPixel, counts)
	})
	VZEROUPPER()
	RET()
}
