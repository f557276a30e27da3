package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// popcount emits 1-bit convolution with the population count of AVX-512, a filter in each 32-bit lane:
//
//	PopcountRowsPxL	for blocks of P pixels by L filters: the sums over a window, for the kernels of signRows
//	PopcountBitsPxL	the same, compared with thresholds at once
//	Popcount16Rows, Popcount16Bits	for 3x3 windows of at most 16 channels: 144 bits in five words
//	CompactN	words of N channels from words of 64
func (t *tier) popcount() {
	if t.lanes != 16 {
		return
	}
	for _, bits := range []bool{false, true} {
		for _, vectors := range []int{2, 1} {
			for _, pixels := range []int{8, 7, 4, 2, 1} {
				t.popcountTile(pixels, vectors, bits)
			}
		}
		t.popcount16(bits)
	}
	t.compact(16)
	t.compact(32)
	t.zip16()
}

const popcountSums = "sum over r < rows, i < run of popcount(x[p*xPixel+r*xRow+i] ^ w[(r*run+i)*%d+k])"

func (t *tier) popcountTile(pixels, vectors int, bits bool) {
	lanes := 16 * vectors
	name, dstType, first, result := "Rows", "*int32", "", []string{
		"\tdst[p*dstPixel+k] = start[columns[p]/4+k] + " + fmt.Sprintf(popcountSums, lanes)}
	if bits {
		name, dstType, first, result = "Bits", "*uint16", ", first", []string{
			"\tbit k of dst[p*dstPixel] = start[columns[p]/4+k] < " + fmt.Sprintf(popcountSums, lanes),
			"",
			"where first is 1 with the rest of a 64-bit word clear, and where it is 0 with the rest as it was,"}
	}
	t.function(fmt.Sprintf("Popcount%s%dx%d", name, pixels, lanes),
		"func(dst "+dstType+", start *int32, columns, x, w *uint32, blocks, rows, run, xRow, xPixel, dstPixel, lines, xLine, dstLine"+first+" int)",
		append(append([]string{fmt.Sprintf("computes blocks of %d pixels by %d filters:", pixels, lanes), ""}, result...), "",
			fmt.Sprintf("for p < %d*blocks and k < %d, and that for each of lines rows: xLine words of x and dstLine elements of dst apart.", pixels, lanes),
			"Counts are at least 1.")...)
	elements := bytes
	if bits {
		elements = shorts
	}
	x, dst := param("x"), param("dst")
	step := bytes("xPixel")
	at, advance := t.pixels(step, pixels)
	lineX, lineDst, blocks := AllocLocal(8), AllocLocal(8), AllocLocal(8)

	Label("line")
	MOVQ(x, lineX)
	MOVQ(dst, lineDst)
	columns := param("columns")
	{
		n := param("blocks")
		MOVQ(n, blocks)
	}
	Label("block")
	acc := make([]reg.VecVirtual, pixels*vectors)
	from := make([]reg.GPVirtual, pixels) // thresholds, or starts, of a pixel
	start := func(i int) {
		from[i] = GP64()
		MOVL(Mem{Base: columns, Disp: 4 * i}, from[i].As32())
		p, err := Param("start").Resolve()
		if err != nil {
			panic(err)
		}
		ADDQ(p.Addr, from[i])
	}
	for i := range pixels {
		if !bits {
			start(i)
		}
		for v := range vectors {
			a := ZMM()
			acc[i*vectors+v] = a
			if bits {
				t.zero(a)
			} else {
				VMOVDQU32(Mem{Base: from[i], Disp: 64 * v}, a)
			}
		}
	}
	row, w, rows := clone(x), param("w"), param("rows")
	loop("row", rows, func() {
		s, run := clone(row), param("run")
		loop("word", run, func() {
			filters := make([]reg.VecVirtual, vectors)
			for v := range filters {
				filters[v] = ZMM()
				VMOVDQU32(Mem{Base: w, Disp: 64 * v}, filters[v])
			}
			for i := range pixels {
				for v := range filters {
					d := ZMM()
					VPXORD_BCST(at(s, i), filters[v], d)
					VPOPCNTD(d, d)
					VPADDD(d, acc[i*vectors+v], acc[i*vectors+v])
				}
			}
			ADDQ(U32(64*vectors), w)
			ADDQ(Imm(4), s)
		})
		xRow := bytes("xRow")
		ADDQ(xRow, row)
	})
	dstPixel := elements("dstPixel")
	if bits {
		first := param("first")
		TESTQ(first, first)
		JZ(LabelRef("beside"))
	}
	emit := func(whole bool) {
		for i := range pixels {
			if bits {
				start(i)
			}
			for v := range vectors {
				if !bits {
					VMOVDQU32(acc[i*vectors+v], Mem{Base: dst, Disp: 64 * v})
					continue
				}
				t.storeMask(acc[i*vectors+v], Mem{Base: from[i], Disp: 64 * v}, Mem{Base: dst, Disp: 2 * v}, whole && v == 0)
			}
			ADDQ(dstPixel, dst)
		}
	}
	emit(true)
	if bits {
		JMP(LabelRef("next"))
		Label("beside")
		emit(false)
		Label("next")
	}
	ADDQ(Imm(uint64(4*pixels)), columns)
	if pixels == 7 { // no scale of an address
		LEAQ(Mem{Base: x, Index: step, Scale: 8}, x)
		SUBQ(step, x)
	} else {
		advance(x)
	}
	DECQ(blocks)
	JNZ(LabelRef("block"))
	t.nextLine(lineX, lineDst, x, dst, elements)
}

