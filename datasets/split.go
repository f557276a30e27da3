package datasets

import (
	"fmt"
	"slices"
)

// Split is the labelled pictures of one part of a data set, all [H,W,C] bytes, channels innermost. All its methods are
// safe for concurrent use.
type Split struct {
	h, w, c int
	labels  []int32
	// records are the pictures of a split in memory. Without them, read decodes record i to dst.
	records [][]byte
	read    func(i int, dst []byte) error
}

// Len returns the number of records.
func (s *Split) Len() int { return len(s.labels) }

// Shape returns the pictures' height, width and channels.
func (s *Split) Shape() (h, w, c int) { return s.h, s.w, s.c }

// Label returns the label of record i, an index of Dataset.Classes. It panics if there is no record i.
func (s *Split) Label(i int) int { return int(s.labels[i]) }

// Pixels copies record i to dst, [H,W,C] bytes 0..255. It returns an error, which names the file, if the record must be
// decoded and cannot be. It panics if there is no record i or len(dst) is not H·W·C.
func (s *Split) Pixels(i int, dst []byte) error {
	if i < 0 || i >= s.Len() || len(dst) != s.h*s.w*s.c {
		panic(fmt.Sprintf("datasets: Pixels: record %d of %d to %d bytes, want %d", i, s.Len(), len(dst), s.h*s.w*s.c))
	}
	if s.records != nil {
		copy(dst, s.records[i])
		return nil
	}
	return s.read(i, dst)
}

// view returns record i, which must not be written to. scratch, [H,W,C] bytes, may become its memory.
func (s *Split) view(i int, scratch []byte) ([]byte, error) {
	if s.records != nil {
		return s.records[i], nil
	}
	return scratch, s.read(i, scratch)
}

// limit leaves the first n records, all if n is 0.
func (s *Split) limit(n int) {
	if n == 0 || n >= s.Len() {
		return
	}
	s.labels = slices.Clone(s.labels[:n])
	if s.records != nil {
		s.records = slices.Clone(s.records[:n]) // lets go of the others' memory
	}
}
