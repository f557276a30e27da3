package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/nlpodyssey/gopickle/types"
)

// legacyVersion is the only version of the legacy format.
const legacyVersion = 1001

// readTorchLegacy reads the format of PyTorch 0.1.10 to 1.5: five pickles, one behind the other (the magic number, the version, the
// machine, the object, the keys of the storages), then of each storage the number of its elements, 8 bytes, and these.
func readTorchLegacy(r io.ReaderAt, size int64) (*torchFile, error) {
	f := &torchFile{r: r, blocks: make(map[string]block)}
	p := pickles{r: r, size: size}
	if _, err := p.next(noPersistent); err != nil { // the magic number, by which the format was recognised
		return nil, fmt.Errorf("magic number: %w", err)
	}
	version, err := p.next(noPersistent)
	if err == nil && version != legacyVersion {
		err = fmt.Errorf("%v, want %d", version, legacyVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("version: %w", err)
	}
	machine, err := p.next(noPersistent)
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	if order, ok := lookup(machine, "little_endian"); ok && order != true {
		return nil, errors.New("the file is big-endian: save on a little-endian machine")
	}
	classes := make(map[string]*storageClass) // by key
	f.object, err = p.next(func(id any) (any, error) {
		s, more, err := storageIdentifier(id)
		if err != nil {
			return nil, err
		}
		if old := classes[s.key]; old != nil && old != s.class {
			return nil, fmt.Errorf("storage %q is %s and %s", s.key, old.name, s.class.name)
		}
		classes[s.key] = s.class
		return s, s.view(more)
	})
	if err != nil {
		return nil, err
	}
	keys, err := p.next(noPersistent)
	if err != nil {
		return nil, fmt.Errorf("keys of the storages: %w", err)
	}
	list, ok := keys.(*types.List)
	if !ok {
		return nil, errors.New("keys of the storages: want a list")
	}
	return f, f.legacyBlocks(*list, classes, p.at, size)
}

// view makes s the part of its block that the last field of a legacy identifier describes: nothing, or (key, first element,
// elements).
func (s *torchStorage) view(fields []any) error {
	if len(fields) == 0 || fields[0] == nil {
		return nil
	}
	v, ok := tuple(fields[0])
	if !ok || len(v) != 3 {
		return errors.New("a view of a storage that is not described by three fields")
	}
	first, err := extent(v[1])
	if err != nil {
		return fmt.Errorf("the first element of a view: %w", err)
	}
	length, err := extent(v[2])
	if err != nil {
		return fmt.Errorf("the elements of a view: %w", err)
	}
	if first+length > s.length {
		return fmt.Errorf("a view of elements %d to %d of a storage of %d", first, first+length, s.length)
	}
	s.first, s.length = first, length
	return nil
}

// legacyBlocks finds the storages, whose data starts at byte at.
func (f *torchFile) legacyBlocks(keys []any, classes map[string]*storageClass, at, size int64) error {
	for _, k := range keys {
		key, ok := k.(string)
		if !ok {
			return errors.New("keys of the storages: want text")
		}
		class := classes[key]
		if class == nil {
			return fmt.Errorf("storage %q belongs to no tensor", key)
		}
		if _, twice := f.blocks[key]; twice {
			return fmt.Errorf("storage %q is there twice", key)
		}
		b, err := readAt(f.r, at, 8, 8)
		if err != nil {
			return fmt.Errorf("storage %q: %w", key, noEOF(err))
		}
		n := binary.LittleEndian.Uint64(b)
		if at += 8; n > uint64(size-at)/uint64(class.size) {
			return fmt.Errorf("storage %q: %d elements of %s, %d bytes follow: the file is truncated", key, n, class.name, size-at)
		}
		f.blocks[key] = block{at: at, size: int64(n) * int64(class.size)}
		at += f.blocks[key].size
	}
	if at != size {
		return fmt.Errorf("%d bytes follow the last storage", size-at)
	}
	return nil
}

// pickles reads pickles that lie one behind the other.
type pickles struct {
	r        io.ReaderAt
	at, size int64
}

// next loads the next pickle. It reads no more than a multiple of its length, or a few pages.
func (p *pickles) next(persistent func(id any) (any, error)) (any, error) {
	for window := int64(1 << 12); ; window *= 8 {
		b, err := readAt(p.r, p.at, min(p.size-p.at, window, maxPickle), maxPickle)
		if err != nil {
			return nil, noEOF(err)
		}
		v, n, err := loadPickle(b, persistent)
		if errors.Is(err, errPickleEnd) && int64(len(b)) == window {
			continue
		}
		p.at += int64(n)
		return v, err
	}
}

// noEOF returns err, or io.ErrUnexpectedEOF for an end that comes too early.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// tuple returns the items of a tuple.
func tuple(v any) ([]any, bool) {
	t, ok := v.(*types.Tuple)
	if !ok {
		return nil, false
	}
	return *t, true
}
