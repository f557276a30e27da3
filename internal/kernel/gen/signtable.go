package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tableEntries are the signed sums of four operands.
const tableEntries = 16

// signTables emits what builds tables of signed sums and adds up their entries.
func (t *tier) signTables() {
	for _, vectors := range []int{8, 4, 2, 1} {
		if outputs := 8 / vectors; outputs > 1 {
			t.signSum(outputs, vectors)
		}
		t.signSum(1, vectors)
	}
	t.tableChannels()
	if t.lanes == 8 {
		t.tablePixels()
		t.combineColumns()
		t.tableOffsets()
	}
}

func (t *tier) signSum(outputs, vectors int) {
	name := fmt.Sprintf("SignSum%dx%d", outputs, vectors)
	t.function(name, "func(dst, table *float32, offsets *int32, blocks, rows, n, dstStep, tableRow, offsetRow, offsetStep, add int)",
		"adds up entries of a table:",
		"",
		"\tdst[o*dstStep+l] = sum over y < rows, i < n of table[l + y*tableRow + offsets[y*offsetRow+i*offsetStep+o]/4]",
		"",
		fmt.Sprintf("for o < %d*blocks and l < %d, from 0 and in ascending order, then added to what is in dst if add is 1. Offsets count bytes,", outputs, vectors*t.lanes),
		"strides elements; blocks, rows and n are at least 1.")
	dst, offsets, blocks := param("dst"), param("offsets"), param("blocks")
	dstStep, offsetStep := bytes("dstStep"), bytes("offsetStep")
	loop("block", blocks, func() {
		acc := t.zeros(outputs * vectors)
		table, row, rows := param("table"), clone(offsets), param("rows")
		loop("row", rows, func() {
			at, n := clone(row), param("n")
			loop("entry", n, func() {
				for o := range outputs {
					entry := GP64()
					MOVL(Mem{Base: at, Disp: 4 * o}, entry.As32())
					for v := range vectors {
						a := acc[o*vectors+v]
						VADDPS(Mem{Base: table, Index: entry, Scale: 1, Disp: 4 * t.lanes * v}, a, a)
					}
				}
				ADDQ(offsetStep, at)
			})
			step := bytes("tableRow")
			ADDQ(step, table)
			step = bytes("offsetRow")
			ADDQ(step, row)
		})
		add, last := param("add"), clone(dst)
		CMPQ(add, Imm(0))
		JEQ(LabelRef("store"))
		for o := range outputs {
			for v := range vectors {
				a := acc[o*vectors+v]
				VADDPS(t.at(last, v), a, a)
			}
			ADDQ(dstStep, last)
		}
		Label("store")
		for o := range outputs {
			for v := range vectors {
				VMOVUPS(acc[o*vectors+v], t.at(dst, v))
			}
			ADDQ(dstStep, dst)
		}
		ADDQ(Imm(uint64(4*outputs)), offsets)
	})
	VZEROUPPER()
	RET()
}

// storeEntries emits the stores of the entries of the operands a, b, c, d to at(0) .. at(15). Half of the entries are the
// negatives of others.
func (t *tier) storeEntries(a, b, c, d, sign reg.VecVirtual, at func(e int) Mem) {
	signed := func(minus int, x, y reg.VecVirtual) reg.VecVirtual {
		v := t.vec()
		if minus == 1 {
			VSUBPS(y, x, v)
		} else {
			VADDPS(y, x, v)
		}
		return v
	}
	for i := range 2 {
		two := signed(i, a, b)
		for j := range 2 {
			three := signed(j, two, c)
			for k := range 2 {
				four := signed(k, three, d)
				e := i<<1 | j<<2 | k<<3
				VMOVUPS(four, at(e))
				t.xor(sign, four, four)
				VMOVUPS(four, at(tableEntries-1-e))
			}
		}
	}
}

func (t *tier) xor(a, b, dst reg.VecVirtual) {
	if t.lanes == 16 {
		VPXORD(a, b, dst)
		return
	}
	VXORPS(a, b, dst)
}

const bitsSign = 0x80000000

// entries returns the operand of entry e behind dst, for entries step bytes apart, and a function that moves on by a vector.
func (t *tier) entries(dst, step reg.GPVirtual) (at func(e int) Mem, next func()) {
	low, _ := t.pixels(step, 8)
	high := GP64()
	LEAQ(Mem{Base: dst, Index: step, Scale: 8}, high)
	return func(e int) Mem {
			if e < 8 {
				return low(dst, e)
			}
			return low(high, e-8)
		}, func() {
			t.next(dst, high)
		}
}