// storeMask stores the 16 bits limit < d, with the rest of a 64-bit word clear or as it was.
func (t *tier) storeMask(d reg.VecVirtual, limit, to Mem, whole bool) {
	const greater = 6
	k := K()
	VPCMPD(Imm(greater), limit, d, k)
	if whole {
		KMOVQ(k, to)
		return
	}
	KMOVW(k, to)
}

// nextLine ends a function over lines.
func (t *tier) nextLine(lineX, lineDst Mem, x, dst reg.GPVirtual, elements func(string) reg.GPVirtual) {
	xLine, dstLine := bytes("xLine"), elements("dstLine")
	MOVQ(lineX, x)
	MOVQ(lineDst, dst)
	ADDQ(xLine, x)
	ADDQ(dstLine, dst)
	lines, err := Param("lines").Resolve()
	if err != nil {
		panic(err)
	}
	DECQ(lines.Addr)
	JNZ(LabelRef("line"))
	VZEROUPPER()
	RET()
}

// popcount16 is for 3x3 windows of pixels of 16 bits. The taps, by row and column, are in five words:
//
//	00 01, 10 11, 20 21	two neighbours each
//	02 12	from a map that has the pixel below each in its upper half
//	22	the lower half of a word
func (t *tier) popcount16(bits bool) {
	name, dstType, first, result := "Rows", "*int32", "", []string{"\tdst[p*dstPixel+k] = start[columns[p]/4+k] + d"}
	if bits {
		name, dstType, first, result = "Bits", "*uint16", ", first", []string{
			"\tbit k of dst[p*dstPixel] = start[columns[p]/4+k] < d", "",
			"where first is 1 with the rest of a 64-bit word clear, and where it is 0 with the rest as it was,"}
	}
	t.function("Popcount16"+name,
		"func(dst "+dstType+", start *int32, columns *uint32, x *uint16, zip, w *uint32, pixels, xRow, xPixel, dstPixel, lines, xLine, dstLine"+first+" int)",
		append(append([]string{"compares the 3x3 windows of pixels of 16 bits, xRow apart, with 16 filters:", ""}, result...), "",
			"for p < pixels and k < 16, and that for each of lines rows: xLine elements of x and dstLine of dst apart. zip[i] has x[i] in its",
			"lower half and x[i+xRow] in its upper one. d is the number of bits in which the window at x[p*xPixel] differs from the filter,",
			"w[i*16+k] for i < 5: taps 00 01, 10 11, 20 21, 02 12 and 22, the upper half of which does not count. Counts are at least 1.")...)
	elements := bytes
	if bits {
		elements = shorts
	}
	var filters [5]reg.VecVirtual
	w := param("w")
	for i := range filters {
		filters[i] = ZMM()
		VMOVDQU32(Mem{Base: w, Disp: 64 * i}, filters[i])
	}
	low := t.constant(0xffff)
	x, zip, dst := param("x"), param("zip"), param("dst")
	xRow, xPixel := shorts("xRow"), shorts("xPixel")
	dstPixel := elements("dstPixel")
	var firstBits reg.GPVirtual
	if bits {
		firstBits = param("first")
	}
	start := param("start")
	lineX, lineDst, lineZip := AllocLocal(8), AllocLocal(8), AllocLocal(8)

	Label("line")
	MOVQ(x, lineX)
	MOVQ(dst, lineDst)
	MOVQ(zip, lineZip)
	columns, n := param("columns"), param("pixels")
	loop("pixel", n, func() {
		from := GP64()
		MOVL(Mem{Base: columns}, from.As32())
		ADDQ(start, from)
		d := [5]reg.VecVirtual{ZMM(), ZMM(), ZMM(), ZMM(), ZMM()}
		VPXORD_BCST(Mem{Base: x}, filters[0], d[0])
		VPXORD_BCST(Mem{Base: x, Index: xRow, Scale: 1}, filters[1], d[1])
		VPXORD_BCST(Mem{Base: x, Index: xRow, Scale: 2}, filters[2], d[2])
		VPXORD_BCST(Mem{Base: zip, Disp: 8}, filters[3], d[3])
		VPBROADCASTD(Mem{Base: x, Index: xRow, Scale: 2, Disp: 4}, d[4])
		const xorAnd = 0x28 // (a xor b) and c
		VPTERNLOGD(Imm(xorAnd), low, filters[4], d[4])
		for _, v := range d {
			VPOPCNTD(v, v)
		}
		VPADDD(d[1], d[0], d[0])
		VPADDD(d[3], d[2], d[2])
		VPADDD(d[2], d[0], d[0])
		VPADDD(d[4], d[0], d[0])
		if bits {
			TESTQ(firstBits, firstBits)
			JZ(LabelRef("beside"))
			t.storeMask(d[0], Mem{Base: from}, Mem{Base: dst}, true)
			JMP(LabelRef("next"))
			Label("beside")
			t.storeMask(d[0], Mem{Base: from}, Mem{Base: dst}, false)
			Label("next")
		} else {
			VPADDD(Mem{Base: from}, d[0], d[0])
			VMOVDQU32(d[0], Mem{Base: dst})
		}
		ADDQ(Imm(4), columns)
		ADDQ(xPixel, x)
		LEAQ(Mem{Base: zip, Index: xPixel, Scale: 2}, zip)
		ADDQ(dstPixel, dst)
	})
	xLine, zipLine := shorts("xLine"), bytes("xLine")
	dstLine := elements("dstLine")
	MOVQ(lineX, x)
	MOVQ(lineDst, dst)
	MOVQ(lineZip, zip)
	ADDQ(xLine, x)
	ADDQ(zipLine, zip)
	ADDQ(dstLine, dst)
	lines, err := Param("lines").Resolve()
	if err != nil {
		panic(err)
	}
	DECQ(lines.Addr)
	JNZ(LabelRef("line"))
	VZEROUPPER()
	RET()
}

