package safetensors

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"os"
	"slices"
)

// maxHeader bounds the header, as the format's reference implementation does.
const maxHeader = 100_000_000

// chunkBytes is how much is read at once while elements are converted. A multiple of every element's size.
const chunkBytes = 1 << 18

// File is an open file. Its header is validated; data is read on demand. A File may be used by several goroutines
// at once.
type File struct {
	name   string
	r      io.ReaderAt
	closer io.Closer // nil if the caller owns r

	metadata map[string]string
	infos    []Info
	index    map[string]int
	sums     map[string]string // by tensor; nil if the file has no checksums
	data     int64             // offset of the data section
}

// Open opens the file at path and validates its header. Errors name the path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	stat, err := f.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	file, err := NewFile(f, stat.Size(), path)
	if err != nil {
		f.Close()
		return nil, err
	}
	file.closer = f
	return file, nil
}

// NewFile validates the header of the size bytes that r holds. Errors call them name. r stays the caller's to close, after
// the File's last use.
func NewFile(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{name: name, r: r}
	if err := f.init(size); err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", name, err)
	}
	return f, nil
}

func (f *File) init(size int64) error {
	if size < 8 {
		return fmt.Errorf("the file has %d bytes, a safetensors file has at least 10", size)
	}
	var length [8]byte
	if err := readFull(f.r, length[:], 0); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader {
		return fmt.Errorf("the header claims %d bytes, at most %d are allowed: this is not a safetensors file", n, maxHeader)
	}
	if int64(n) > size-8 {
		return fmt.Errorf("the header claims %d bytes, %d follow: the file is truncated or not a safetensors file", n, size-8)
	}
	f.data = 8 + int64(n)
	raw := make([]byte, n)
	if err := readFull(f.r, raw, 8); err != nil {
		return err
	}
	h, err := parseHeader(raw)
	if err != nil {
		return err
	}
	if f.sums, err = h.checkSums(length[:], raw); err != nil {
		return err
	}
	if err := h.checkLayout(size - f.data); err != nil {
		return err
	}
	f.metadata, f.infos = h.metadata, h.infos
	delete(f.metadata, tensorsKey)
	delete(f.metadata, headerKey)
	f.index = make(map[string]int, len(f.infos))
	for i, info := range f.infos {
		f.index[info.Name] = i
	}
	return nil
}

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Metadata returns a copy of the file's metadata, without the checksums.
func (f *File) Metadata() map[string]string {
	m := make(map[string]string, len(f.metadata))
	maps.Copy(m, f.metadata)
	return m
}

// Infos returns the tensors in the order of their data.
func (f *File) Infos() []Info { return slices.Clone(f.infos) }

// Lookup returns the tensor called name.
func (f *File) Lookup(name string) (Info, bool) {
	i, ok := f.index[name]
	if !ok {
		return Info{}, false
	}
	return f.infos[i], true
}

// HasChecksums reports whether the file records checksums, so that whatever is read from it is verified.
func (f *File) HasChecksums() bool { return f.sums != nil }

// Checksum returns the CRC-32C that the file records for a tensor, 8 lower-case hex digits; "" if it records none.
func (f *File) Checksum(name string) string { return f.sums[name] }

// DataOffset returns where in the file the data section starts.
func (f *File) DataOffset() int64 { return f.data }

// Bytes returns the data of a tensor and verifies its checksum if the file has one.
func (f *File) Bytes(name string) ([]byte, error) {
	var data []byte
	err := f.visit(name, "", func(info Info) error {
		data = make([]byte, info.Size)
		err := readFull(f.r, data, f.data+info.Offset)
		if err == nil {
			err = f.verify(name, crc32.Checksum(data, castagnoli))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Float32 returns the elements of an F32 tensor, row-major, and verifies its checksum if the file has one.
func (f *File) Float32(name string) ([]float32, error) {
	var v []float32
	err := f.visit(name, "F32", func(info Info) error {
		v = make([]float32, info.Size/4)
		return f.chunks(info, func(at int64, b []byte) {
			dst := v[at/4:]
			for i := range len(b) / 4 {
				dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Int32 returns the elements of an I32 tensor, row-major, and verifies its checksum if the file has one.
func (f *File) Int32(name string) ([]int32, error) {
	var v []int32
	err := f.visit(name, "I32", func(info Info) error {
		v = make([]int32, info.Size/4)
		return f.chunks(info, func(at int64, b []byte) {
			dst := v[at/4:]
			for i := range len(b) / 4 {
				dst[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// visit calls read with the tensor called name, whose type must be dtype unless that is empty, and names file and
// tensor in its error.
func (f *File) visit(name, dtype string, read func(Info) error) error {
	info, ok := f.Lookup(name)
	if !ok {
		return fmt.Errorf("safetensors: %s: no tensor %q", f.name, name)
	}
	var err error
	if dtype != "" && info.DType != dtype {
		err = fmt.Errorf("dtype is %s, want %s", info.DType, dtype)
	} else {
		err = read(info)
	}
	if err != nil {
		return fmt.Errorf("safetensors: %s: tensor %q: %w", f.name, name, err)
	}
	return nil
}

// chunks calls use with the data of a tensor piece by piece, at being the piece's offset, and verifies the checksum.
func (f *File) chunks(info Info, use func(at int64, b []byte)) error {
	buf := make([]byte, min(info.Size, chunkBytes))
	sum := uint32(0)
	for at := int64(0); at < info.Size; at += int64(len(buf)) {
		buf = buf[:min(info.Size-at, chunkBytes)]
		if err := readFull(f.r, buf, f.data+info.Offset+at); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, buf)
		use(at, buf)
	}
	return f.verify(info.Name, sum)
}

func (f *File) verify(name string, sum uint32) error {
	if f.sums == nil {
		return nil
	}
	if expected, found := f.sums[name], hexDigits(sum); found != expected {
		return mismatch(expected, found)
	}
	return nil
}

// readFull fills b from offset at of r.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading %d bytes at offset %d: %w", len(b), at, err)
}