func (t *tier) tableChannels() {
	t.function("TableChannels", "func(dst, a, b, c, d *float32, vectors, dstStep int)",
		"is dst[e*dstStep+i] = ((±a[i] ± b[i]) ± c[i]) ± d[i] for e < 16 over vectors of the tier's lanes, at least 1; minus where the",
		"bit of e is set, the lowest for a.")
	dst, step := param("dst"), bytes("dstStep")
	a, b, c, d, n := param("a"), param("b"), param("c"), param("d"), param("vectors")
	at, next := t.entries(dst, step)
	sign := t.constant(bitsSign)
	loop("vector", n, func() {
		v := t.vecs(4)
		for i, p := range []reg.GPVirtual{a, b, c, d} {
			VMOVUPS(Mem{Base: p}, v[i])
		}
		t.storeEntries(v[0], v[1], v[2], v[3], sign, at)
		t.next(a, b, c, d)
		next()
	})
	VZEROUPPER()
	RET()
}

// columns loads eight rows of four elements each and returns its four columns; at is the operand of a row.
func (t *tier) columns(at func(i int) Mem) [4]reg.VecVirtual {
	r := t.vecs(4)
	for i, v := range r {
		VMOVUPS(at(i), v.AsX())
		VINSERTF128(Imm(1), at(i+4), v, v)
	}
	u := t.vecs(4)
	VUNPCKLPS(r[1], r[0], u[0])
	VUNPCKHPS(r[1], r[0], u[1])
	VUNPCKLPS(r[3], r[2], u[2])
	VUNPCKHPS(r[3], r[2], u[3])
	var c [4]reg.VecVirtual
	for i := range c {
		c[i] = t.vec()
	}
	VUNPCKLPD(u[2], u[0], c[0])
	VUNPCKHPD(u[2], u[0], c[1])
	VUNPCKLPD(u[3], u[1], c[2])
	VUNPCKHPD(u[3], u[1], c[3])
	return c
}

func (t *tier) tablePixels() {
	t.function("TablePixels", "func(dst, src *float32, blocks, srcStep, dstStep int)",
		"is dst[e*dstStep+p] = ((±a ± b) ± c) ± d for e < 16 and p < 8*blocks, where a, b, c, d are src[p*srcStep] and the three elements",
		"behind it; minus where the bit of e is set, the lowest for a. blocks is at least 1.")
	dst, step := param("dst"), bytes("dstStep")
	src, n, srcStep := param("src"), param("blocks"), bytes("srcStep")
	at, next := t.entries(dst, step)
	sign := t.constant(bitsSign)
	four := GP64()
	LEAQ(Mem{Base: src, Index: srcStep, Scale: 4}, four)
	three := GP64()
	LEAQ(Mem{Base: srcStep, Index: srcStep, Scale: 2}, three)
	loop("block", n, func() {
		c := t.columns(func(i int) Mem { return rowOf(src, four, srcStep, three, i, 0) })
		t.storeEntries(c[0], c[1], c[2], c[3], sign, at)
		LEAQ(Mem{Base: src, Index: srcStep, Scale: 8}, src)
		LEAQ(Mem{Base: four, Index: srcStep, Scale: 8}, four)
		next()
	})
	VZEROUPPER()
	RET()
}

// rowOf is the operand of row i < 8 of rows step bytes apart, with pointers to the first and the fifth one.
func rowOf(first, fifth, step, step3 reg.Register, i, disp int) Mem {
	m := Mem{Base: first, Disp: disp}
	if i >= 4 {
		m.Base = fifth
	}
	switch i % 4 {
	case 1:
		m = m.Idx(step, 1)
	case 2:
		m = m.Idx(step, 2)
	case 3:
		m = m.Idx(step3, 1)
	}
	return m
}

