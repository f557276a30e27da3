package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bf16 emits the passes over bfloat16 numbers that are stored as exponents and the rest.
func (t *tier) bf16() {
	if t.lanes != 8 {
		return
	}
	t.splitBF16()
	t.mergeBF16()
	t.mergeCode3()
	t.decodeWords()
}

// everyByte and everyWord fill a register with one value in each byte or 16-bit word.
func (t *tier) everyByte(v uint8) reg.VecVirtual  { return t.constant(0x01010101 * uint32(v)) }
func (t *tier) everyWord(v uint16) reg.VecVirtual { return t.constant(0x00010001 * uint32(v)) }

func (t *tier) splitBF16() {
	t.function("SplitBF16", "func(exp, sm, src *byte, vectors int)",
		"takes vectors of 32 numbers at src, at least 1, apart into their exponents and their signs and mantissas.")
	exp, sm, src, n := param("exp"), param("sm"), param("src"), param("vectors")
	low, mantissa, sign := t.everyWord(0xff), t.everyWord(0x7f), t.everyWord(0x80)
	loop("vector", n, func() {
		var e, m [2]reg.VecVirtual
		for i := range e {
			w, s := YMM(), YMM()
			e[i], m[i] = YMM(), YMM()
			VMOVDQU(Mem{Base: src, Disp: 32 * i}, w)
			VPSRLW(Imm(7), w, e[i])
			VPAND(low, e[i], e[i])
			VPSRLW(Imm(8), w, s)
			VPAND(sign, s, s)
			VPAND(mantissa, w, m[i])
			VPOR(s, m[i], m[i])
		}
		for i, v := range [][2]reg.VecVirtual{e, m} {
			// The packs work on halves of 128 bits: put their quarters in order.
			VPACKUSWB(v[1], v[0], v[0])
			VPERMQ(Imm(0b11_01_10_00), v[0], v[0])
			VMOVDQU(v[0], Mem{Base: []reg.Register{exp, sm}[i]})
		}
		ADDQ(Imm(32), exp)
		ADDQ(Imm(32), sm)
		ADDQ(Imm(64), src)
	})
	VZEROUPPER()
	RET()
}

// interleave emits dst[64·disp…] = the bytes of lo and hi in turn.
func interleave(lo, hi reg.VecVirtual, dst Mem) {
	a, b, c := YMM(), YMM(), YMM()
	VPUNPCKLBW(hi, lo, a)
	VPUNPCKHBW(hi, lo, b)
	VPERM2I128(Imm(0x20), b, a, c)
	VMOVDQU(c, dst)
	VPERM2I128(Imm(0x31), b, a, c)
	VMOVDQU(c, dst.Offset(32))
}

