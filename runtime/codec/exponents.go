package codec

import (
	"fmt"

	"github.com/bnntool/bnntool/internal/kernel"
)

// Code is a lossless code for the exponents of bfloat16 numbers. The values are part of the format of expert stores.
type Code uint8

// The codes.
const (
	Raw     Code = iota // the exponents as they are
	Huffman             // prefix code of words of one or two exponents, near the entropy
	Fixed3              // 3 bits for the eight most frequent exponents, the others listed: the fastest
	Zstd                // what ZipMoE calls ZSTD: Zstandard at its fastest level
	LZ4HC               // what ZipMoE calls LZ4HC, its default: LZ4 at level 9
	codes               // the number of codes
)

var codeNames = [codes]string{"raw", "huffman", "fixed3", "zstd", "lz4hc"}

// Codes returns all codes.
func Codes() []Code {
	list := make([]Code, codes)
	for i := range list {
		list[i] = Code(i)
	}
	return list
}

// String returns the code's name.
func (c Code) String() string {
	if c < codes {
		return codeNames[c]
	}
	return fmt.Sprintf("Code(%d)", uint8(c))
}

// ParseCode returns the code of that name.
func ParseCode(name string) (Code, error) {
	for i, n := range codeNames {
		if n == name {
			return Code(i), nil
		}
	}
	return 0, fmt.Errorf("codec: no code %q, want one of %q", name, codeNames)
}

// Split takes bfloat16 numbers, bf16, [2n] bytes, little endian, apart: exp, [n], becomes bits 14 to 7 of each and sm, [n], the
// sign in bit 7 and the mantissa in bits 6 to 0. It loses nothing of any pattern of 16 bits. The three do not overlap.
func Split(exp, sm, bf16 []byte) { kernel.SplitBF16(exp, sm, bf16) }

// coder is what a code does. Sizes are checked by the callers: sm has at least one byte and dst twice as many.
type coder interface {
	// append appends the coded form of exp, which is not empty.
	append(e *Encoder, dst, exp []byte) []byte
	// merge is Decoder.Merge.
	merge(d *Decoder, dst, coded, sm []byte) error
}

// coder returns what the code does, nil for a code that there is not.
func (c Code) coder() coder {
	switch c {
	case Raw:
		return raw{}
	case Huffman:
		return huffman{}
	case Fixed3:
		return fixed3{}
	case Zstd:
		return zstandard{}
	case LZ4HC:
		return lz4hc{}
	}
	return nil
}

// Encoder codes exponents. The zero value is ready. It is for one goroutine at a time, and keeps what it has allocated.
type Encoder struct {
	words   wordCounts
	symbols []byte
	gaps    []byte
	library encoders
}

// Append appends the coded form of exp in the code c to dst, or exp itself where that is not longer, and says which. The same
// exponents give the same bytes. It panics on a code that there is not.
func (e *Encoder) Append(dst []byte, c Code, exp []byte) ([]byte, Code) {
	code := c.coder()
	if code == nil {
		panic(fmt.Sprintf("codec: Append: there is no %v", c))
	}
	if len(exp) == 0 {
		return dst, Raw
	}
	start := len(dst)
	dst = code.append(e, dst, exp)
	if len(dst)-start >= len(exp) {
		return append(dst[:start], exp...), Raw
	}
	return dst, c
}

// Decoder decodes exponents. The zero value is ready. It is for one goroutine at a time, and keeps what it has allocated: a
// buffer of one block, or for Zstd and LZ4HC of the largest chunk it has met.
type Decoder struct {
	book    codebook
	table   kernel.WordTable
	first   [1 << kernel.WordIndexBits]word // what the next bits of a stream start with
	reads   reads
	exp     []byte
	library decoders
}

// Merge decodes the exponents of len(sm) numbers from coded, which the code c has made, and puts them together with their signs
// and mantissas, sm: dst, [2·len(sm)] bytes, becomes the numbers, little endian. It is an error if coded is not what an Encoder makes of
// as many exponents; dst then holds anything. The three do not overlap. It allocates at most len(sm) bytes and a constant.
func (d *Decoder) Merge(dst []byte, c Code, coded, sm []byte) error {
	if len(dst) != 2*len(sm) {
		panic(fmt.Sprintf("codec: Merge: %d bytes for %d numbers", len(dst), len(sm)))
	}
	code := c.coder()
	if code == nil {
		return fmt.Errorf("codec: there is no %v: the data is damaged or from a later version", c)
	}
	if len(sm) == 0 {
		if len(coded) != 0 {
			return fmt.Errorf("codec: %v: %d bytes for no exponents", c, len(coded))
		}
		return nil
	}
	if err := code.merge(d, dst, coded, sm); err != nil {
		return fmt.Errorf("codec: %v: %w", c, err)
	}
	return nil
}

// buffer returns n bytes that the decoder keeps.
func (d *Decoder) buffer(n int) []byte {
	if cap(d.exp) < n {
		d.exp = make([]byte, n)
	}
	return d.exp[:n]
}

// raw is the code of the exponents as they are.
type raw struct{}

func (raw) append(_ *Encoder, dst, exp []byte) []byte { return append(dst, exp...) }

func (raw) merge(_ *Decoder, dst, coded, sm []byte) error {
	if len(coded) != len(sm) {
		return fmt.Errorf("%d bytes for %d exponents", len(coded), len(sm))
	}
	kernel.MergeBF16(dst, coded, sm)
	return nil
}
