package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bits emits packing and unpacking of signs.
func (t *tier) bits() {
	t.packSigns()
	t.unpackSigns()
}

func (t *tier) packSigns() {
	t.function("PackSigns", "func(dst *uint64, src *float32, words, vectors int)",
		"packs the signs of words·vectors vectors of src into words, each from its lowest bit on; the bits beyond them are clear.",
		"vectors is at least 1 and fills at most a word. Negative values are 1; zeros and NaN are 0.")
	dst, src, words := param("dst"), param("src"), param("words")
	zero := t.vec()
	t.zero(zero)
	loop("word", words, func() {
		word := GP64()
		XORQ(word, word)
		shift := reg.RCX // the shift instruction takes it from there
		XORQ(shift, shift)
		vectors := param("vectors")
		loop("vector", vectors, func() {
			v, m := t.vec(), GP32()
			VMOVUPS(Mem{Base: src}, v)
			if t.lanes == 16 {
				k := K()
				VCMPPS(Imm(1), zero, v, k)
				KMOVW(k, m)
			} else {
				VCMPPS(Imm(1), zero, v, v)
				VMOVMSKPS(v, m)
			}
			SHLQ(reg.CL, m.As64())
			ORQ(m.As64(), word)
			ADDQ(Imm(uint64(t.lanes)), shift)
			t.next(src)
		})
		MOVQ(word, Mem{Base: dst})
		ADDQ(Imm(8), dst)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) unpackSigns() {
	t.function("UnpackSigns", "func(dst *float32, src *uint64, words, vectors int)",
		"is the inverse of PackSigns: -1 for a set bit, +1 for a clear one.")
	dst, src, words := param("dst"), param("src"), param("words")
	one, minus := t.constant(bitsOne), t.constant(bitsMinusOne)
	bit := t.vec()
	if t.lanes == 8 {
		x := GLOBL("bitOfLane", RODATA|NOPTR)
		for i := range 8 {
			DATA(4*i, U32(1<<i))
		}
		VMOVDQU(x, bit)
	}
	loop("word", words, func() {
		word, vectors := GP64(), param("vectors")
		MOVQ(Mem{Base: src}, word)
		loop("vector", vectors, func() {
			v := t.vec()
			if t.lanes == 16 {
				k := K()
				KMOVW(word.As32(), k)
				VBLENDMPS(minus, one, k, v)
			} else {
				x := XMM()
				VMOVD(word.As32(), x)
				VPBROADCASTD(x, v)
				VPAND(bit, v, v)
				VPCMPEQD(bit, v, v)
				VBLENDVPS(v, minus, one, v)
			}
			VMOVUPS(v, Mem{Base: dst})
			SHRQ(Imm(uint64(t.lanes)), word)
			t.next(dst)
		})
		ADDQ(Imm(8), src)
	})
	VZEROUPPER()
	RET()
}
