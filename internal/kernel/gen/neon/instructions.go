package main

import "fmt"

// Go's assembler lacks most of NEON's floating point and much of its integer arithmetic. These instructions are written as
// words, with what they are in a comment, which the tests of package neon hold against the encodings of a disassembler.
// Operands are in Arm's order, the result first.

// word writes an instruction whose registers have the fields from bits 0, 5 and 16 on.
func (a *fn) word(base uint32, name, lanes string, v ...vec) {
	operands := fmt.Sprintf("v%d.%s", v[0], lanes)
	for _, r := range v[1:] {
		operands += fmt.Sprintf(", v%d.%s", r, lanes)
	}
	a.encoded(base, name+" "+operands, v...)
}

func (a *fn) encoded(base uint32, text string, v ...vec) {
	for i, r := range v {
		base |= uint32(r) << [3]int{0, 5, 16}[i]
	}
	fmt.Fprintf(&a.instructions, "\tWORD $0x%08x // %s\n", base, text)
}

// Four float32.
func (a *fn) fadd4(d, n, m vec)  { a.word(0x4e20d400, "fadd", "4s", d, n, m) }
func (a *fn) fsub4(d, n, m vec)  { a.word(0x4ea0d400, "fsub", "4s", d, n, m) }
func (a *fn) fmul4(d, n, m vec)  { a.word(0x6e20dc00, "fmul", "4s", d, n, m) }
func (a *fn) fmax4(d, n, m vec)  { a.word(0x4e20f400, "fmax", "4s", d, n, m) } // NaN where an operand is
func (a *fn) fmin4(d, n, m vec)  { a.word(0x4ea0f400, "fmin", "4s", d, n, m) }
func (a *fn) facgt4(d, n, m vec) { a.word(0x6ea0ec00, "facgt", "4s", d, n, m) } // |n| > |m|: all bits set
func (a *fn) fneg4(d, n vec)     { a.word(0x6ea0f800, "fneg", "4s", d, n) }
func (a *fn) scvtf4(d, n vec)    { a.word(0x4e21d800, "scvtf", "4s", d, n) }

// fmul4Lane multiplies by the first lane of m.
func (a *fn) fmul4Lane(d, n, m vec) {
	a.encoded(0x4f809000, fmt.Sprintf("fmul v%d.4s, v%d.4s, v%d.s[0]", d, n, m), d, n, m)
}

// fltz4 sets all bits where n < 0: not for zeros and NaN.
func (a *fn) fltz4(d, n vec) {
	a.encoded(0x4ea0e800, fmt.Sprintf("fcmlt v%d.4s, v%d.4s, #0.0", d, n), d, n)
}

// fgtz4 sets all bits where n > 0.
func (a *fn) fgtz4(d, n vec) {
	a.encoded(0x4ea0c800, fmt.Sprintf("fcmgt v%d.4s, v%d.4s, #0.0", d, n), d, n)
}

// Two float64.
func (a *fn) fadd2(d, n, m vec) { a.word(0x4e60d400, "fadd", "2d", d, n, m) }
func (a *fn) fsub2(d, n, m vec) { a.word(0x4ee0d400, "fsub", "2d", d, n, m) }
func (a *fn) fmul2(d, n, m vec) { a.word(0x6e60dc00, "fmul", "2d", d, n, m) }
func (a *fn) fmax2(d, n, m vec) { a.word(0x4e60f400, "fmax", "2d", d, n, m) }
func (a *fn) fabs2(d, n vec)    { a.word(0x4ee0f800, "fabs", "2d", d, n) }

// widen makes float64 of four float32, narrow float32 of twice two float64. low may be n, and d may be low.
func (a *fn) widen(low, high, n vec) {
	a.encoded(0x4e617800, fmt.Sprintf("fcvtl2 v%d.2d, v%d.4s", high, n), high, n)
	a.encoded(0x0e617800, fmt.Sprintf("fcvtl v%d.2d, v%d.2s", low, n), low, n)
}

func (a *fn) narrow(d, low, high vec) {
	a.encoded(0x0e616800, fmt.Sprintf("fcvtn v%d.2s, v%d.2d", d, low), d, low)
	a.encoded(0x4e616800, fmt.Sprintf("fcvtn2 v%d.4s, v%d.2d", d, high), d, high)
}

// Integers.
func (a *fn) mul4(d, n, m vec)  { a.word(0x4ea09c00, "mul", "4s", d, n, m) }
func (a *fn) mla4(d, n, m vec)  { a.word(0x4ea09400, "mla", "4s", d, n, m) }  // d += n*m
func (a *fn) ushl4(d, n, m vec) { a.word(0x6ea04400, "ushl", "4s", d, n, m) } // n << m, to the right where m < 0

func (a *fn) smax4(d, n, m vec) { a.word(0x4ea06400, "smax", "4s", d, n, m) }
func (a *fn) cmgt4(d, n, m vec) { a.word(0x4ea03400, "cmgt", "4s", d, n, m) } // n > m: all bits set

// addBytes makes eight 16-bit sums of pairs of bytes, addHalves four sums of pairs of those; addHalvesTo adds them to d.
func (a *fn) addBytes(d, n vec) {
	a.encoded(0x6e202800, fmt.Sprintf("uaddlp v%d.8h, v%d.16b", d, n), d, n)
}

func (a *fn) addHalves(d, n vec) {
	a.encoded(0x6e602800, fmt.Sprintf("uaddlp v%d.4s, v%d.8h", d, n), d, n)
}

func (a *fn) addHalvesTo(d, n vec) {
	a.encoded(0x6e606800, fmt.Sprintf("uadalp v%d.4s, v%d.8h", d, n), d, n)
}

// signExtend makes int32 of four int16: the lower or the upper half of n.
func (a *fn) signExtend(d, n vec, half int) {
	if half == 0 {
		a.encoded(0x0f10a400, fmt.Sprintf("sshll v%d.4s, v%d.4h, #0", d, n), d, n)
	} else {
		a.encoded(0x4f10a400, fmt.Sprintf("sshll2 v%d.4s, v%d.8h, #0", d, n), d, n)
	}
}

// Instructions of Go's assembler, in Arm's order.
func (a *fn) fmla2(d, n, m vec) { a.op("VFMLA", m.as("D2"), n.as("D2"), d.as("D2")) } // d += n*m, rounded once
func (a *fn) and(d, n, m vec)   { a.op("VAND", m.as("B16"), n.as("B16"), d.as("B16")) }
func (a *fn) or(d, n, m vec)    { a.op("VORR", m.as("B16"), n.as("B16"), d.as("B16")) }
func (a *fn) eor(d, n, m vec)   { a.op("VEOR", m.as("B16"), n.as("B16"), d.as("B16")) }

func (a *fn) move(d, n vec) { a.op("VMOV", n.as("B16"), d.as("B16")) }
