package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// conv emits ConvTileVxP for V vectors of output channels and P pixels a block.
func (t *tier) conv() {
	for _, v := range []int{1, 2} {
		for _, p := range []int{t.block, 1} {
			t.convTile(v, p)
		}
	}
}

func (t *tier) convTile(vectors, pixels int) {
	name := fmt.Sprintf("ConvTile%dx%d", vectors, pixels)
	TEXT(name, NOSPLIT, "func(dst, src, w *float32, blocks, rows, depth, srcRow, srcPixel, dstPixel, wStep int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes blocks of %d pixels by %d channels:", name, pixels, vectors*t.lanes),
		"",
		"\tdst[p*dstPixel+c] = sum over r < rows, d < depth of src[p*srcPixel+r*srcRow+d] * w[(r*depth+d)*wStep+c]",
		"",
		fmt.Sprintf("for p < %d*blocks and c < %d. Strides count elements; blocks, rows and depth are at least 1.", pixels, vectors*t.lanes))
	dst, src, blocks := param("dst"), param("src"), param("blocks")
	step, wStep := bytes("srcPixel"), bytes("wStep")
	// Pixel i of a block is at base + reg*scale.
	type place struct {
		index reg.Register
		scale uint8
	}
	var at []place
	if pixels > 1 {
		step3 := GP64()
		LEAQ(Mem{Base: step, Index: step, Scale: 2}, step3)
		at = []place{{nil, 0}, {step, 1}, {step, 2}, {step3, 1}}
		if pixels > 4 {
			step5, step7 := GP64(), GP64()
			LEAQ(Mem{Base: step, Index: step, Scale: 4}, step5)
			LEAQ(Mem{Base: step3, Index: step, Scale: 4}, step7)
			at = append(at, place{step, 4}, place{step5, 1}, place{step3, 2}, place{step7, 1})
		}
	} else {
		at = []place{{nil, 0}}
	}
	loop("block", blocks, func() {
		acc := t.vecs(vectors * pixels)
		for _, a := range acc {
			t.zero(a)
		}
		row, w, rows := clone(src), param("w"), param("rows")
		loop("row", rows, func() {
			s, depth := clone(row), param("depth")
			loop("depth", depth, func() {
				wv := t.vecs(vectors)
				for i, r := range wv {
					VMOVUPS(t.at(w, i), r)
				}
				for i, a := range at {
					m := Mem{Base: s}
					if a.index != nil {
						m = m.Idx(a.index, a.scale)
					}
					if vectors == 1 && t.bcst {
						VFMADD231PS_BCST(m, wv[0], acc[i])
						continue
					}
					b := t.vec()
					VBROADCASTSS(m, b)
					for j, r := range wv {
						VFMADD231PS(b, r, acc[i*vectors+j])
					}
				}
				ADDQ(wStep, w)
				ADDQ(Imm(4), s)
			})
			srcRow := bytes("srcRow")
			ADDQ(srcRow, row)
		})
		dstPixel := bytes("dstPixel")
		for i := range pixels {
			for j := range vectors {
				VMOVUPS(acc[i*vectors+j], t.at(dst, j))
			}
			ADDQ(dstPixel, dst)
		}
		if pixels == 8 {
			LEAQ(Mem{Base: src, Index: step, Scale: 8}, src)
		} else if pixels == 4 {
			LEAQ(Mem{Base: src, Index: step, Scale: 4}, src)
		} else {
			ADDQ(step, src)
		}
	})
	VZEROUPPER()
	RET()
}
