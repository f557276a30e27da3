package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// conv emits ConvTileVxP for V vectors of output channels and P pixels a block.
func (t *tier) conv() {
	for _, shape := range t.convShapes {
		t.convTile(shape[0], shape[1])
	}
}

func (t *tier) convTile(vectors, pixels int) {
	name := fmt.Sprintf("ConvTile%dx%d", vectors, pixels)
	TEXT(name, NOSPLIT, "func(dst, src, w *float32, blocks, rows, taps, depth, srcRow, srcPixel, dstPixel, wStep int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes blocks of %d pixels by %d channels:", name, pixels, vectors*t.lanes),
		"",
		"\tdst[p*dstPixel+c] = sum over r < rows, s < taps, d < depth of",
		"\t                    src[p*srcPixel+r*srcRow+s*depth+d] * w[((r*taps+s)*depth+d)*wStep+c]",
		"",
		fmt.Sprintf("for p < %d*blocks and c < %d: one sum over d for each tap, from 0, and then over the taps, from 0; all in ascending order.", pixels, vectors*t.lanes),
		"Products are rounded before they are added. Strides count elements; blocks, rows, taps and depth are at least 1.")
	dst, src, blocks := param("dst"), param("src"), param("blocks")
	step, wStep := bytes("srcPixel"), bytes("wStep")
	at, advance := t.pixels(step, pixels)
	loop("block", blocks, func() {
		total := t.totals(vectors, pixels, dst)
		row, w, rows := clone(src), param("w"), param("rows")
		loop("row", rows, func() {
			s, taps := clone(row), param("taps")
			loop("tap", taps, func() {
				acc := t.vecs(vectors * pixels)
				for _, a := range acc {
					t.zero(a)
				}
				depth := param("depth")
				loop("depth", depth, func() {
					wv := t.vecs(vectors)
					for i, r := range wv {
						VMOVUPS(t.at(w, i), r)
					}
					for i := range pixels {
						t.multiplyAdd(at(s, i), wv, acc[i*vectors:(i+1)*vectors])
					}
					ADDQ(wStep, w)
					ADDQ(Imm(4), s)
				})
				total.add(acc)
			})
			srcRow := bytes("srcRow")
			ADDQ(srcRow, row)
		})
		total.store()
		advance(src)
	})
	VZEROUPPER()
	RET()
}

// pixels returns the operand of pixel i of a block behind a pointer, for pixels step bytes apart, and a function that
// moves a pointer on by a block.
func (t *tier) pixels(step reg.Register, n int) (at func(p reg.Register, i int) Mem, advance func(p reg.Register)) {
	index, scale := []reg.Register{nil}, []uint8{0}
	if n > 1 {
		step3 := GP64()
		LEAQ(Mem{Base: step, Index: step, Scale: 2}, step3)
		index, scale = append(index, step, step, step3), append(scale, 1, 2, 1)
		if n > 4 {
			step5, step7 := GP64(), GP64()
			LEAQ(Mem{Base: step, Index: step, Scale: 4}, step5)
			LEAQ(Mem{Base: step3, Index: step, Scale: 4}, step7)
			index, scale = append(index, step, step5, step3, step7), append(scale, 4, 1, 2, 1)
		}
	}
	at = func(p reg.Register, i int) Mem {
		m := Mem{Base: p}
		if i > 0 {
			m = m.Idx(index[i], scale[i])
		}
		return m
	}
	return at, func(p reg.Register) { LEAQ(Mem{Base: p, Index: step, Scale: uint8(n)}, p) }
}

// totals are the sums over the taps of a block: in registers where there are enough of them, else in dst itself.
type totals struct {
	t               *tier
	vectors, pixels int
	dst             reg.Register
	regs            []reg.VecVirtual
}

func (t *tier) totals(vectors, pixels int, dst reg.Register) *totals {
	s := &totals{t: t, vectors: vectors, pixels: pixels, dst: dst}
	if 2*vectors*pixels+vectors+2 <= t.registers {
		s.regs = t.vecs(vectors * pixels)
		for _, r := range s.regs {
			t.zero(r)
		}
		return s
	}
	zero := t.vec()
	t.zero(zero)
	s.each(func(_ int, m Mem) { VMOVUPS(zero, m) })
	return s
}

// each calls touch for every vector of the block at dst.
func (s *totals) each(touch func(i int, m Mem)) {
	p := clone(s.dst)
	step := bytes("dstPixel")
	for i := range s.pixels {
		for j := range s.vectors {
			touch(i*s.vectors+j, s.t.at(p, j))
		}
		if i < s.pixels-1 {
			ADDQ(step, p)
		}
	}
}

// add adds a tap's sums.
func (s *totals) add(acc []reg.VecVirtual) {
	if s.regs != nil {
		for i, a := range acc {
			VADDPS(a, s.regs[i], s.regs[i])
		}
		return
	}
	s.each(func(i int, m Mem) {
		VADDPS(m, acc[i], acc[i])
		VMOVUPS(acc[i], m)
	})
}

// store leaves the totals in dst, and moves dst on by the block.
func (s *totals) store() {
	if s.regs != nil {
		s.each(func(i int, m Mem) { VMOVUPS(s.regs[i], m) })
	}
	step := bytes("dstPixel")
	for range s.pixels {
		ADDQ(step, s.dst)
	}
}

// gatherRows emits the copying of windows: a run of at least 8 elements is whole vectors and one that ends with it.
func (t *tier) gatherRows() {
	if t.lanes != 8 {
		return // longer vectors do not fit runs that are hardly longer
	}
	t.function("GatherRows", "func(dst, src *float32, pixels, rows, run, srcRow, srcPixel, dstPixel int)",
		"is dst[p*dstPixel+r*run+i] = src[p*srcPixel+r*srcRow+i] for p < pixels, r < rows, i < run. pixels and rows are at least 1, run",
		"at least 8.")
	dst, src, pixels := param("dst"), param("src"), param("pixels")
	srcRow, srcPixel, dstPixel, run := bytes("srcRow"), bytes("srcPixel"), bytes("dstPixel"), bytes("run")
	last := clone(run)
	SUBQ(Imm(32), last)
	loop("pixel", pixels, func() {
		from, to, rows := clone(src), clone(dst), param("rows")
		loop("row", rows, func() {
			i, v := GP64(), YMM()
			XORQ(i, i)
			JMP(LabelRef("whole"))
			Label("vector")
			VMOVUPS(Mem{Base: from, Index: i, Scale: 1}, v)
			VMOVUPS(v, Mem{Base: to, Index: i, Scale: 1})
			ADDQ(Imm(32), i)
			Label("whole")
			CMPQ(i, last)
			JLT(LabelRef("vector"))
			VMOVUPS(Mem{Base: from, Index: last, Scale: 1}, v)
			VMOVUPS(v, Mem{Base: to, Index: last, Scale: 1})
			ADDQ(srcRow, from)
			ADDQ(run, to)
		})
		ADDQ(srcPixel, src)
		ADDQ(dstPixel, dst)
	})
	VZEROUPPER()
	RET()
}