// tailMask returns a mask of the lowest n < 8 lanes.
func tailMask(n reg.GPVirtual) reg.OpmaskVirtual {
	m, k := GP64(), K()
	MOVQ(I32(-1), m)
	SHLXQ(n, m, m)
	NOTQ(m)
	KMOVB(m.As32(), k)
	return k
}

func (t *tier) compact(width int) {
	t.function(fmt.Sprintf("Compact%d", width), fmt.Sprintf("func(dst *uint%d, src *uint64, rows, n, dstRow int)", width),
		fmt.Sprintf("writes the lowest %d bits of the words of src, [rows,n], to dst, whose rows are dstRow elements apart.", width))
	dst, src, rows := param("dst"), param("src"), param("rows")
	dstRow := shorts("dstRow")
	narrow := VPMOVQW
	if width == 32 {
		ADDQ(dstRow, dstRow)
		narrow = VPMOVQD
	}
	tail := param("n")
	ANDQ(Imm(7), tail)
	k := tailMask(tail)
	loop("row", rows, func() {
		to, n := clone(dst), param("n")
		SUBQ(Imm(8), n)
		JL(LabelRef("tail"))
		Label("eight")
		v := ZMM()
		VMOVDQU64(Mem{Base: src}, v)
		narrow(v, Mem{Base: to})
		ADDQ(Imm(64), src)
		ADDQ(Imm(uint64(width)), to)
		SUBQ(Imm(8), n)
		JGE(LabelRef("eight"))
		Label("tail")
		last := ZMM()
		VMOVDQU64_Z(Mem{Base: src}, k, last)
		narrow(last, k, Mem{Base: to})
		LEAQ(Mem{Base: src, Index: tail, Scale: 8}, src)
		ADDQ(dstRow, dst)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) zip16() {
	t.function("Zip16", "func(dst *uint32, x, y *uint16, n int)",
		"is dst[i] = x[i] | y[i]<<16 for i < n, rounded up to a multiple of 16.")
	dst, x, y, n := param("dst"), param("x"), param("y"), param("n")
	Label("sixteen")
	a, b := ZMM(), ZMM()
	VPMOVZXWD(Mem{Base: x}, a)
	VPMOVZXWD(Mem{Base: y}, b)
	VPSLLD(Imm(16), b, b)
	VPORD(b, a, a)
	VMOVDQU32(a, Mem{Base: dst})
	ADDQ(Imm(32), x)
	ADDQ(Imm(32), y)
	ADDQ(Imm(64), dst)
	SUBQ(Imm(16), n)
	JG(LabelRef("sixteen"))
	VZEROUPPER()
	RET()
}
