package artifact

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// Read reads and validates the artifact at path. The error names the file and what in it is wrong.
func Read(path string) (*Model, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	defer f.Close()
	return read(f, path)
}

// ReadFrom reads and validates the artifact in the size bytes of r, which errors call name.
func ReadFrom(r io.ReaderAt, size int64, name string) (*Model, error) {
	f, err := safetensors.NewFile(r, size, name)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	return read(f, name)
}

func read(f *safetensors.File, name string) (*Model, error) {
	m, entries, err := decodeMetadata(f.Metadata())
	if err == nil {
		err = checkEntries(f, entries)
	}
	if err != nil {
		return nil, fmt.Errorf("artifact: %s: %w", name, err)
	}
	if m.Tensors, err = readTensors(f, name, entries); err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("artifact: %s: %w", name, err)
	}
	return m, nil
}

// decodeMetadata returns the model without its tensors, and their descriptions.
func decodeMetadata(meta map[string]string) (*Model, map[string]entry, error) {
	if meta[formatKey] != formatName {
		return nil, nil, fmt.Errorf("not an artifact: metadata %q is %q, want %q", formatKey, meta[formatKey], formatName)
	}
	if meta[versionKey] != formatVersion {
		return nil, nil, fmt.Errorf("version %q is not supported, only %q is: convert the checkpoint again with this bnntool",
			meta[versionKey], formatVersion)
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if !slices.Contains([]string{formatKey, versionKey, modelKey, tensorsKey}, key) {
			return nil, nil, fmt.Errorf("metadata %q is unknown", key)
		}
	}
	var d description
	if err := decodeJSON(meta[modelKey], &d); err != nil {
		return nil, nil, fmt.Errorf("metadata %q: %w", modelKey, err)
	}
	if len(d.Input) != 3 {
		return nil, nil, fmt.Errorf("metadata %q: input is %v, want height, width and channels", modelKey, d.Input)
	}
	var entries map[string]entry
	if err := decodeJSON(meta[tensorsKey], &entries); err != nil {
		return nil, nil, fmt.Errorf("metadata %q: %w", tensorsKey, err)
	}
	return &Model{Name: d.Name, Input: [3]int(d.Input), Classes: d.Classes, Preprocess: d.Preprocess,
		Source: d.Source, Ops: d.Ops}, entries, nil
}

// maxText bounds each JSON text of the metadata, of which MaxOps operations need a third.
const maxText = 1 << 24

// opList is a model's operations in JSON. It stops decoding at one too many, since an operation of 3 bytes in a file
// takes a hundred times as much memory.
type opList []Op

// UnmarshalJSON decodes an array of at most MaxOps operations without unknown fields.
func (l *opList) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errors.New("ops are not an array")
	}
	*l = nil
	for dec.More() {
		if len(*l) == MaxOps {
			return fmt.Errorf("more than %d operations", MaxOps)
		}
		var o Op
		if err := dec.Decode(&o); err != nil {
			return err
		}
		*l = append(*l, o)
	}
	return nil
}

// decodeJSON decodes text, one JSON value without unknown fields, into dst.
func decodeJSON(text string, dst any) error {
	if len(text) > maxText {
		return fmt.Errorf("%d bytes, at most %d are allowed", len(text), maxText)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		if err == io.EOF {
			err = errors.New("no JSON")
		}
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

// checkEntries checks the tensors' descriptions against what is stored, before anything of it is read.
func checkEntries(f *safetensors.File, entries map[string]entry) error {
	if !f.HasChecksums() {
		return errors.New("the file has no checksums: another tool has rewritten it, convert the checkpoint again")
	}
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
		if at := f.DataOffset() + info.Offset; at%align != 0 {
			return fmt.Errorf("tensor %q starts at byte %d of the file, want a multiple of %d", info.Name, at, align)
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

// readTensors reads and verifies the tensors of the file, which errors call name.
func readTensors(f *safetensors.File, name string, entries map[string]entry) (map[string]Tensor, error) {
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
			return nil, err
		}
		if padErr != nil {
			return nil, fmt.Errorf("%s: tensor %q: %w", name, info.Name, padErr)
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
