package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// grad emits GradTileKxV for K filters and V vectors of window elements.
func (t *tier) grad() {
	filters := []int{4}
	if t.lanes == 16 {
		filters = []int{8, 4}
	}
	for _, k := range filters {
		for _, v := range []int{3, 1} {
			t.gradTile(k, v)
		}
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
		fmt.Sprintf("for k < %d and i < %d. Strides count elements; rows and pixels are at least 1.", filters, vectors*t.lanes))
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
				if vectors == 1 && t.bcst {
					VFMADD231PS_BCST(Mem{Base: dy, Disp: 4 * k}, xv[0], acc[k])
					continue
				}
				b := t.vec()
				VBROADCASTSS(Mem{Base: dy, Disp: 4 * k}, b)
				for i, r := range xv {
					VFMADD231PS(b, r, acc[k*vectors+i])
				}
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
