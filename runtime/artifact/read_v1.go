package artifact

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// Version 1 has the description and the tensors' in the metadata, and each tensor by itself, padded to a multiple of
// 64 bytes, its rows of bits in whole words.

// The metadata keys of version 1 besides the common ones.
const (
	modelKey   = "model"   // JSON of description, with the names of tensors in the operations
	tensorsKey = "tensors" // JSON object of entry by tensor
)

// rawCodec stores a tensor's data as it is. Version 1 has no other codec.
const rawCodec = "raw"

// entry describes a tensor of version 1 beyond what safetensors says of its stored bytes.
type entry struct {
	Shape   []int  `json:"shape"`
	Layout  Layout `json:"layout"`
	Codec   string `json:"codec"`
	RawSize int64  `json:"raw_size"` // bytes before coding and padding
}

func readVersion1(f *safetensors.File, meta map[string]string) (*Model, error) {
	if err := checkKeys(meta, formatKey, versionKey, modelKey, tensorsKey); err != nil {
		return nil, err
	}
	var d description
	var m *Model
	err := decodeJSON(meta[modelKey], &d)
	if err == nil {
		m, err = d.model()
	}
	if err != nil {
		return nil, fmt.Errorf("metadata %q: %w", modelKey, err)
	}
	var entries map[string]entry
	if err := decodeJSON(meta[tensorsKey], &entries); err != nil {
		return nil, fmt.Errorf("metadata %q: %w", tensorsKey, err)
	}
	if err := checkEntries(f, entries); err != nil {
		return nil, err
	}
	m.Tensors, err = readTensors(f, entries)
	return m, err
}

// checkEntries checks the tensors' descriptions against what is stored, before anything of it is read.
func checkEntries(f *safetensors.File, entries map[string]entry) error {
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if _, ok := f.Lookup(name); !ok {
			return fmt.Errorf("tensor %q is described but missing", name)
		}
	}
	for _, info := range f.Infos() {
		e, ok := entries[info.Name]
		if !ok {
			return fmt.Errorf("tensor %q is not described in metadata %q", info.Name, tensorsKey)
		}
		if at := f.DataOffset() + info.Offset; at%dataAlign != 0 {
			return fmt.Errorf("tensor %q starts at byte %d of the file, want a multiple of %d", info.Name, at, dataAlign)
		}
		if err := e.check(info); err != nil {
			return fmt.Errorf("tensor %q: %w", info.Name, err)
		}
	}
	return nil
}

// check compares the description with the stored bytes' type and size.
func (e *entry) check(info safetensors.Info) error {
	if e.Codec != rawCodec {
		return fmt.Errorf("unknown codec %q", e.Codec)
	}
	n, err := length(e.Layout, e.Shape)
	if err != nil {
		return err
	}
	size, types := 4*int64(n), []string{"F32", "I32"}
	if e.Layout != Flat {
		size, types = 8*int64(n), []string{"U8"}
	}
	if !slices.Contains(types, info.DType) {
		return fmt.Errorf("layout %q does not go with the stored type %s", e.Layout, info.DType)
	}
	if e.RawSize != size {
		return fmt.Errorf("shape %v with layout %q needs %d bytes, raw_size is %d", e.Shape, e.Layout, size, e.RawSize)
	}
	if info.Size != padding(size) || len(info.Shape) != 1 {
		return fmt.Errorf("%d bytes are stored as %s %v, want one dimension of %d bytes", size, info.DType, info.Shape, padding(size))
	}
	return nil
}

// readTensors reads and verifies the tensors of the file.
func readTensors(f *safetensors.File, entries map[string]entry) (map[string]Tensor, error) {
	tensors := make(map[string]Tensor, len(entries))
	for _, info := range f.Infos() {
		e := entries[info.Name]
		t := Tensor{Shape: e.Shape, Layout: e.Layout}
		var padErr, err error
		switch info.DType {
		case "F32":
			if t.Float32, err = f.Float32(info.Name); err == nil {
				t.Float32, padErr = cut(t.Float32, e.RawSize/4)
			}
		case "I32":
			if t.Int32, err = f.Int32(info.Name); err == nil {
				t.Int32, padErr = cut(t.Int32, e.RawSize/4)
			}
		default:
			var data []byte
			if data, err = f.Bytes(info.Name); err == nil {
				data, padErr = cut(data, e.RawSize)
				t.Words = decodeWords(data)
			}
		}
		if err != nil {
			return nil, storageError{err}
		}
		if padErr != nil {
			return nil, fmt.Errorf("tensor %q: %w", info.Name, padErr)
		}
		tensors[info.Name] = t
	}
	return tensors, nil
}

// cut returns the first n elements of v after checking that the others are zero.
func cut[T byte | int32 | float32](v []T, n int64) ([]T, error) {
	for i, x := range v[n:] {
		if x != 0 {
			return nil, fmt.Errorf("element %d is %v: the padding past %d elements must be zero", n+int64(i), x, n)
		}
	}
	return v[:n:n], nil
}

// decodeWords returns the 64-bit words of data, little endian.
func decodeWords(data []byte) []uint64 {
	v := make([]uint64, len(data)/8)
	for i := range v {
		v[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	return v
}

// padding returns n rounded up to a multiple of dataAlign.
func padding(n int64) int64 { return (n + dataAlign - 1) / dataAlign * dataAlign }
