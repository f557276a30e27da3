package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// signRows emits what takes rows of half differences on, as package kernel's rowKernels says: values of 16 bits in AVX2, of
// 32 bits in AVX-512.
func (t *tier) signRows() {
	t.rowCounts()
	t.spreadRow()
	panels := []int{64, 32}
	if t.lanes == 16 {
		panels = []int{64, 32, 16}
	}
	for _, panel := range panels {
		t.rowBits(panel)
	}
	for _, channels := range []int{16, 8} {
		for _, add := range []bool{false, true} {
			for _, signs := range []bool{false, true} {
				t.rowFloats(channels, false, add, signs)
				t.rowFloats(channels, true, add, signs)
			}
		}
	}
}

// rowSize is the bytes of a value.
func (t *tier) rowSize() int { return t.lanes / 4 }

// values loads an integer parameter, a number of values, as a number of bytes.
func (t *tier) values(name string) reg.GPVirtual {
	r := param(name)
	SHLQ(Imm(uint64(t.rowSize()/2)), r)
	return r
}

// loadRow loads values as 32-bit integers: as many as v has lanes.
func (t *tier) loadRow(m Mem, v reg.VecVirtual) {
	if t.lanes == 16 {
		VMOVDQU(m, v)
		return
	}
	VPMOVSXWD(m, v)
}

