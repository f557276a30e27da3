package expert

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
)

// ErrDamaged is returned, wrapped, when a part of an expert is not what was written.
var ErrDamaged = errors.New("the file is damaged, convert the model again or restore it from a copy")

// PartError says which part of which expert could not be used.
type PartError struct {
	Path   string
	Layer  string // the layer's name
	Expert int
	Part   Part
	Err    error
}

func (e *PartError) Error() string {
	return fmt.Sprintf("expert: %s: layer %s, expert %d, part %v: %v", e.Path, e.Layer, e.Expert, e.Part, e.Err)
}

func (e *PartError) Unwrap() error { return e.Err }

// Store is an open file of experts. Its index is verified and in memory; experts are read when asked for. A Store may be
// used by several goroutines at once. The file must not change while it is open; checksums find it out.
type Store struct {
	path    string
	file    *os.File
	carrier *safetensors.File
	desc    *description
	records [][]Record
	dense   []safetensors.Info
}

// OpenStore opens the file at path and verifies everything but the weights.
func OpenStore(path string) (*Store, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("expert: %w", err)
	}
	s := &Store{path: path, file: f}
	if err := s.init(); err != nil {
		f.Close()
		return nil, fmt.Errorf("expert: %s: %w", path, err)
	}
	return s, nil
}

func (s *Store) init() error {
	stat, err := s.file.Stat()
	if err != nil {
		return err
	}
	if !stat.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if s.carrier, err = safetensors.NewFile(s.file, stat.Size(), s.path); err != nil {
		return err
	}
	if s.desc, err = parseDescription(s.carrier.Metadata()); err != nil {
		return err
	}
	if !s.carrier.HasChecksums() {
		return errors.New("it has no checksums: it was rewritten by another program")
	}
	index, err := s.index()
	if err != nil {
		return err
	}
	parts := make(map[string]bool)
	for i := range s.desc.Layers {
		l := &s.desc.Layers[i]
		records := make([]Record, l.Experts)
		for x := range records {
			r := &records[x]
			*r = Record{Layer: i, Expert: x}
			err := r.parseEntry(l, index[:l.entryBytes()])
			for p := ExponentPart; p < numParts && err == nil; p++ {
				name := l.partName(x, p)
				parts[name] = true
				err = s.place(r, p, name)
			}
			if err != nil {
				return fmt.Errorf("layer %s, expert %d: %w", l.Name(), x, err)
			}
			index = index[l.entryBytes():]
		}
		s.records = append(s.records, records)
	}
	for _, info := range s.carrier.Infos() {
		if info.Name != indexName && !parts[info.Name] && !isPadding(info.Name) {
			s.dense = append(s.dense, info)
		}
	}
	return nil
}

// index returns the index, of the size that the layers need.
func (s *Store) index() ([]byte, error) {
	want := int64(0)
	for i := range s.desc.Layers {
		l := &s.desc.Layers[i]
		want += int64(l.Experts) * int64(l.entryBytes())
	}
	info, ok := s.carrier.Lookup(indexName)
	if !ok || info.DType != "U8" || info.Size != want {
		return nil, fmt.Errorf("tensor %q has %d bytes of %s, the layers need %d of U8", indexName, info.Size, info.DType, want)
	}
	return s.carrier.Bytes(indexName)
}

// place finds where a part of a record lies.
func (s *Store) place(r *Record, p Part, name string) error {
	info, ok := s.carrier.Lookup(name)
	r.Offset[p], r.Length[p] = s.carrier.DataOffset()+info.Offset, info.Size
	switch want := pad(r.used[p], PartAlign); {
	case !ok:
		return fmt.Errorf("there is no tensor %q", name)
	case info.DType != "U8" || info.Size != want:
		return fmt.Errorf("tensor %q has %d bytes of %s, the index says %d of U8", name, info.Size, info.DType, want)
	case r.Offset[p]%PartAlign != 0:
		return fmt.Errorf("tensor %q starts at byte %d of the file, want a multiple of %d", name, r.Offset[p], PartAlign)
	}
	return nil
}

// Close closes the file.
func (s *Store) Close() error { return s.file.Close() }