func (t *tier) mergeBF16() {
	t.function("MergeBF16", "func(dst, exp, sm *byte, vectors int)",
		"puts vectors of 32 numbers, at least 1, together from exponents and signs and mantissas.")
	dst, exp, sm, n := param("dst"), param("exp"), param("sm"), param("vectors")
	high, sign := t.everyByte(0x7f), t.everyByte(0x80)
	loop("vector", n, func() {
		e, s, lo, hi := YMM(), YMM(), YMM(), YMM()
		VMOVDQU(Mem{Base: exp}, e)
		VMOVDQU(Mem{Base: sm}, s)
		// Shifts of 16 bits, and off with what came from the neighbouring byte.
		VPSLLW(Imm(7), e, lo)
		VPSRLW(Imm(1), e, hi)
		VPAND(sign, lo, lo)
		VPAND(high, hi, hi)
		signs := YMM()
		VPAND(sign, s, signs)
		VPAND(high, s, s)
		VPOR(s, lo, lo)
		VPOR(signs, hi, hi)
		interleave(lo, hi, Mem{Base: dst})
		ADDQ(Imm(32), exp)
		ADDQ(Imm(32), sm)
		ADDQ(Imm(64), dst)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) mergeCode3() {
	t.function("MergeBF16Code3", "func(dst, codes, sm, table *byte, groups int)",
		"is MergeBF16 of groups of 256 numbers, at least 1, whose exponents are codes of 3 bits: table holds the exponent of each.")
	dst, codes, sm, n := param("dst"), param("codes"), param("sm"), param("groups")
	table := param("table")
	// What a shuffle looks up: the bits of an exponent that go into the high byte, and the one for the low byte.
	upper, lowest := YMM(), YMM()
	VPBROADCASTQ(Mem{Base: table}, upper)
	VPSLLW(Imm(7), upper, lowest)
	VPSRLW(Imm(1), upper, upper)
	VPAND(t.everyByte(0x80), lowest, lowest)
	VPAND(t.everyByte(0x7f), upper, upper)
	two, four, sign := t.everyByte(3), t.everyByte(4), t.everyByte(0x80)
	loop("group", n, func() {
		h := YMM()
		VMOVDQU(Mem{Base: codes, Disp: 64}, h)
		var low reg.VecVirtual
		for g := range 8 {
			if g%4 == 0 {
				low = YMM()
				VMOVDQU(Mem{Base: codes, Disp: 8 * g}, low)
			}
			code, bit := YMM(), YMM()
			if g%4 == 0 {
				VPAND(two, low, code)
			} else {
				VPSRLW(Imm(uint64(g%4*2)), low, code)
				VPAND(two, code, code)
			}
			switch {
			case g < 2:
				VPSLLW(Imm(uint64(2-g)), h, bit)
				VPAND(four, bit, bit)
			case g == 2:
				VPAND(four, h, bit)
			default:
				VPSRLW(Imm(uint64(g-2)), h, bit)
				VPAND(four, bit, bit)
			}
			VPOR(bit, code, code)
			hi, lo, s, signs := YMM(), YMM(), YMM(), YMM()
			VPSHUFB(code, upper, hi)
			VPSHUFB(code, lowest, lo)
			VMOVDQU(Mem{Base: sm, Disp: 32 * g}, s)
			VPAND(sign, s, signs)
			VPANDN(s, sign, s)
			VPOR(signs, hi, hi)
			VPOR(s, lo, lo)
			interleave(lo, hi, Mem{Base: dst, Disp: 64 * g})
		}
		ADDQ(Imm(96), codes)
		ADDQ(U32(256), sm)
		ADDQ(U32(512), dst)
	})
	VZEROUPPER()
	RET()
}

// decodeWords keeps of each stream the bits to come in a register, below a bit that is always set: the leading zeros above it
// are the bits that were taken since the last load, so that nothing else counts them. What the streams are loaded from lies
// on the stack: the registers are for six streams, which wait for each other's loads from the table.
func (t *tier) decodeWords() {
	const streams, lookups, index = 6, 5, 11
	t.function("DecodeWords", "func(dst, src *byte, table *uint64, at, out *int, rounds int)",
		"decodes rounds, at least 1, of 5 lookups from each of 6 streams.")
	mark := GLOBL("mark", RODATA|NOPTR)
	DATA(0, U64(1<<63))
	locals := AllocLocal(8 * (streams + 1))
	rounds, in := locals, func(s int) Mem { return locals.Offset(8 * (s + 1)) }
	n := param("rounds")
	MOVQ(n, rounds)
	var out, bits [streams]reg.GPVirtual
	at, outs := param("at"), param("out")
	src, dst := param("src"), param("dst")
	for s := range streams {
		from, shift := GP64(), GP64()
		MOVQ(Mem{Base: at, Disp: 8 * s}, from)
		MOVQ(from, shift)
		ANDQ(Imm(7), shift)
		SHRQ(Imm(3), from)
		ADDQ(src, from)
		MOVQ(from, in(s))
		bits[s] = GP64()
		MOVQ(mark, bits[s])
		SHRXQ(shift, bits[s], bits[s])
	}
	for s := range streams {
		out[s] = GP64()
		MOVQ(Mem{Base: outs, Disp: 8 * s}, out[s])
		ADDQ(dst, out[s])
	}
	table := param("table")
	Label("round")
	for s := range streams {
		taken := GP64()
		LZCNTQ(bits[s], taken)
		MOVQ(taken, bits[s])
		SHRQ(Imm(3), bits[s])
		ADDQ(in(s), bits[s])
		MOVQ(bits[s], in(s))
		MOVQ(Mem{Base: bits[s]}, bits[s])
		ORQ(mark, bits[s])
		ANDQ(Imm(7), taken)
		SHRXQ(taken, bits[s], bits[s])
	}
	for range lookups {
		for s := range streams {
			entry, length := GP64(), GP64()
			MOVQ(bits[s], entry)
			ANDQ(U32(1<<index-1), entry)
			MOVBQZX(Mem{Base: table, Index: entry, Scale: 8, Disp: 6}, length)
			MOVQ(Mem{Base: table, Index: entry, Scale: 8}, entry)
			SHRXQ(length, bits[s], bits[s])
			MOVQ(entry, Mem{Base: out[s]})
			SHRQ(Imm(56), entry)
			ADDQ(entry, out[s])
		}
	}
	DECQ(rounds)
	JNZ(LabelRef("round"))
	ends := GP64()
	Load(Param("out"), ends)
	for s := range streams {
		SUBQ(NewParamAddr("dst", 0), out[s])
		MOVQ(out[s], Mem{Base: ends, Disp: 8 * s})
	}
	Load(Param("at"), ends)
	for s := range streams {
		LZCNTQ(bits[s], bits[s])
		from := GP64()
		MOVQ(in(s), from)
		SUBQ(NewParamAddr("src", 8), from)
		SHLQ(Imm(3), from)
		ADDQ(bits[s], from)
		MOVQ(from, Mem{Base: ends, Disp: 8 * s})
	}
	RET()
}
