package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lookup emits 1-bit convolution by table lookup, for processors without a population count in vectors: LookupTilePxL for
// blocks of P pixels by L filters, and the kernels that prepare its input.
//
// A byte shuffle looks 32 filters' nibbles up in a table of 16 bytes. The table belongs to the nibbles a and b of two
// pixels: entry i is popcount(a^i) + 16·popcount(b^i), so that one shuffle counts for two pixels. Three such entries add up
// to at most 12 in each half of a byte; they are then added to two accumulators:
//
//	low  += v & 0x0f0f	bytes: the sums of the first pixel
//	high += v >> 4   	words: those of the second, with 16 times the odd bytes of low in their midst
//
// which hold 21 groups of three before a byte overflows.
func (t *tier) lookup() {
	if t.lanes != 8 {
		return
	}
	tables := t.lookupTables()
	for _, vectors := range []int{2, 1} {
		for _, pairs := range []int{2, 1} {
			t.lookupTile(tables, pairs, vectors)
		}
	}
	t.pairNibbles()
}

// lookupTables returns the table of each pair of nibbles: that of a and b is at 16·(a + 16·b).
func (t *tier) lookupTables() Mem {
	m := GLOBL("lookupTables", RODATA|NOPTR)
	for i := range 256 {
		a, b := uint(i%16), uint(i/16)
		for half := range 2 {
			var entries uint64
			for e := range 8 {
				index := uint(8*half + e)
				entry := bits.OnesCount(a^index) + 16*bits.OnesCount(b^index)
				entries |= uint64(entry) << (8 * e)
			}
			DATA(16*i+8*half, U64(entries))
		}
	}
	return m
}

// words16 returns a vector in memory with one value in each 16-bit word.
func words16(name string, v uint16) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 16 {
		DATA(2*i, U16(v))
	}
	return m
}

