package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// binconv emits BinConvTileP for P pixels a block.
func (t *tier) binconv() {
	if t.lanes != 16 {
		return // no population count in a vector
	}
	for _, p := range []int{8, 1} {
		t.binConvTile(p)
	}
}

func (t *tier) binConvTile(pixels int) {
	name := fmt.Sprintf("BinConvTile%d", pixels)
	t.function(name, "func(dst *int32, x, w *uint32, blocks, rows, run, xRow, xPixel, dstPixel, full int)",
		fmt.Sprintf("computes blocks of %d pixels by 16 filters:", pixels),
		"",
		"\tdst[p*dstPixel+k] = full - 2 * sum over r < rows, i < run of popcount(x[p*xPixel+r*xRow+i] ^ w[(r*run+i)*16+k])",
		"",
		fmt.Sprintf("for p < %d*blocks and k < 16. Strides count 32-bit words of x, elements of dst; blocks, rows and run are at least 1.", pixels))
	dst, x, blocks := param("dst"), param("x"), param("blocks")
	step := bytes("xPixel")
	at, advance := t.pixels(step, pixels)
	loop("block", blocks, func() {
		acc := t.zeros(pixels)
		row, w, rows := clone(x), param("w"), param("rows")
		loop("row", rows, func() {
			s, run := clone(row), param("run")
			loop("word", run, func() {
				f := ZMM()
				VMOVDQU32(Mem{Base: w}, f)
				for i := range pixels {
					v := ZMM()
					VPXORD_BCST(at(s, i), f, v)
					VPOPCNTD(v, v)
					VPADDD(v, acc[i], acc[i])
				}
				ADDQ(Imm(64), w)
				ADDQ(Imm(4), s)
			})
			xRow := bytes("xRow")
			ADDQ(xRow, row)
		})
		full, total := ZMM(), param("full")
		VPBROADCASTD(total.As32(), full)
		dstPixel := bytes("dstPixel")
		for i := range pixels {
			VPADDD(acc[i], acc[i], acc[i])
			VPSUBD(acc[i], full, acc[i])
			VMOVDQU32(acc[i], Mem{Base: dst})
			ADDQ(dstPixel, dst)
		}
		advance(x)
	})
	VZEROUPPER()
	RET()
}
