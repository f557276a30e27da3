package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tier is an instruction set: its vector registers and the instructions that differ between tiers.
type tier struct {
	lanes      int // float32 lanes of a vector register
	registers  int // vector registers
	vec        func() reg.VecVirtual
	zero       func(r reg.VecVirtual)
	convShapes [][2]int // vectors and pixels of the convolution tiles
	flatShapes [][2]int // those of the tiles of flatConv
	// Tables of a step's 16 lanes, made once needed.
	bits16, zeros16, abs16 Mem
}

var tiers = map[string]*tier{
	"avx512": {lanes: 16, registers: 32, vec: ZMM, zero: func(r reg.VecVirtual) { VPXORD(r, r, r) },
		convShapes: [][2]int{{2, 4}, {2, 1}, {1, 8}, {1, 1}}, flatShapes: [][2]int{{1, 8}, {1, 1}}},
	"avx2": {lanes: 8, registers: 16, vec: YMM, zero: func(r reg.VecVirtual) { VXORPS(r, r, r) },
		convShapes: [][2]int{{2, 4}, {2, 1}, {1, 8}, {1, 1}}, flatShapes: [][2]int{{2, 4}, {2, 1}, {1, 4}, {1, 1}}},
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
func param(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// bytes loads an integer parameter, a number of float32, as a number of bytes.
func bytes(name string) reg.GPVirtual {
	r := param(name)
	SHLQ(Imm(2), r)
	return r
}

// shorts loads an integer parameter, a number of 16-bit elements, as a number of bytes.
func shorts(name string) reg.GPVirtual {
	r := param(name)
	ADDQ(r, r)
	return r
}

// bytes8 loads an integer parameter, a number of 64-bit elements, as a number of bytes.
func bytes8(name string) reg.GPVirtual {
	r := param(name)
	SHLQ(Imm(3), r)
	return r
}

func clone(r reg.Register) reg.GPVirtual {
	c := GP64()
	MOVQ(r, c)
	return c
}

// multiplyAdd emits acc[i] += m·v[i] with the scalar at m, the product rounded first.
func (t *tier) multiplyAdd(m Mem, v, acc []reg.VecVirtual) {
	b := t.vec()
	VBROADCASTSS(m, b)
	for i, r := range v {
		p := t.vec()
		VMULPS(b, r, p)
		VADDPS(p, acc[i], acc[i])
	}
}