func (t *tier) rowCounts() {
	t.function("RowCounts", "func(dst *int32, d *uint8, full, n, pixels, dstPixel, dPixel int)",
		"is dst[p*dstPixel+i] = full - 2*d[p*dPixel+i] for p < pixels and i < n, a multiple of 4.")
	dst, d, pixels := param("dst"), param("d"), param("pixels")
	dstPixel, dPixel := bytes("dstPixel"), t.values("dPixel")
	full, value := YMM(), param("full")
	low := XMM()
	VMOVD(value.As32(), low)
	VPBROADCASTD(low, full)
	step := func(to, from reg.Register, v reg.VecVirtual, full reg.VecVirtual) {
		t.loadRow(Mem{Base: from}, v)
		VPADDD(v, v, v)
		VPSUBD(v, full, v)
		VMOVDQU(v, Mem{Base: to})
	}
	loop("pixel", pixels, func() {
		to, from, n := clone(dst), clone(d), param("n")
		SUBQ(Imm(8), n)
		JL(LabelRef("four"))
		Label("eight")
		step(to, from, YMM(), full)
		ADDQ(Imm(32), to)
		ADDQ(Imm(uint64(8*t.rowSize())), from)
		SUBQ(Imm(8), n)
		JGE(LabelRef("eight"))
		Label("four")
		TESTQ(U32(4), n)
		JZ(LabelRef("done"))
		step(to, from, XMM(), full.AsX().(reg.VecVirtual))
		Label("done")
		ADDQ(dstPixel, dst)
		ADDQ(dPixel, d)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) spreadRow() {
	t.function("SpreadRow", "func(dst, d, order *uint8, pixels, dstPixel, dPixel int)",
		"is dst[p*dstPixel+i] = d[p*dPixel+j] for p < pixels and i < 8, where j is value i of order; in AVX2 order has the offset of each",
		"byte instead.")
	dst, d, n := param("dst"), param("d"), param("pixels")
	dstPixel, dPixel := t.values("dstPixel"), t.values("dPixel")
	at := param("order")
	vec, permute := func() reg.VecVirtual { return YMM() }, func(order, v reg.VecVirtual) { VPERMD(v, order, v) }
	if t.lanes == 8 {
		vec, permute = func() reg.VecVirtual { return XMM() }, func(order, v reg.VecVirtual) { VPSHUFB(order, v, v) }
	}
	order := vec()
	VMOVDQU(Mem{Base: at}, order)
	loop("pixel", n, func() {
		v := vec()
		VMOVDQU(Mem{Base: d}, v)
		permute(order, v)
		VMOVDQU(v, Mem{Base: dst})
		ADDQ(dstPixel, dst)
		ADDQ(dPixel, d)
	})
	VZEROUPPER()
	RET()
}

// compareRow returns a panel's bits for the pixel at d, a bit for each value below its limit.
func (t *tier) compareRow(panel int, d reg.Register, limits []reg.VecVirtual) reg.GPVirtual {
	var parts []reg.GPVirtual // of 32 bits
	if t.lanes == 8 {
		for i := range panel / 32 {
			a, b, m := YMM(), YMM(), GP64()
			VPCMPGTW(Mem{Base: d, Disp: 64 * i}, limits[2*i], a)
			VPCMPGTW(Mem{Base: d, Disp: 64*i + 32}, limits[2*i+1], b)
			VPACKSSWB(b, a, a)
			VPERMQ(Imm(0b11_01_10_00), a, a)
			VPMOVMSKB(a, m.As32())
			parts = append(parts, m)
		}
	} else {
		const greater = 6
		for i := 0; i < panel/16; i += 2 {
			k, m := K(), GP64()
			VPCMPD(Imm(greater), Mem{Base: d, Disp: 64 * i}, limits[i], k)
			if panel == 16 {
				KMOVW(k, m.As32())
				return m
			}
			k2 := K()
			VPCMPD(Imm(greater), Mem{Base: d, Disp: 64*i + 64}, limits[i+1], k2)
			KUNPCKWD(k, k2, k)
			KMOVD(k, m.As32())
			parts = append(parts, m)
		}
	}
	if len(parts) == 2 {
		SHLQ(Imm(32), parts[1])
		ORQ(parts[1], parts[0])
	}
	return parts[0]
}

func (t *tier) rowBits(panel int) {
	t.function(fmt.Sprintf("RowBits%d", panel),
		"func(dst *uint64, d, limits *uint8, pixels, dstPixel, rows, dstRow, perRow int, right, left, keep, old, flip uint64)",
		fmt.Sprintf("writes bits of panels of %d values, bit i of m being d[p*%d+i] < limits[i]:", panel, panel),
		"",
		"\tv = dst[p*dstPixel+r*dstRow]",
		"\tv = v&old | ((m>>(right+r*perRow)&keep)<<left ^ flip)",
		"",
		"for p < pixels and r < rows. Counts are at least 1, and shifts at most 63.")
	dst, d, n := param("dst"), param("d"), param("pixels")
	dstPixel, dstRow := bytes8("dstPixel"), bytes8("dstRow")
	size := t.rowSize()
	limits := make([]reg.VecVirtual, panel*size/(4*t.lanes))
	p := param("limits")
	for i := range limits {
		limits[i] = t.vec()
		t.move(t.at(p, i), limits[i])
	}
	right, left, keep, flip, perRow := param("right"), param("left"), param("keep"), param("flip"), param("perRow")
	old, err := Param("old").Resolve()
	if err != nil {
		panic(err)
	}
	loop("pixel", n, func() {
		m := t.compareRow(panel, d, limits)
		SHRXQ(right, m, m)
		to, rows := clone(dst), param("rows")
		loop("row", rows, func() {
			v, o := clone(m), GP64()
			ANDQ(keep, v)
			SHLXQ(left, v, v)
			XORQ(flip, v)
			MOVQ(Mem{Base: to}, o)
			ANDQ(old.Addr, o)
			ORQ(o, v)
			MOVQ(v, Mem{Base: to})
			SHRXQ(perRow, m, m)
			ADDQ(dstRow, to)
		})
		ADDQ(U32(panel*size), d)
		ADDQ(dstPixel, dst)
	})
	VZEROUPPER()
	RET()
}

// move loads a whole vector of integers.
func (t *tier) move(m Mem, v reg.VecVirtual) {
	if t.lanes == 16 {
		VMOVDQU32(m, v)
		return
	}
	VMOVDQU(m, v)
}
