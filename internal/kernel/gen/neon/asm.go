package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"math/bits"
	"strings"
)

// gp is a general register, vec a vector register.
type (
	gp  int
	vec int
)

func (r gp) String() string  { return fmt.Sprintf("R%d", int(r)) }
func (v vec) String() string { return fmt.Sprintf("V%d", int(v)) }

// f names the whole of a register in loads and stores.
func (v vec) f() string { return fmt.Sprintf("F%d", int(v)) }

// as names a register with an arrangement of its lanes, as in "V1.S4".
func (v vec) as(lanes string) string { return fmt.Sprintf("V%d.%s", int(v), lanes) }

// imm is an immediate operand.
func imm(n int) string { return fmt.Sprintf("$%d", n) }

// mem is the memory at some bytes from a pointer.
func mem(p gp, offset int) string {
	if offset == 0 {
		return fmt.Sprintf("(%v)", p)
	}
	return fmt.Sprintf("%d(%v)", offset, p)
}

// file is an assembly file and the Go declarations of its functions.
type file struct {
	asm, stubs bytes.Buffer
	local      int // bytes of the next function's frame
}

// fn is the function being written. Its registers are taken one by one and released by scope.
type fn struct {
	file         *file
	name         string
	params       map[string]param
	order        []string // of the parameters
	gps, vecs    uint32   // bit i: register i is free
	labels       int
	instructions bytes.Buffer
}

type param struct {
	offset int
	load   string
}

const (
	allVecs = 1<<32 - 1
	// R18 is the platform's, R27 the assembler's, R28 to R31 Go's.
	allGPs = 1<<27 - 1 - 1<<18
)

// function writes a function with the given parameters and comment.
func (f *file) function(name, signature string, doc []string, body func(a *fn)) {
	a := &fn{file: f, name: name, params: map[string]param{}, gps: allGPs, vecs: allVecs}
	size := a.layout(signature)
	body(a)
	fmt.Fprintf(&f.asm, "\n// func %s(%s)\nTEXT ·%s(SB), NOSPLIT, $%d-%d\n%s", name, signature, name, f.local, size, a.instructions.String())
	fmt.Fprintf(&f.stubs, "\n// %s %s\n//\n//go:noescape\nfunc %s(%s)\n", name, strings.ReplaceAll(strings.Join(doc, "\n// "), "// \n", "//\n"), name, signature)
}

// layout finds the parameters' places, and returns the size of all of them.
func (a *fn) layout(signature string) int {
	expr, err := parser.ParseExpr("func(" + signature + ")")
	if err != nil {
		panic(fmt.Sprintf("%s: %v", a.name, err))
	}
	at := 0
	for _, field := range expr.(*ast.FuncType).Params.List {
		size, load := 8, "MOVD"
		if t, ok := field.Type.(*ast.Ident); ok {
			switch t.Name {
			case "float32":
				size, load = 4, "FMOVS"
			case "float64":
				load = "FMOVD"
			case "int", "uint64":
			default:
				panic(fmt.Sprintf("%s: parameter of type %s", a.name, t.Name))
			}
		}
		for _, name := range field.Names {
			at = (at + size - 1) / size * size
			a.params[name.Name] = param{at, load}
			a.order = append(a.order, name.Name)
			at += size
		}
	}
	return at
}

// op writes an instruction of Go's assembler.
func (a *fn) op(name string, operands ...any) {
	fmt.Fprintf(&a.instructions, "\t%s", name)
	for i, o := range operands {
		separator := ", "
		if i == 0 {
			separator = " "
		}
		fmt.Fprintf(&a.instructions, "%s%v", separator, o)
	}
	a.instructions.WriteByte('\n')
}

// label returns a new label.
func (a *fn) label(name string) string {
	a.labels++
	return fmt.Sprintf("%s%d", name, a.labels)
}

func (a *fn) at(label string) { fmt.Fprintf(&a.instructions, "\n%s:\n", label) }

// scope writes body and then releases the registers that it took.
func (a *fn) scope(body func()) {
	gps, vecs := a.gps, a.vecs
	body()
	a.gps, a.vecs = gps, vecs
}

// loop writes body n times; n, at least 1, is counted down to 0.
func (a *fn) loop(name string, n gp, body func()) {
	top := a.label(name)
	a.at(top)
	a.scope(body)
	a.op("SUBS", imm(1), n, n)
	a.op("BNE", top)
}

// gp takes a general register.
func (a *fn) gp() gp {
	i := bits.TrailingZeros32(a.gps)
	if i == 32 {
		panic(a.name + ": out of general registers")
	}
	a.gps &^= 1 << i
	return gp(i)
}

