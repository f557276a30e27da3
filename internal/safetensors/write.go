package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/renameio/v2"
)

// Tensor is a tensor to write.
type Tensor struct {
	Name  string
	DType string // "F32", "I32", "U8", "BF16", …
	Shape []int  // row-major; empty for a scalar
	Data  []byte // little endian
}

// F32 returns the tensor of v, which is row-major and is copied. It panics if shape does not have len(v) elements.
func F32(name string, shape []int, v []float32) Tensor {
	mustHold(name, shape, len(v))
	data := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(x))
	}
	return Tensor{Name: name, DType: "F32", Shape: shape, Data: data}
}

// I32 returns the tensor of v, which is row-major and is copied. It panics if shape does not have len(v) elements.
func I32(name string, shape []int, v []int32) Tensor {
	mustHold(name, shape, len(v))
	data := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(data[4*i:], uint32(x))
	}
	return Tensor{Name: name, DType: "I32", Shape: shape, Data: data}
}

func mustHold(name string, shape []int, n int) {
	if want, err := byteSize("U8", shape); err != nil || want != int64(n) {
		panic(fmt.Sprintf("safetensors: tensor %q: %d elements for shape %v", name, n, shape))
	}
}

// WriteOptions say how a file is written. The zero value is a file without metadata.
type WriteOptions struct {
	// Metadata is stored with the tensors. The keys "crc32c" and "crc32c.header" are the package's own.
	Metadata map[string]string
	// Align is the power of two, at least 8, that the offset of the data section in the file is a multiple of. 0: 8.
	Align int
	// Room is the least offset of the data section, for a header that is written when the data has its place. 0: as the
	// header needs.
	Room int
}

// Write writes the tensors in the given order, with their checksums. The same input gives the same bytes.
func Write(w io.Writer, tensors []Tensor, o WriteOptions) error {
	head, err := buildHeader(tensors, o)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("safetensors: writing the header: %w", err)
	}
	for _, t := range tensors {
		if _, err := w.Write(t.Data); err != nil {
			return fmt.Errorf("safetensors: writing tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// WriteFile writes the tensors to a temporary file beside path, syncs it and renames it to path. Whatever fails, path holds
// either what it held before or the whole new file, and the temporary file is removed. A new file's permissions are
// 0644 less the umask, an old one's are kept.
func WriteFile(path string, tensors []Tensor, o WriteOptions) (err error) {
	tmp, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)),
		renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	defer func() {
		if cleanupErr := tmp.Cleanup(); err != nil && cleanupErr != nil {
			err = errors.Join(err, fmt.Errorf("removing %s: %w", tmp.Name(), cleanupErr))
		}
	}()
	if err := Write(tmp, tensors, o); err != nil {
		return fmt.Errorf("%w (%s is unchanged)", err, path)
	}
	if err := tmp.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("safetensors: %w (%s is unchanged)", err, path)
	}
	return nil
}

// buildHeader returns the 8 bytes of the length and the padded JSON.
func buildHeader(tensors []Tensor, o WriteOptions) ([]byte, error) {
	parts := make([]Part, len(tensors))
	for i, t := range tensors {
		size, err := byteSize(t.DType, t.Shape)
		if err == nil && size != int64(len(t.Data)) {
			err = fmt.Errorf("%s %v needs %d bytes, has %d", t.DType, t.Shape, size, len(t.Data))
		}
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		parts[i] = Part{Name: t.Name, DType: t.DType, Shape: t.Shape, Sum: Checksum(0, t.Data)}
	}
	return joinParts(parts, o)
}

// joinHeader returns 8 bytes of room, the JSON with a header checksum of zeros, and where that checksum starts.
func joinHeader(entries [][]byte, sums, metadata map[string]string) (head []byte, sumAt int, err error) {
	list, err := json.Marshal(sums)
	if err != nil {
		return nil, 0, err
	}
	m := map[string]string{tensorsKey: string(list), headerKey: zeroDigits}
	for key, value := range metadata {
		if _, taken := m[key]; taken {
			return nil, 0, fmt.Errorf("metadata %q is reserved for checksums", key)
		}
		m[key] = value
	}
	b := bytes.NewBuffer(make([]byte, 8, 4096))
	b.WriteString(`{"` + metadataName + `":{`)
	for i, key := range slices.Sorted(maps.Keys(m)) {
		k, err := quote(key)
		if err != nil {
			return nil, 0, fmt.Errorf("metadata %q: %w", key, err)
		}
		v, err := quote(m[key])
		if err != nil {
			return nil, 0, fmt.Errorf("metadata %q: %w", key, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "%s:%s", k, v)
		if key == headerKey {
			sumAt = b.Len() - 1 - len(zeroDigits)
		}
	}
	b.WriteByte('}')
	for _, e := range entries {
		b.Write(e)
	}
	b.WriteByte('}')
	return b.Bytes(), sumAt, nil
}

// quote returns s as a JSON string.
func quote(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("not UTF-8")
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
