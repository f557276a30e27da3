package codec

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"

	packer "github.com/klauspost/compress/flate" // which codes where it saves less than 6 %, unlike package flate
)

// PatternBits is the number of bits in the pattern of a 3x3 kernel: tap (r,s) is bit 3·r+s.
const PatternBits = 9

// lastTap is the bit that says whether the other eight are complemented.
const lastTap = 1 << (PatternBits - 1)

// AppendPatterns appends the coded form of kernels to dst and returns the extended slice. Each kernel is a pattern
// of PatternBits bits; it panics on a larger one. n kernels become
//
//	⌈n/8⌉ bytes   the last tap of each: kernel i is bit i%8 of byte i/8, bits past the last kernel are clear
//	the rest      a DEFLATE stream (RFC 1951) of n bytes, one for each kernel: its other eight taps, complemented
//	              where the last tap is set
//
// The stream has no matches, only Huffman codes. A pattern and its negative have one symbol because they are
// equally frequent, so nothing is lost by it and the alphabet is bytes. The same kernels give the same bytes.
func AppendPatterns(dst []byte, kernels []uint16) []byte {
	signs := make([]byte, signBytes(len(kernels)))
	symbols := make([]byte, len(kernels))
	for i, p := range kernels {
		if p >= 1<<PatternBits {
			panic(fmt.Sprintf("codec: AppendPatterns: kernel %d is %#x, a pattern has %d bits", i, p, PatternBits))
		}
		symbols[i] = byte(p)
		if p&lastTap != 0 {
			signs[i/8] |= 1 << (i % 8)
			symbols[i] = ^byte(p)
		}
	}
	b := bytes.NewBuffer(append(dst, signs...))
	w, err := packer.NewWriter(b, packer.HuffmanOnly)
	if err != nil {
		panic(err) // the level is valid
	}
	// A bytes.Buffer takes whatever is written to it.
	w.Write(symbols)
	w.Close()
	return b.Bytes()
}

// DecodePatterns fills kernels with what AppendPatterns has coded at the start of src and returns the number of
// bytes that it took; what follows them is not looked at. It allocates no more than len(kernels) bytes and a
// constant. Every src that is not such a coding is an error.
func DecodePatterns(kernels []uint16, src []byte) (int, error) {
	n := signBytes(len(kernels))
	if len(src) < n {
		return 0, fmt.Errorf("codec: %d bytes, the last taps of %d kernels are %d", len(src), len(kernels), n)
	}
	signs := src[:n]
	if tail := len(kernels) % 8; tail != 0 && signs[n-1]>>tail != 0 {
		return 0, fmt.Errorf("codec: the last taps end in %#x: the bits past %d kernels must be clear", signs[n-1], len(kernels))
	}
	in := bytes.NewReader(src[n:])
	r := flate.NewReader(in) // reads no further than the stream, since in is an io.ByteReader
	symbols := make([]byte, len(kernels))
	if _, err := io.ReadFull(r, symbols); err != nil {
		return 0, fmt.Errorf("codec: the patterns of %d kernels: %w", len(kernels), noEOF(err))
	}
	var extra [1]byte
	switch _, err := io.ReadFull(r, extra[:]); err {
	case io.EOF:
	case nil:
		return 0, fmt.Errorf("codec: the patterns do not end after %d kernels", len(kernels))
	default:
		return 0, fmt.Errorf("codec: the end of the patterns: %w", err)
	}
	for i, s := range symbols {
		if signs[i/8]>>(i%8)&1 != 0 {
			kernels[i] = lastTap | uint16(^s)
		} else {
			kernels[i] = uint16(s)
		}
	}
	return len(src) - in.Len(), nil
}

// signBytes returns the bytes that hold a bit for each of n kernels.
func signBytes(n int) int { return (n + 7) / 8 }

// noEOF returns err, or io.ErrUnexpectedEOF for an end that comes too early.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
