package artifact

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

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
	m, err := readVersion(f)
	if err == nil {
		err = m.validate()
	}
	var storage storageError
	if errors.As(err, &storage) {
		return nil, fmt.Errorf("artifact: %w", storage.error)
	}
	if err != nil {
		return nil, fmt.Errorf("artifact: %s: %w", name, err)
	}
	return m, nil
}

// storageError is an error of package safetensors in reading data: it names the file and the section or tensor itself.
type storageError struct{ error }

// readVersion reads the model of a file of any version, whose graph and tensors are not validated yet.
func readVersion(f *safetensors.File) (*Model, error) {
	meta := f.Metadata()
	if meta[formatKey] != formatName {
		return nil, fmt.Errorf("not an artifact: metadata %q is %q, want %q", formatKey, meta[formatKey], formatName)
	}
	version := meta[versionKey]
	if version != version1 && version != version2 {
		return nil, fmt.Errorf("version %q is not supported, only %q and %q are: convert the checkpoint again with this bnntool",
			version, version1, version2)
	}
	if !f.HasChecksums() {
		return nil, errors.New("the file has no checksums: another tool has rewritten it, convert the checkpoint again")
	}
	if version == version1 {
		return readVersion1(f, meta)
	}
	return readVersion2(f, meta)
}

func checkKeys(meta map[string]string, known ...string) error {
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if !slices.Contains(known, key) {
			return fmt.Errorf("metadata %q is unknown", key)
		}
	}
	return nil
}

func readVersion2(f *safetensors.File, meta map[string]string) (*Model, error) {
	if err := checkKeys(meta, formatKey, versionKey); err != nil {
		return nil, err
	}
	if err := checkSections(f); err != nil {
		return nil, err
	}
	m, codings, err := readDescription(f)
	if err != nil {
		return nil, err
	}
	list, err := m.wants()
	if err != nil {
		return nil, err
	}
	r, err := newSectionReader(f, list, codings)
	if err != nil {
		return nil, err
	}
	m.Tensors = make(map[string]Tensor, len(list))
	for _, w := range list {
		t, err := r.take(w, codings[w.name])
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", w.name, err)
		}
		m.Tensors[w.name] = t
	}
	m.setShares(r.coded, r.taken, int(r.size[string(AsPatterns)]))
	return m, r.done()
}

// readDescription reads the model without its tensors, and the tensors' codings by their names.
func readDescription(f *safetensors.File) (*Model, map[string]Coding, error) {
	b, err := f.Bytes(modelSection)
	if err != nil {
		return nil, nil, storageError{err}
	}
	text, err := inflate(b)
	if err != nil {
		return nil, nil, fmt.Errorf("section %q: %w", modelSection, err)
	}
	var d description
	err = decodeJSON(text, &d)
	var m *Model
	if err == nil {
		m, err = d.model()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("section %q: %w", modelSection, err)
	}
	codings := make(map[string]Coding)
	before := ImageInput
	for i := range m.Ops {
		o := &m.Ops[i]
		if o.Inputs == nil {
			o.Inputs = []string{before}
		}
		before = o.Name
		for _, f := range o.tensorFields() {
			if *f.name != "" {
				name := o.Name + "." + f.role
				codings[name] = Coding(*f.name)
				*f.name = name
			}
		}
	}
	return m, codings, nil
}
