package artifact

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bnntool/bnntool/internal/half"
	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
)

// checkSections checks that f holds sections and nothing else, each of its type and where it should be.
func checkSections(f *safetensors.File) error {
	for _, info := range f.Infos() {
		i := slices.IndexFunc(sections, func(s section) bool { return s.name == info.Name })
		if i < 0 {
			return fmt.Errorf("section %q is unknown", info.Name)
		}
		s := sections[i]
		if info.DType != s.dtype || len(info.Shape) != 1 {
			return fmt.Errorf("section %q is %s %v, want one dimension of %s", info.Name, info.DType, info.Shape, s.dtype)
		}
		if at := f.DataOffset() + info.Offset; at%int64(s.size) != 0 {
			return fmt.Errorf("section %q starts at byte %d of the file, want a multiple of %d", info.Name, at, s.size)
		}
	}
	if _, ok := f.Lookup(modelSection); !ok {
		return fmt.Errorf("section %q is missing", modelSection)
	}
	return nil
}

// sectionReader takes tensors from sections, each from where the one before it ended.
type sectionReader struct {
	size map[string]int64  // of each section, bytes
	used map[string]int64  // of it
	data map[string][]byte // once read
	// Of the section patterns, which is coded as a whole: the number of kernels, those that no tensor has taken yet, and the
	// tensors that have, with theirs.
	count   int64
	kernels []uint16
	coded   []string
	taken   [][]uint16
}

// newSectionReader checks that the tensors fill the sections of f, and only then reads these. codings are by the tensors'
// names.
func newSectionReader(f *safetensors.File, list []wanted, codings map[string]Coding) (*sectionReader, error) {
	r := &sectionReader{size: make(map[string]int64), used: make(map[string]int64), data: make(map[string][]byte)}
	for _, info := range f.Infos() {
		r.size[info.Name] = info.Size
	}
	for _, w := range list {
		if err := r.reserve(w, codings[w.name]); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", w.name, err)
		}
	}
	for _, s := range sections {
		rest := r.size[s.name] - r.used[s.name]
		switch {
		case s.name == modelSection, s.name == string(AsPatterns): // which are no longer than what they decode to
		case rest != 0 && (s.name != string(AsBits) || rest > 3):
			return nil, fmt.Errorf("section %q has %d bytes more than its tensors", s.name, rest)
		}
		if r.size[s.name] == 0 || s.name == modelSection {
			continue
		}
		var err error
		if r.data[s.name], err = f.Bytes(s.name); err != nil {
			return nil, storageError{err}
		}
	}
	clear(r.used)
	return r, r.decodePatterns()
}

// decodePatterns decodes the section patterns.
func (r *sectionReader) decodePatterns() error {
	name := string(AsPatterns)
	if r.count == 0 && r.size[name] == 0 {
		return nil
	}
	r.kernels = make([]uint16, r.count)
	n, err := codec.DecodePatterns(r.kernels, r.data[name])
	if err != nil {
		return fmt.Errorf("section %q: %w", name, err)
	}
	if rest := r.size[name] - int64(n); rest != 0 {
		return fmt.Errorf("section %q has %d bytes more than its tensors", name, rest)
	}
	return nil
}

// reserve counts the bytes that a tensor takes, as many as its coding takes at least, and checks that they are there.
func (r *sectionReader) reserve(w wanted, c Coding) error {
	n, err := length(w.layout, w.shape)
	if err != nil {
		return err
	}
	types := map[string][]Coding{
		"F32": {AsFloat32, AsFloat16, AsBFloat16, AsInt8}, "I32": {AsInt32}, "U8": {AsBits, AsPatterns},
	}[w.dtype]
	if !slices.Contains(types, c) {
		return fmt.Errorf("coding %q does not go with %s in layout %q", c, w.dtype, w.layout)
	}
	size := int64(n)
	switch c {
	case AsFloat32, AsInt32:
		size *= 4
	case AsFloat16, AsBFloat16:
		size *= 2
	case AsInt8:
		if err := r.skip(AsBFloat16, 2*int64(stepCount(w.shape))); err != nil {
			return err
		}
	case AsBits:
		size = denseSize(w.shape)
	case AsPatterns:
		if err := checkPatternShape(w.layout, w.shape); err != nil {
			return err
		}
		r.count += int64(w.shape[0]) * int64(w.shape[1])
		size = (r.count+7)/8 - r.used[string(c)] // of the last taps alone
	}
	return r.skip(c, size)
}

