package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// grad emits GradTileKxV for K filters and V vectors of window elements.
func (t *tier) grad() {
	filters, wide := []int{4}, 2 // 16 registers
	if t.lanes == 16 {
		filters, wide = []int{8, 4}, 3
	}
	for _, k := range filters {
		t.gradTile(k, wide)
		t.gradTile(k, 1)
	}
}

func (t *tier) gradTile(filters, vectors int) {
	name := fmt.Sprintf("GradTile%dx%d", filters, vectors)
	TEXT(name, NOSPLIT, "func(dw, dy, x *float32, rows, pixels, dyRow, dyPixel, xRow, xPixel, dwStep int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds to %d filters by %d window elements:", name, filters, vectors*t.lanes),
		"",
		"\tdw[k*dwStep+i] += sum over y < rows, z < pixels of dy[y*dyRow+z*dyPixel+k] * x[y*xRow+z*xPixel+i]",
		"",
		fmt.Sprintf("for k < %d and i < %d: one sum in ascending order, then added. Products are rounded first.", filters, vectors*t.lanes),
		"Strides count elements; rows and pixels are at least 1.")
	dyRow, xRow, rows := param("dy"), param("x"), param("rows")
	dyPixel, xPixel := bytes("dyPixel"), bytes("xPixel")
	acc := t.vecs(filters * vectors)
	for _, a := range acc {
		t.zero(a)
	}
	loop("row", rows, func() {
		dy, x, pixels := clone(dyRow), clone(xRow), param("pixels")
		loop("pixel", pixels, func() {
			xv := t.vecs(vectors)
			for i, r := range xv {
				VMOVUPS(t.at(x, i), r)
			}
			for k := range filters {
				t.multiplyAdd(Mem{Base: dy, Disp: 4 * k}, xv, acc[k*vectors:(k+1)*vectors])
			}
			ADDQ(dyPixel, dy)
			ADDQ(xPixel, x)
		})
		step := bytes("dyRow")
		ADDQ(step, dyRow)
		step = bytes("xRow")
		ADDQ(step, xRow)
	})
	dw, dwStep := param("dw"), bytes("dwStep")
	for k := range filters {
		for i := range vectors {
			a := acc[k*vectors+i]
			VADDPS(t.at(dw, i), a, a)
			VMOVUPS(a, t.at(dw, i))
		}
		ADDQ(dwStep, dw)
	}
	VZEROUPPER()
	RET()
}
