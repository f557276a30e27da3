package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// torchFile is what a file of torch.save holds: an object whose tensors lie in blocks of the file.
type torchFile struct {
	r      io.ReaderAt
	object any
	blocks map[string]block // by the storages' keys
}

// The starts of PyTorch's files: a zip archive since 1.6, pickles before (the first one is the magic number
// 0x1950a86a20f9469cfc6c), a tar archive before 0.1.10.
var (
	zipStart    = []byte("PK\x03\x04")
	legacyStart = []byte{0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}
	tarMagic    = []byte("ustar")
)

// tarMagicAt is where in a tar archive its magic is.
const tarMagicAt = 257

// IsPyTorch reports whether the file at path starts as one of torch.save does. Such a file is for [Import].
func IsPyTorch(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	return torchFormat(f) != nil, nil
}

// torchFormat returns the function that reads the format in which r is, nil if it is none of PyTorch's.
func torchFormat(r io.ReaderAt) func(r io.ReaderAt, size int64) (*torchFile, error) {
	var start [tarMagicAt + 5]byte
	n, err := r.ReadAt(start[:], 0)
	if err != nil && err != io.EOF {
		return nil
	}
	switch b := start[:n]; {
	case bytes.HasPrefix(b, zipStart):
		return readTorchZip
	case bytes.HasPrefix(b, legacyStart):
		return readTorchLegacy
	case n > tarMagicAt && bytes.HasPrefix(b[tarMagicAt:], tarMagic):
		return readTorchTar
	}
	return nil
}

// openTorch reads the object in the file at path. The file must stay open while its tensors are read.
func openTorch(path string) (*torchFile, *os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	t, err := func() (*torchFile, error) {
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: not a regular file", path)
		}
		read := torchFormat(f)
		if read == nil {
			return nil, fmt.Errorf("%s: not a file of torch.save", filepath.Clean(path))
		}
		t, err := read(f, st.Size())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return t, nil
	}()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return t, f, nil
}

// readAt reads size bytes of r at an offset, no more than most.
func readAt(r io.ReaderAt, at, size, most int64) ([]byte, error) {
	if size > most {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", size, most)
	}
	b := make([]byte, size)
	if _, err := r.ReadAt(b, at); err != nil && (err != io.EOF || size > 0) {
		return nil, err
	}
	return b, nil
}

// storageIdentifier returns the storage that a persistent identifier ("storage", class, key, location, elements, …) stands
// for, and the fields behind these.
func storageIdentifier(id any) (*torchStorage, []any, error) {
	fields, ok := tuple(id)
	if ok && len(fields) > 1 && fields[0] == "module" {
		return nil, nil, errors.New("the file holds a whole model, whose code cannot be run: save model.state_dict()")
	}
	if !ok || len(fields) < 5 || fields[0] != "storage" {
		return nil, nil, errors.New("a persistent identifier that is no storage")
	}
	class, okClass := fields[1].(*storageClass)
	key, okKey := fields[2].(string)
	length, err := extent(fields[4])
	if !okClass || !okKey || err != nil {
		return nil, nil, errors.New("a storage without class, key or number of elements")
	}
	return &torchStorage{class: class, key: key, length: length}, fields[5:], nil
}
