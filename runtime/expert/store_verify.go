package expert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
)

// Reader reads whole experts from a store. It is for one goroutine at a time, and keeps its buffers.
type Reader struct {
	store   *Store
	decoder codec.Decoder
	part    [numParts][]byte
	full    []byte
	source  []byte
}

// NewReader returns a reader of the store's experts.
func (s *Store) NewReader() *Reader { return &Reader{store: s} }

// resize returns n bytes, those of b if it has so many.
func resize(b []byte, n int64) []byte {
	if int64(cap(b)) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// Read returns an expert, verified: its tensors in memory, one behind the other. The bytes are valid until the next call.
func (r *Reader) Read(layer, expert int) ([]byte, error) {
	rec := r.store.Record(layer, expert)
	for p := ExponentPart; p < numParts; p++ {
		r.part[p] = resize(r.part[p], rec.Length[p])
		if err := r.store.ReadPart(r.part[p], rec, p); err != nil {
			return nil, err
		}
	}
	r.full = resize(r.full, r.store.desc.Layers[layer].FullBytes())
	for k := range rec.Chunks {
		if err := r.store.Merge(&r.decoder, r.full, r.part[ExponentPart], r.part[RestPart], rec, k); err != nil {
			return nil, err
		}
	}
	return r.full, nil
}

// ReadSource returns an expert as its tensors are in the source, one behind the other. The bytes are valid until the next call.
func (r *Reader) ReadSource(layer, expert int) ([]byte, error) {
	full, err := r.Read(layer, expert)
	if err != nil {
		return nil, err
	}
	r.source = r.source[:0]
	l := &r.store.desc.Layers[layer]
	for i := range l.Tensors {
		t := &l.Tensors[i]
		data := full[:t.FullBytes()]
		full = full[len(data):]
		if t.Source == "" {
			r.source = append(r.source, data...)
			continue
		}
		for ; len(data) > 0; data = data[2:] { // BF16 is the upper half of F32
			r.source = append(r.source, 0, 0, data[0], data[1])
		}
	}
	return r.source, nil
}

// Verify reads an expert, the padding of its parts and the checksums of the whole parts too, and compares it with its source:
// with the SHA-256 that the store has of it and, if read is not nil, with what read makes of the names of its tensors.
func (r *Reader) Verify(layer, expert int, read func(name string, dst []byte) error) error {
	s := r.store
	source, err := r.ReadSource(layer, expert)
	if err != nil {
		return err
	}
	rec, l := s.Record(layer, expert), &s.desc.Layers[layer]
	for p, part := range r.part {
		sum, _ := s.carrier.Sum(l.partName(expert, Part(p)))
		if got := safetensors.Checksum(0, part); got != sum {
			return s.fault(rec, Part(p), fmt.Errorf("crc32c %08x, the header says %08x: %w", got, sum, ErrDamaged))
		}
	}
	if got := sha256.Sum256(source); got != rec.Source {
		return s.fault(rec, ExponentPart, fmt.Errorf("it decodes to weights of SHA-256 %x, the source had %x: %w", got, rec.Source, ErrDamaged))
	}
	if read == nil {
		return nil
	}
	var want []byte
	for i := range l.Tensors {
		t := &l.Tensors[i]
		want = resize(want, t.SourceBytes())
		if err := read(l.TensorName(expert, i), want); err != nil {
			return err
		}
		if !bytes.Equal(want, source[:len(want)]) {
			return s.fault(rec, ExponentPart, fmt.Errorf("%s differs from the source", l.TensorName(expert, i)))
		}
		source = source[len(want):]
	}
	return nil
}

// VerifyDense compares the checksum of a tensor that is not of an expert and, if read is not nil, its bytes with the source's,
// piece by piece.
func (s *Store) VerifyDense(ctx context.Context, info safetensors.Info, read func(name string, dst []byte, at int64) error) error {
	buf, other := make([]byte, min(info.Size, copyBytes)), []byte(nil)
	if read != nil {
		other = make([]byte, len(buf))
	}
	sum := uint32(0)
	for at := int64(0); at < info.Size; at += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf = buf[:min(info.Size-at, copyBytes)]
		if err := s.carrier.ReadAt(info.Name, buf, at); err != nil {
			return err
		}
		sum = safetensors.Checksum(sum, buf)
		if read == nil {
			continue
		}
		if err := read(info.Name, other[:len(buf)], at); err != nil {
			return err
		}
		if !bytes.Equal(buf, other[:len(buf)]) {
			return fmt.Errorf("expert: %s: tensor %q differs from the source", s.path, info.Name)
		}
	}
	if want, _ := s.carrier.Sum(info.Name); sum != want {
		return fmt.Errorf("expert: %s: tensor %q: crc32c %08x, the header says %08x: %w", s.path, info.Name, sum, want, ErrDamaged)
	}
	return nil
}
