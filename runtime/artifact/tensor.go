package artifact

import (
	"fmt"
	"math"
)

// Layout says how a tensor's elements lie in its data.
type Layout string

// The layouts. Words(n) = ⌈n/64⌉; element i of a row of bits is bit i%64 of word i/64 of the row, set = -1 (or "flip"),
// and the bits past the last element are clear.
const (
	// Flat is row-major in the order of Shape.
	Flat Layout = "flat"
	// BitFilters is [K,R,S,Words(C/g)] 64-bit words for a Shape of [K,C/g,R,S]: one row of bits, over the channels, for
	// each filter and tap.
	BitFilters Layout = "bits.krsc"
	// BitVector is [Words(n)] 64-bit words for a Shape of [n].
	BitVector Layout = "bits.n"
)

// Tensor is a constant of a model. Exactly one of Float32, Int32 and Words is set. A file may hold it in fewer bytes:
// see Coding.
type Tensor struct {
	// Shape is the logical shape, in PyTorch's order: OIHW for the weights of a convolution.
	Shape  []int
	Layout Layout

	Float32 []float32 // Flat
	Int32   []int32   // Flat
	Words   []uint64  // BitFilters, BitVector

	coding Coding    // empty: the one that goes with the data
	steps  []float32 // of AsInt8
	coded  int       // bytes of AsPatterns: its share of the section
}

// F32 returns a Flat tensor over v, which it does not copy.
func F32(shape []int, v []float32) Tensor { return Tensor{Shape: shape, Layout: Flat, Float32: v} }

// I32 returns a Flat tensor over v, which it does not copy.
func I32(shape []int, v []int32) Tensor { return Tensor{Shape: shape, Layout: Flat, Int32: v} }

// Bits returns the tensor of a BitFilters (shape [K,C/g,R,S]) or BitVector (shape [n]) over words, which it does
// not copy.
func Bits(shape []int, words []uint64) Tensor {
	t := Tensor{Shape: shape, Layout: BitVector, Words: words}
	if len(shape) == 4 {
		t.Layout = BitFilters
	}
	return t
}

// wordBits is the number of bits in a word.
const wordBits = 64

// words returns how many words hold a row of n bits.
func words(n int) int { return (n + wordBits - 1) / wordBits }

// Bytes returns the bytes that the tensor takes in a file, its steps included, without padding. Filters coded as patterns
// together have a share each.
func (t *Tensor) Bytes() int {
	switch t.Coding() {
	case AsFloat16, AsBFloat16:
		return 2 * len(t.Float32)
	case AsInt8:
		return len(t.Float32) + 2*len(t.steps)
	case AsPatterns:
		return t.coded
	case AsBits:
		n, row := bitRows(t.Shape)
		return denseBytes(n, row)
	}
	return 4*len(t.Float32) + 4*len(t.Int32)
}

// bitRows returns how many rows of bits the tensor of that shape has, and the bits of one: of BitFilters if it has four
// axes, of BitVector if it has one.
func bitRows(shape []int) (n, row int) {
	if len(shape) == 4 {
		return shape[0] * shape[2] * shape[3], shape[1]
	}
	if len(shape) == 1 {
		return 1, shape[0]
	}
	return 0, 0
}

// dtype returns the tensor's type in a file.
func (t *Tensor) dtype() string {
	switch {
	case t.Words != nil:
		return "U8"
	case t.Int32 != nil:
		return "I32"
	}
	return "F32"
}

// maxTensor bounds the elements, or words, of a tensor, and each extent of its shape.
const maxTensor = 1 << 30

// length returns how many elements of Float32, Int32 or Words a tensor of that layout and shape has.
func length(layout Layout, shape []int) (int, error) {
	for _, d := range shape {
		if d < 1 || d > maxTensor {
			return 0, fmt.Errorf("shape %v: want extents in 1..%d", shape, maxTensor)
		}
	}
	extents := shape
	switch {
	case layout == Flat:
	case layout == BitVector && len(shape) == 1:
		extents = []int{words(shape[0])}
	case layout == BitFilters && len(shape) == 4:
		extents = []int{shape[0], shape[2], shape[3], words(shape[1])}
	case layout == BitVector || layout == BitFilters:
		return 0, fmt.Errorf("shape %v does not fit the layout %q", shape, layout)
	default:
		return 0, fmt.Errorf("unknown layout %q", layout)
	}
	n := int64(1)
	for _, d := range extents {
		if n *= int64(d); n > maxTensor {
			return 0, fmt.Errorf("shape %v has more than %d elements", shape, maxTensor)
		}
	}
	return int(n), nil
}

// checkForm checks that the tensor's data is of one type, which fits its layout, and as long as its shape says.
func (t *Tensor) checkForm() error {
	want, err := length(t.Layout, t.Shape)
	if err != nil {
		return err
	}
	got, types := len(t.Float32)+len(t.Int32), 0
	for _, set := range []bool{t.Float32 != nil, t.Int32 != nil, t.Words != nil} {
		if set {
			types++
		}
	}
	if t.Layout != Flat {
		got = len(t.Words)
	}
	switch {
	case types != 1 || (t.Words != nil) == (t.Layout == Flat):
		return fmt.Errorf("layout %q needs data of exactly one type that fits it", t.Layout)
	case got != want:
		return fmt.Errorf("shape %v with layout %q needs %d elements or words, has %d", t.Shape, t.Layout, want, got)
	}
	return nil
}

// checkContent checks what checkForm leaves: floats are finite, the bits past the end of each row are clear.
func (t *Tensor) checkContent() error {
	for i, x := range t.Float32 {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("element %d is %v, want a finite number", i, x)
		}
	}
	_, row := bitRows(t.Shape)
	if t.Words == nil || row%wordBits == 0 {
		return nil
	}
	for i := words(row) - 1; i < len(t.Words); i += words(row) {
		if t.Words[i]>>(row%wordBits) != 0 {
			return fmt.Errorf("word %d is %#x: the bits past the %d of a row must be clear", i, t.Words[i], row)
		}
	}
	return nil
}
