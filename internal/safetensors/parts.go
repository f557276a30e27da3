package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// Part is a tensor whose data the caller writes.
type Part struct {
	Name  string
	DType string // "F32", "I32", "U8", "BF16", …
	Shape []int  // row-major; empty for a scalar
	Sum   uint32 // the CRC-32C of the data, see Checksum
}

// Checksum returns the CRC-32C of some data followed by b, given that of the data; 0 for none.
func Checksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// Header returns what stands before the data of a file that holds parts, back to back in this order, as Write writes it. It is for
// files that are too large to be in memory: whoever writes the data leaves room for the header (WriteOptions.Room) and
// writes it last. The error is that of a part that cannot be.
func Header(parts []Part, o WriteOptions) ([]byte, error) {
	head, err := joinParts(parts, o)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	return head, nil
}

// Size returns the bytes of the part's data.
func (p Part) Size() (int64, error) {
	size, err := byteSize(p.DType, p.Shape)
	if err != nil {
		return 0, fmt.Errorf("safetensors: tensor %q: %w", p.Name, err)
	}
	return size, nil
}

// joinParts returns the 8 bytes of the length and the padded JSON.
func joinParts(parts []Part, o WriteOptions) ([]byte, error) {
	align := max(o.Align, 8)
	if o.Align < 0 || align&(align-1) != 0 {
		panic(fmt.Sprintf("safetensors: alignment %d is not a power of two", o.Align))
	}
	sums := make(map[string]string, len(parts))
	entries := make([][]byte, len(parts))
	offset := int64(0)
	for i, p := range parts {
		entry, size, err := p.entry(offset)
		if err == nil && sums[p.Name] != "" {
			err = errors.New("the name is used twice")
		}
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", p.Name, err)
		}
		entries[i] = entry
		sums[p.Name] = hexDigits(p.Sum)
		offset += size
	}
	head, sumAt, err := joinHeader(entries, sums, o.Metadata)
	if err != nil {
		return nil, err
	}
	for len(head) < o.Room || len(head)%align != 0 {
		head = append(head, ' ')
	}
	if len(head)-8 > maxHeader {
		return nil, fmt.Errorf("the header has %d bytes, at most %d are allowed", len(head)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(head, uint64(len(head)-8))
	copy(head[sumAt:], hexDigits(crc32.Checksum(head, castagnoli)))
	return head, nil
}

// entry returns the part of the JSON of a tensor whose data starts at offset, and the bytes of its data.
func (p Part) entry(offset int64) ([]byte, int64, error) {
	size, err := byteSize(p.DType, p.Shape)
	if err != nil {
		return nil, 0, err
	}
	if p.Name == metadataName {
		return nil, 0, errors.New("the name is reserved")
	}
	name, err := quote(p.Name)
	if err != nil {
		return nil, 0, err
	}
	shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(p.Shape), "[]"), " ", ",")
	return fmt.Appendf(nil, `,%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}`, name, p.DType, shape, offset, offset+size), size, nil
}

// ReadAt fills b with the data of a tensor from byte at on. It does not verify the checksum, which is of all data: Sum
// returns it.
func (f *File) ReadAt(name string, b []byte, at int64) error {
	return f.visit(name, "", func(info Info) error {
		if at < 0 || int64(len(b)) > info.Size-at {
			return fmt.Errorf("%d bytes from byte %d are asked for, it has %d", len(b), at, info.Size)
		}
		return readFull(f.r, b, f.data+info.Offset+at)
	})
}

// Sum returns the checksum that the file records for the data of a tensor, see Checksum; false if it records none.
func (f *File) Sum(name string) (uint32, bool) {
	sum, err := strconv.ParseUint(f.sums[name], 16, 32)
	return uint32(sum), err == nil
}