// denseSize returns the bytes of a tensor's bits.
func denseSize(shape []int) int64 {
	n, row := bitRows(shape)
	return (int64(n)*int64(row) + 7) / 8
}

// skip counts size bytes of a section.
func (r *sectionReader) skip(c Coding, size int64) error {
	name := string(c)
	at := r.used[name]
	if c == AsBits {
		at = bitsStart(at, size)
	}
	if size > r.size[name]-at {
		return fmt.Errorf("needs %d bytes of section %q, which has %d left", size, name, max(0, r.size[name]-at))
	}
	r.used[name] = at + size
	return nil
}

// next returns the next size bytes of a section, which are there.
func (r *sectionReader) next(c Coding, size int64) ([]byte, error) {
	name := string(c)
	at := r.used[name]
	if c == AsBits {
		at = bitsStart(at, size)
		if err := checkZero(r.data[name][r.used[name]:at]); err != nil {
			return nil, fmt.Errorf("before it: %w", err)
		}
	}
	r.used[name] = at + size
	return r.data[name][at : at+size], nil
}

// take returns the next tensor.
func (r *sectionReader) take(w wanted, c Coding) (Tensor, error) {
	t := Tensor{Shape: w.shape, Layout: w.layout, coding: c}
	n, err := length(w.layout, w.shape)
	if err != nil {
		return t, err
	}
	var b []byte
	switch c {
	case AsBits:
		if b, err = r.next(c, denseSize(w.shape)); err != nil {
			return t, err
		}
		t.Words, t.coding = make([]uint64, n), ""
		_, row := bitRows(w.shape)
		return t, unpackBits(t.Words, b, row)
	case AsPatterns:
		t.Words = make([]uint64, n)
		count := w.shape[0] * w.shape[1]
		t.setPatterns(r.kernels[:count])
		r.coded, r.taken, r.kernels = append(r.coded, w.name), append(r.taken, r.kernels[:count]), r.kernels[count:]
		return t, nil
	case AsInt32:
		b, err = r.next(c, 4*int64(n))
		t.Int32, t.coding = make([]int32, n), ""
		for i := range t.Int32 {
			t.Int32[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
		}
		return t, err
	}
	t.Float32 = make([]float32, n)
	switch c {
	case AsFloat32:
		b, err = r.next(c, 4*int64(n))
		t.coding = ""
		for i := range t.Float32 {
			t.Float32[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case AsFloat16, AsBFloat16:
		b, err = r.next(c, 2*int64(n))
		value := half.FromFloat16
		if c == AsBFloat16 {
			value = half.FromBFloat16
		}
		for i := range t.Float32 {
			t.Float32[i] = value(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case AsInt8:
		return t, r.takeInt8(&t)
	}
	return t, err
}

func (r *sectionReader) takeInt8(t *Tensor) error {
	t.steps = make([]float32, stepCount(t.Shape))
	b, err := r.next(AsBFloat16, 2*int64(len(t.steps)))
	if err != nil {
		return err
	}
	for i := range t.steps {
		t.steps[i] = half.FromBFloat16(binary.LittleEndian.Uint16(b[2*i:]))
		if s := float64(t.steps[i]); math.IsNaN(s) || math.IsInf(s, 0) || s < 0 {
			return fmt.Errorf("step %d is %v, want a finite number from 0", i, s)
		}
	}
	if b, err = r.next(AsInt8, int64(len(t.Float32))); err != nil {
		return err
	}
	row := len(t.Float32) / len(t.steps)
	for i := range t.Float32 {
		t.Float32[i] = float32(int8(b[i])) * t.steps[i/row]
	}
	return nil
}

// done checks that nothing is left after the last tensor.
func (r *sectionReader) done() error {
	if err := checkZero(r.data[string(AsBits)][r.used[string(AsBits)]:]); err != nil {
		return fmt.Errorf("section %q: at its end: %w", AsBits, err)
	}
	return nil
}

// checkZero returns an error if padding holds anything but zeros.
func checkZero(padding []byte) error {
	for _, x := range padding {
		if x != 0 {
			return errors.New("padding bytes must be zero")
		}
	}
	return nil
}