func (t *tier) lookupTile(tables Mem, pairs, vectors int) {
	pixels, lanes := 2*pairs, 32*vectors
	name := fmt.Sprintf("LookupTile%dx%d", pixels, lanes)
	t.function(name, "func(dst, start *uint8, columns *uint32, x *uint16, w *uint8, runs *uint32, blocks, flushes, perFlush, groups, xPair, dstPixel int)",
		fmt.Sprintf("computes blocks of %d pixels by %d filters:", pixels, lanes),
		"",
		"\tdst[p*dstPixel+k] = start[columns[p]/2+k] + sum over r < flushes*perFlush, i < 3*groups of",
		"\t                    popcount(nibble p%2 of x[p/2*xPair + runs[r]/2 + i] ^ w[(r*3*groups+i)*lanes + lane(k)])",
		"",
		fmt.Sprintf("for p < %d*blocks and k < %d = lanes. An element of x holds the nibbles of two pixels in its bits 4 to 7 and 8 to 11; a weight", pixels, lanes),
		"with bit 7 set counts nothing, and dst has values of 16 bits. lane(k) is 2·(k%16) + k/16%2 + 32·(k/32). xPair and dstPixel count elements, and",
		"perFlush*groups is at most 21. Counts are at least 1.")
	mask := words16(fmt.Sprintf("lowNibbles%dx%d", pixels, lanes), 0x0f0f)
	lowBytes := words16(fmt.Sprintf("lowBytes%dx%d", pixels, lanes), 0x00ff)
	between := words16(fmt.Sprintf("between%dx%d", pixels, lanes), 0x0ff0)
	remaining, first := AllocLocal(8), AllocLocal(8)
	dst, x, columns := param("dst"), param("x"), param("columns")
	table := GP64()
	LEAQ(tables, table)
	xPair := param("xPair")
	ADDQ(xPair, xPair)
	blocks, err := Param("blocks").Resolve()
	if err != nil {
		panic(err)
	}

	Label("block")
	w, runs := param("w"), param("runs")
	{
		n := param("flushes")
		MOVQ(n, remaining)
		MOVQ(n, first)
	}
	Label("flush")
	low, high := t.zeros(pairs*vectors), t.zeros(pairs*vectors)
	perFlush := param("perFlush")
	loop("run", perFlush, func() {
		at := GP64()
		MOVL(Mem{Base: runs}, at.As32())
		ADDQ(Imm(4), runs)
		ADDQ(x, at)
		groups := param("groups")
		loop("group", groups, func() {
			v := t.vecs(pairs * vectors)
			for i := range 3 {
				tab := make([]reg.VecVirtual, pairs)
				for p := range pairs {
					index := GP64()
					m := Mem{Base: at, Disp: 2 * i}
					if p == 1 {
						m.Index, m.Scale = xPair, 1
					}
					MOVWLZX(m, index.As32())
					tab[p] = YMM()
					VBROADCASTI128(Mem{Base: table, Index: index, Scale: 1}, tab[p])
				}
				for q := range vectors {
					filters := Mem{Base: w, Disp: 32 * (i*vectors + q)}
					var operand Op = filters
					if pairs > 1 {
						f := YMM()
						VMOVDQU(filters, f)
						operand = f
					}
					for p := range pairs {
						sum := v[p*vectors+q]
						if i == 0 {
							VPSHUFB(operand, tab[p], sum)
							continue
						}
						entry := YMM()
						VPSHUFB(operand, tab[p], entry)
						VPADDB(entry, sum, sum)
					}
				}
			}
			for i, sum := range v {
				part := YMM()
				VPAND(mask, sum, part)
				VPADDB(part, low[i], low[i])
				VPSRLW(Imm(4), sum, sum)
				VPADDW(sum, high[i], high[i])
			}
			ADDQ(Imm(6), at)
			ADDQ(Imm(uint64(96*vectors)), w)
		})
	})

	// The sums of four half vectors: first and second pixel, even and odd bytes.
	sums := func(i int) [2][2]reg.VecVirtual {
		l, h := low[i], high[i]
		odd := YMM()
		VPSRLW(Imm(4), l, odd)
		VPAND(between, odd, odd)
		VPSUBW(odd, h, h)
		var s [2][2]reg.VecVirtual
		for j, v := range []reg.VecVirtual{l, h} {
			s[j] = [2]reg.VecVirtual{YMM(), YMM()}
			VPAND(lowBytes, v, s[j][0])
			VPSRLW(Imm(8), v, s[j][1])
		}
		return s
	}
	// store adds the sums to what is at a pointer for each pixel, and stores them.
	store := func(source func(pixel int, to reg.Register) reg.Register) {
		to, dstPixel := clone(dst), param("dstPixel")
		ADDQ(dstPixel, dstPixel)
		var keep [2][2][2]reg.VecVirtual
		for p := range pairs {
			for q := range vectors {
				keep[q] = sums(p*vectors + q)
			}
			for j := range 2 {
				from := source(2*p+j, to)
				for q := range vectors {
					for odd := range 2 {
						v, disp := keep[q][j][odd], 64*q+32*odd
						VPADDW(Mem{Base: from, Disp: disp}, v, v)
						VMOVDQU(v, Mem{Base: to, Disp: disp})
					}
				}
				ADDQ(dstPixel, to)
			}
		}
	}
	count := GP64()
	MOVQ(remaining, count)
	CMPQ(count, first)
	JNE(LabelRef("again"))
	store(func(pixel int, _ reg.Register) reg.Register {
		from := GP64()
		MOVL(Mem{Base: columns, Disp: 4 * pixel}, from.As32())
		start, err := Param("start").Resolve()
		if err != nil {
			panic(err)
		}
		ADDQ(start.Addr, from)
		return from
	})
	JMP(LabelRef("stored"))
	Label("again")
	store(func(_ int, to reg.Register) reg.Register { return to })
	Label("stored")
	DECQ(remaining)
	JNZ(LabelRef("flush"))

	dstPixel := param("dstPixel")
	SHLQ(Imm(uint64(1+pairs)), dstPixel) // bytes of 2 or 4 pixels
	ADDQ(dstPixel, dst)
	ADDQ(Imm(uint64(4*pixels)), columns)
	for range pairs {
		ADDQ(xPair, x)
	}
	DECQ(blocks.Addr)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// pairNibbles emits the kernels that prepare the input of LookupTile, for 16, 32 and 64 channels a step.
func (t *tier) pairNibbles() {
	for _, channels := range []int{16, 32, 64} {
		pixels := 64 / channels
		t.function(fmt.Sprintf("PairNibbles%d", channels), "func(dst *uint16, x, y *uint64, steps int)",
			fmt.Sprintf("writes, for each of %d*steps words of x and of y, their lowest %d bits as nibbles in ascending order: one element of dst", pixels, channels),
			"for each nibble, with that of x in bits 4 to 7 and that of y in bits 8 to 11.")
		// Each byte of the words fills two elements. The multiplication moves its low nibble to bit 4 in the first, and its
		// high nibble, already there, stays in the second.
		spread := GLOBL(fmt.Sprintf("spread%d", channels), RODATA|NOPTR)
		for e := range 16 {
			pixel, b := e/(channels/4), e%(channels/4)/2
			at := 8*(pixel%2) + b // in a half of the register
			if channels == 64 {
				at = b
			}
			DATA(2*e, U16(uint16(at)|0x8000))
		}
		times := func(name string, low uint16) Mem {
			m := GLOBL(fmt.Sprintf("%s%d", name, channels), RODATA|NOPTR)
			for e := range 16 {
				DATA(2*e, U16(low>>(e%2*4)))
			}
			return m
		}
		timesX, timesY := times("timesX", 16), times("timesY", 256)
		keepX, keepY := words16(fmt.Sprintf("keepX%d", channels), 0x00f0), words16(fmt.Sprintf("keepY%d", channels), 0x0f00)
		load := func(p reg.Register) reg.VecVirtual {
			v := YMM()
			switch channels {
			case 16:
				VMOVDQU(Mem{Base: p}, v)
			case 32:
				VBROADCASTI128(Mem{Base: p}, v)
			case 64:
				VPBROADCASTQ(Mem{Base: p}, v)
			}
			return v
		}
		resident := func(m Mem) reg.VecVirtual {
			v := YMM()
			VMOVDQU(m, v)
			return v
		}
		dst, x, y, n := param("dst"), param("x"), param("y"), param("steps")
		shuffle := resident(spread)
		constants := [2][2]reg.VecVirtual{{resident(timesX), resident(keepX)}, {resident(timesY), resident(keepY)}}
		loop("step", n, func() {
			v := [2]reg.VecVirtual{load(x), load(y)}
			for i := range v {
				VPSHUFB(shuffle, v[i], v[i])
				VPMULLW(constants[i][0], v[i], v[i])
				VPAND(constants[i][1], v[i], v[i])
			}
			VPOR(v[0], v[1], v[0])
			VMOVDQU(v[0], Mem{Base: dst})
			ADDQ(Imm(32), dst)
			ADDQ(Imm(uint64(8*pixels)), x)
			ADDQ(Imm(uint64(8*pixels)), y)
		})
		VZEROUPPER()
		RET()
	}
}