// vec takes a vector register.
func (a *fn) vec() vec {
	i := bits.TrailingZeros32(a.vecs)
	if i == 32 {
		panic(a.name + ": out of vector registers")
	}
	a.vecs &^= 1 << i
	return vec(i)
}

func (a *fn) takeVecs(n int) []vec {
	v := make([]vec, n)
	for i := range v {
		v[i] = a.vec()
	}
	return v
}

// place is a parameter's memory.
func (a *fn) place(name string) string {
	p, ok := a.params[name]
	if !ok {
		panic(a.name + ": no parameter " + name)
	}
	return fmt.Sprintf("%s+%d(FP)", name, p.offset)
}

// param loads an integer or a pointer into a new register.
func (a *fn) param(name string) gp {
	r := a.gp()
	a.op("MOVD", a.place(name), r)
	return r
}

// scaled loads a number of elements as a number of bytes, an element having 1<<shift.
func (a *fn) scaled(name string, shift int) gp {
	r := a.param(name)
	a.op("LSL", imm(shift), r, r)
	return r
}

// broadcast fills a new register with a floating point parameter.
func (a *fn) broadcast(name string) vec {
	v := a.vec()
	load := a.params[name].load
	a.op(load, a.place(name), v.f())
	if load == "FMOVS" {
		a.op("VDUP", v.as("S[0]"), v.as("S4"))
	} else {
		a.op("VDUP", v.as("D[0]"), v.as("D2"))
	}
	return v
}

// words fills a new register with a 32-bit value in each lane, doubles with one of 64 bits.
func (a *fn) words(value uint32) vec {
	v := a.vec()
	a.scope(func() {
		r := a.gp()
		a.op("MOVD", fmt.Sprintf("$%#x", value), r)
		a.op("VDUP", r, v.as("S4"))
	})
	return v
}

func (a *fn) doubles(value uint64) vec {
	v := a.vec()
	a.scope(func() {
		r := a.gp()
		a.op("MOVD", fmt.Sprintf("$%#x", value), r)
		a.op("VDUP", r, v.as("D2"))
	})
	return v
}

func (a *fn) zero(v ...vec) {
	for _, r := range v {
		a.op("VEOR", r.as("B16"), r.as("B16"), r.as("B16"))
	}
}

func (a *fn) zeros(n int) []vec {
	v := a.takeVecs(n)
	a.zero(v...)
	return v
}

func (a *fn) clone(r gp) gp {
	c := a.gp()
	a.op("MOVD", r, c)
	return c
}

// add is r += n for a register or a small number.
func (a *fn) add(n any, r ...gp) {
	for _, r := range r {
		if i, ok := n.(int); ok {
			a.op("ADD", imm(i), r, r)
		} else {
			a.op("ADD", n, r, r)
		}
	}
}

// load loads as many registers as v has from the bytes at p on, and store stores them.
func (a *fn) load(p gp, offset int, v ...vec) {
	for len(v) >= 2 && offset%16 == 0 && offset < 1024 {
		a.op("FLDPQ", mem(p, offset), fmt.Sprintf("(%s, %s)", v[0].f(), v[1].f()))
		v, offset = v[2:], offset+32
	}
	for _, r := range v {
		a.op("FMOVQ", mem(p, offset), r.f())
		offset += 16
	}
}

func (a *fn) store(p gp, offset int, v ...vec) {
	for len(v) >= 2 && offset%16 == 0 && offset < 1024 {
		a.op("FSTPQ", fmt.Sprintf("(%s, %s)", v[0].f(), v[1].f()), mem(p, offset))
		v, offset = v[2:], offset+32
	}
	for _, r := range v {
		a.op("FMOVQ", r.f(), mem(p, offset))
		offset += 16
	}
}

// loadNext loads registers and moves the pointer behind what they hold; storeNext stores them so.
func (a *fn) loadNext(p gp, v ...vec) {
	for ; len(v) >= 2; v = v[2:] {
		a.op("FLDPQ.P", mem(p, 32), fmt.Sprintf("(%s, %s)", v[0].f(), v[1].f()))
	}
	for _, r := range v {
		a.op("FMOVQ.P", mem(p, 16), r.f())
	}
}

func (a *fn) storeNext(p gp, v ...vec) {
	for ; len(v) >= 2; v = v[2:] {
		a.op("FSTPQ.P", fmt.Sprintf("(%s, %s)", v[0].f(), v[1].f()), mem(p, 32))
	}
	for _, r := range v {
		a.op("FMOVQ.P", r.f(), mem(p, 16))
	}
}
