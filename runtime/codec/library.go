package codec

import (
	"fmt"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// encoders are the compressors of libraries, made once needed.
type encoders struct {
	zstd *zstd.Encoder
	lz4  *lz4.CompressorHC
}

// decoders are the decompressors of libraries, made once needed.
type decoders struct {
	zstd *zstd.Decoder
}

// zstandard is a code of one Zstandard frame.
type zstandard struct{}

func (zstandard) append(e *Encoder, dst, exp []byte) []byte {
	if e.library.zstd == nil {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(err) // the options are valid
		}
		e.library.zstd = z
	}
	return e.library.zstd.EncodeAll(exp, dst)
}

func (zstandard) merge(d *Decoder, dst, coded, sm []byte) error {
	if d.library.zstd == nil {
		// DecodeAll writes to a buffer of ours, no further than its end: nothing that a frame claims is allocated.
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // the options are valid
		}
		d.library.zstd = z
	}
	exp := d.buffer(len(sm))
	got, err := d.library.zstd.DecodeAll(coded, exp[:0:len(exp)])
	if err != nil {
		return err
	}
	return mergeAll(dst, got, sm)
}

// lz4hc is a code of one LZ4 block, without a frame.
type lz4hc struct{}

func (lz4hc) append(e *Encoder, dst, exp []byte) []byte {
	if e.library.lz4 == nil {
		e.library.lz4 = &lz4.CompressorHC{Level: lz4.Level9}
	}
	start := len(dst)
	bound := lz4.CompressBlockBound(len(exp))
	dst = append(dst, make([]byte, bound)...)
	n, err := e.library.lz4.CompressBlock(exp, dst[start:])
	if err != nil {
		panic(err) // the destination is as large as it must be
	}
	if n == 0 { // it does not compress: the exponents as they are take its place
		n = bound
	}
	return dst[:start+n]
}

func (lz4hc) merge(d *Decoder, dst, coded, sm []byte) error {
	exp := d.buffer(len(sm))
	n, err := lz4.UncompressBlock(coded, exp)
	if err != nil {
		return err
	}
	return mergeAll(dst, exp[:n], sm)
}

// mergeAll merges decoded exponents, which must be as many as sm.
func mergeAll(dst, exp, sm []byte) error {
	if len(exp) != len(sm) {
		return fmt.Errorf("%d exponents, want %d", len(exp), len(sm))
	}
	kernel.MergeBF16(dst, exp, sm)
	return nil
}