func (t *tier) combineColumns() {
	t.function("CombineColumns", "func(dst, planes *float32, masks *int32, groups, columns, pixels, planeStep, columnStep, dstStep int)",
		"is dst[p*dstStep+c] = sum over s < columns, from 0 and in ascending order, of planes[s*columnStep+c*planeStep+p] where masks[8*s+p]",
		"is -1 and of 0 where it is 0, for p < pixels and c < 8*groups. groups and columns are at least 1, pixels is 1 to 8. It reads eight",
		"elements of every plane.")
	dst, planes, groups := param("dst"), param("planes"), param("groups")
	step := bytes("planeStep")
	three := GP64()
	LEAQ(Mem{Base: step, Index: step, Scale: 2}, three)
	loop("group", groups, func() {
		acc := t.zeros(8)
		at, masks, columns := clone(planes), param("masks"), param("columns")
		loop("column", columns, func() {
			mask, fifth, columnStep := t.vec(), GP64(), bytes("columnStep")
			VMOVUPS(Mem{Base: masks}, mask)
			LEAQ(Mem{Base: at, Index: step, Scale: 4}, fifth)
			for i, a := range acc {
				v := t.vec()
				VANDPS(rowOf(at, fifth, step, three, i, 0), mask, v)
				VADDPS(v, a, a)
			}
			ADDQ(columnStep, at)
			ADDQ(Imm(32), masks)
		})
		out, left, dstStep := clone(dst), param("pixels"), bytes("dstStep")
		for i, v := range t.transposed(acc) {
			VMOVUPS(v, Mem{Base: out})
			if i < 7 {
				DECQ(left)
				JZ(LabelRef("stored"))
				ADDQ(dstStep, out)
			}
		}
		Label("stored")
		ADDQ(Imm(32), dst)
		LEAQ(Mem{Base: planes, Index: step, Scale: 8}, planes)
	})
	VZEROUPPER()
	RET()
}

// transposed returns the columns of the 8x8 matrix whose rows are r, in whose registers some of them are.
func (t *tier) transposed(r []reg.VecVirtual) []reg.VecVirtual {
	pairs := t.vecs(8) // 2x2 blocks: rows 2i and 2i+1 interleaved
	for i := range 4 {
		VUNPCKLPS(r[2*i+1], r[2*i], pairs[2*i])
		VUNPCKHPS(r[2*i+1], r[2*i], pairs[2*i+1])
	}
	fours := t.vecs(8) // columns c and c+4 of rows 4i to 4i+3
	for i := range 2 {
		for j := range 2 {
			VUNPCKLPD(pairs[4*i+2+j], pairs[4*i+j], fours[4*i+2*j])
			VUNPCKHPD(pairs[4*i+2+j], pairs[4*i+j], fours[4*i+2*j+1])
		}
	}
	columns := t.vecs(8)
	for c := range 4 {
		VPERM2F128(Imm(0x20), fours[4+c], fours[c], columns[c])
		VPERM2F128(Imm(0x31), fours[4+c], fours[c], columns[4+c])
	}
	return columns
}

func (t *tier) tableOffsets() {
	t.function("TableOffsets", "func(dst *int32, x *byte, base *int32, groups, vectors, plane, entryBytes int)",
		"is dst[(g*vectors+v)*8+c] = base[g] + entryBytes*e for g < groups, v < vectors and c < 8, with the bits of e those at c of the",
		"bytes x[v*plane+4*g] to x[v*plane+4*g+3], the first one lowest. entryBytes is below 2^15; groups and vectors are at least 1.")
	dst, x, base, groups, plane := param("dst"), param("x"), param("base"), param("groups"), param("plane")
	lane := t.vec()
	lanes := GLOBL("laneNumbers", RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(i))
	}
	VMOVDQU(lanes, lane)
	lowest, weights := t.constant(0x01010101), t.constant(0x08040201)
	pair, scale := param("entryBytes"), t.vec()
	high := clone(pair)
	SHLQ(Imm(16), high)
	ORQ(high, pair)
	low := XMM()
	VMOVD(pair.As32(), low)
	VPBROADCASTD(low, scale)
	loop("group", groups, func() {
		first := t.vec()
		VPBROADCASTD(Mem{Base: base}, first)
		at, n := clone(x), param("vectors")
		loop("vector", n, func() {
			v := t.vec()
			VPBROADCASTD(Mem{Base: at}, v)
			VPSRLVD(lane, v, v)
			VPAND(lowest, v, v)
			VPMADDUBSW(weights, v, v)
			VPMADDWD(scale, v, v)
			VPADDD(first, v, v)
			VMOVDQU(v, Mem{Base: dst})
			ADDQ(plane, at)
			t.next(dst)
		})
		ADDQ(Imm(4), base)
		ADDQ(Imm(4), x)
	})
	VZEROUPPER()
	RET()
}
