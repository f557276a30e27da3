package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tier is an instruction set: its vector registers and the instructions that differ between tiers.
type tier struct {
	lanes int // float32 lanes of a vector register
	vec   func() reg.VecVirtual
	zero  func(r reg.VecVirtual)
	block int  // pixels of a convolution tile
	bcst  bool // fused multiply-add takes a broadcast memory operand
}

var tiers = map[string]*tier{
	"avx512": {lanes: 16, vec: ZMM, zero: func(r reg.VecVirtual) { VPXORD(r, r, r) }, block: 8, bcst: true},
	"avx2":   {lanes: 8, vec: YMM, zero: func(r reg.VecVirtual) { VXORPS(r, r, r) }, block: 4},
}

func (t *tier) vecs(n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = t.vec()
	}
	return v
}

// at is the memory operand of the i-th vector behind a pointer.
func (t *tier) at(p reg.Register, i int) Mem { return Mem{Base: p, Disp: 4 * t.lanes * i} }

// loop emits body n times, n in a register that is counted down; n must be at least 1.
func loop(label string, n reg.Register, body func()) {
	Label(label)
	body()
	DECQ(n)
	JNZ(LabelRef(label))
}

// param loads an integer parameter into a new register.
func param(name string) reg.Register { return Load(Param(name), GP64()) }

// bytes loads an integer parameter, a number of float32, as a number of bytes.
func bytes(name string) reg.Register {
	r := param(name)
	SHLQ(Imm(2), r)
	return r
}

func clone(r reg.Register) reg.Register {
	c := GP64()
	MOVQ(r, c)
	return c
}