// Path returns the file's path.
func (s *Store) Path() string { return s.path }

// Code returns the code that the store was built with. A chunk that it does not shorten is raw.
func (s *Store) Code() codec.Code { return s.desc.Code }

// Config returns the config.json of the model that the store was built from, "" if it had none.
func (s *Store) Config() string { return s.desc.Config }

// Layers returns the shapes of the layers, which the caller does not change.
func (s *Store) Layers() []StoredLayer { return s.desc.Layers }

// Record returns where an expert lies. It panics if there is none.
func (s *Store) Record(layer, expert int) *Record { return &s.records[layer][expert] }

// Dense returns the tensors that are not of experts, in the order of the file.
func (s *Store) Dense() []safetensors.Info { return s.dense }

// ReadDense returns the data of a tensor that is not of an expert, verified.
func (s *Store) ReadDense(name string) ([]byte, error) { return s.carrier.Bytes(name) }

// fault returns the error of a part.
func (s *Store) fault(r *Record, p Part, err error) error {
	return &PartError{Path: s.path, Layer: s.desc.Layers[r.Layer].Name(), Expert: r.Expert, Part: p, Err: err}
}

// ReadPart reads a part of an expert in one piece: dst has r.Length[p] bytes. What it read is not verified; Merge does that.
func (s *Store) ReadPart(dst []byte, r *Record, p Part) error {
	if int64(len(dst)) != r.Length[p] {
		panic(fmt.Sprintf("expert: ReadPart: %d bytes for a part of %d", len(dst), r.Length[p]))
	}
	n, err := s.file.ReadAt(dst, r.Offset[p])
	if n == len(dst) {
		return nil
	}
	if err == io.EOF {
		err = fmt.Errorf("%d bytes at byte %d of the file, want %d: %w", n, r.Offset[p], len(dst), io.ErrUnexpectedEOF)
	}
	return s.fault(r, p, err)
}

// Merge verifies a chunk of an expert and puts its numbers together: full is the expert in memory, of the layer's FullBytes, and
// exponents and rest are its parts, as ReadPart reads them. Other chunks of the same expert may be merged at the same time, with
// a decoder each.
func (s *Store) Merge(d *codec.Decoder, full, exponents, rest []byte, r *Record, chunk int) error {
	c := &r.Chunks[chunk]
	t, k := s.tensorOf(r, chunk)
	start, end := t.Chunk(k)
	n := end - start
	size := elementBytes(t.DType)
	dst := full[c.full:][:n*size]
	if !t.Coded {
		copy(dst, rest[c.rest:][:n*size])
		return s.verify(r, RestPart, dst, c.RestSum, t, k)
	}
	coded, sm := exponents[c.at:][:c.Bytes], rest[c.rest:][:n]
	if err := s.verify(r, ExponentPart, coded, c.Sum, t, k); err != nil {
		return err
	}
	if err := s.verify(r, RestPart, sm, c.RestSum, t, k); err != nil {
		return err
	}
	if err := d.Merge(dst, c.Code, coded, sm); err != nil {
		return s.fault(r, ExponentPart, fmt.Errorf("%s, chunk %d: %w: %w", t.Role, k, err, ErrDamaged))
	}
	return nil
}

// verify compares the checksum of a chunk.
func (s *Store) verify(r *Record, p Part, b []byte, want uint32, t *StoredTensor, chunk int) error {
	if got := safetensors.Checksum(0, b); got != want {
		return s.fault(r, p, fmt.Errorf("%s, chunk %d: crc32c %08x, the index says %08x: %w", t.Role, chunk, got, want, ErrDamaged))
	}
	return nil
}

// tensorOf returns the tensor that a chunk is of, and the chunk's number in it.
func (s *Store) tensorOf(r *Record, chunk int) (*StoredTensor, int) {
	l := &s.desc.Layers[r.Layer]
	for i := range l.Tensors {
		t := &l.Tensors[i]
		if chunk < t.Chunks {
			return t, chunk
		}
		chunk -= t.Chunks
	}
	panic(fmt.Sprintf("expert: layer %d has no chunk %d behind its last", r.Layer, chunk))
}
