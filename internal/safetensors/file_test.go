package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// file returns a safetensors file with the given header and data.
func file(header, data string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(b, header+data...)
}

func open(b []byte) (*safetensors.File, error) {
	return safetensors.NewFile(bytes.NewReader(b), int64(len(b)), "x.safetensors")
}

// readAll opens the file in b and reads every tensor.
func readAll(b []byte) error {
	f, err := open(b)
	if err != nil {
		return err
	}
	for _, info := range f.Infos() {
		if _, err := f.Bytes(info.Name); err != nil {
			return err
		}
	}
	return nil
}

func TestOpenForeignFile(t *testing.T) {
	// Data out of the header's order, a scalar, an empty tensor, padding, no checksums.
	f, err := open(file(`{"b":{"dtype":"I32","shape":[],"data_offsets":[8,12]},`+
		`"__metadata__":{"k":"v"},`+
		`"a":{"shape":[2,1],"data_offsets":[0,8],"dtype":"F32"},`+
		`"e":{"dtype":"U8","shape":[0,7],"data_offsets":[8,8]}}  `,
		"\x00\x00\x80\x3f\x00\x00\x00\xc0\xff\xff\xff\xff"))
	if err != nil {
		t.Fatal(err)
	}
	want := []safetensors.Info{
		{Name: "a", DType: "F32", Shape: []int{2, 1}, Offset: 0, Size: 8},
		{Name: "e", DType: "U8", Shape: []int{0, 7}, Offset: 8, Size: 0},
		{Name: "b", DType: "I32", Shape: nil, Offset: 8, Size: 4},
	}
	if got := f.Infos(); !reflect.DeepEqual(got, want) {
		t.Errorf("Infos = %+v, want %+v", got, want)
	}
	if got, want := f.Metadata(), map[string]string{"k": "v"}; !maps.Equal(got, want) {
		t.Errorf("Metadata = %v, want %v", got, want)
	}
	if got, err := f.Float32("a"); err != nil || !slices.Equal(got, []float32{1, -2}) {
		t.Errorf("Float32(a) = %v, %v, want [1 -2]", got, err)
	}
	if got, err := f.Int32("b"); err != nil || !slices.Equal(got, []int32{-1}) {
		t.Errorf("Int32(b) = %v, %v, want [-1]", got, err)
	}
	if got, err := f.Bytes("e"); err != nil || len(got) != 0 {
		t.Errorf("Bytes(e) = %v, %v, want none", got, err)
	}
	if f.HasChecksums() {
		t.Error("HasChecksums = true, want false")
	}
	for name, want := range map[string]string{
		"b": `safetensors: x.safetensors: tensor "b": dtype is I32, want F32`,
		"z": `safetensors: x.safetensors: no tensor "z"`,
	} {
		if _, err := f.Float32(name); err == nil || err.Error() != want {
			t.Errorf("Float32(%s): error %q, want %q", name, err, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	const a = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	for _, tt := range []struct {
		name string
		file []byte
		want string // after "safetensors: x.safetensors: "
	}{
		{"empty", nil, "the file has 0 bytes, a safetensors file has at least 10"},
		{"no header", []byte{2, 0, 0, 0, 0, 0, 0, 0}, "the header claims 2 bytes, 0 follow: the file is truncated or not a safetensors file"},
		{"header of 2^63 bytes", append([]byte{0, 0, 0, 0, 0, 0, 0, 0x80}, "{}"...),
			"the header claims 9223372036854775808 bytes, at most 100000000 are allowed: this is not a safetensors file"},
		{"zip", []byte("PK\x03\x04\x14\x00\x00\x00\x08\x00"), "the header claims 85966670672 bytes, at most 100000000 are allowed: this is not a safetensors file"},
		{"header of no bytes", file("", ""), "header JSON at byte 0: unexpected end"},
		{"not UTF-8", file("{\"\xff\":1}", ""), "the header is not UTF-8"},
		{"not an object", file("[]", ""), "header JSON at byte 1: found [, want {"},
		{"cut off", file("{"+a, "12345678"), "header JSON at byte 53: unexpected end"},
		{"bytes behind", file("{} x", ""), "1 bytes follow the JSON of the header"},
		{"comma at the end", file(`{"__metadata__":{"a":"b",}}`, ""), "header JSON at byte 25: invalid character '}' looking for beginning of object key string"},
		{"duplicate tensor", file("{"+a+","+a+"}", "12345678"), `the header has "a" twice`},
		{"duplicate tensor, escaped", file("{"+a+`,"\u0061":{}}`, "12345678"), `the header has "a" twice`},
		{"duplicate metadata", file(`{"__metadata__":{},"__metadata__":{}}`, ""), `the header has "__metadata__" twice`},
		{"duplicate key", file(`{"a":{"dtype":"U8","dtype":"U8"}}`, ""), `tensor "a": the header has "dtype" twice`},
		{"metadata is not strings", file(`{"__metadata__":{"k":1}}`, ""), `metadata "k": header JSON at byte 22: found 1, want a string`},
		{"unknown key", file(`{"a":{"layout":"x"}}`, ""), `tensor "a": unknown key "layout"`},
		{"missing key", file(`{"a":{"dtype":"U8","shape":[0]}}`, ""), `tensor "a": dtype, shape or data_offsets is missing`},
		{"no dtype", file(`{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}`, "1"), `tensor "a": unknown dtype "F4"`},
		{"dtype of another case", file(`{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}`, "1234"), `tensor "a": unknown dtype "f32"`},
		{"shape is a string", file(`{"a":{"shape":"2"}}`, ""), `tensor "a": header JSON at byte 17: found 2, want [`},
		{"shape of strings", file(`{"a":{"shape":["2"]}}`, ""), `tensor "a": header JSON at byte 18: found 2, want a number`},
		{"negative extent", file(`{"a":{"shape":[-1]}}`, ""), `tensor "a": header JSON at byte 17: -1 is not an integer in 0..2^63-1`},
		{"fraction", file(`{"a":{"shape":[1.0]}}`, ""), `tensor "a": header JSON at byte 18: 1.0 is not an integer in 0..2^63-1`},
		{"exponent", file(`{"a":{"shape":[1e3]}}`, ""), `tensor "a": header JSON at byte 18: 1e3 is not an integer in 0..2^63-1`},
		{"extent of 2^63", file(`{"a":{"shape":[9223372036854775808]}}`, ""),
			`tensor "a": header JSON at byte 34: 9223372036854775808 is not an integer in 0..2^63-1`},
		{"product of 2^64", file(`{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, ""),
			`tensor "a": shape [4294967296 4294967296] of U8 does not fit into 62 bits of bytes`},
		{"bytes of 2^64", file(`{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}`, ""),
			`tensor "a": shape [4611686018427387904] of F32 does not fit into 62 bits of bytes`},
		{"three offsets", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}`, "1"),
			`tensor "a": data_offsets are [0 1 2], want a begin and an end not before it`},
		{"end before begin", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}`, "1"),
			`tensor "a": data_offsets are [1 0], want a begin and an end not before it`},
		{"size of another shape", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, "1234"),
			`tensor "a": F32 [2] needs 8 bytes, data_offsets [0 4] are 4`},
		{"hole at the start", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "12"),
			`tensor "a" starts at byte 1 of the data, leaving a hole from 0`},
		{"hole", file("{"+a+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[9,10]}}`, "1234567890"),
			`tensor "b" starts at byte 9 of the data, leaving a hole from 8`},
		{"overlap", file("{"+a+`,"b":{"dtype":"U8","shape":[3],"data_offsets":[7,10]}}`, "1234567890"),
			`tensor "b" starts at byte 7 of the data, inside the one before it, which ends at 8`},
		{"same bytes twice", file("{"+a+`,"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`, "12345678"),
			`tensor "b" starts at byte 0 of the data, inside the one before it, which ends at 8`},
		{"truncated data", file("{"+a+"}", "1234567"), `tensor "a" ends at byte 8 of the data, the file has 7: it is truncated`},
		{"a terabyte claimed", file(`{"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}}`, "x"),
			`tensor "a" ends at byte 1099511627776 of the data, the file has 1: it is truncated`},
		{"data beyond", file("{"+a+"}", "123456789"), "the data has 9 bytes, the tensors 8"},
		{"checksums without the header's", file(`{"__metadata__":{"crc32c":"{}"}}`, ""),
			`metadata has only one of "crc32c" and "crc32c.header": the file is damaged`},
		{"header checksum without the others", file(`{"__metadata__":{"crc32c.header":"00000000"}}`, ""),
			`metadata has only one of "crc32c" and "crc32c.header": the file is damaged`},
		{"header checksum in capitals", file(`{"__metadata__":{"crc32c.header":"ABCDEF01"}}`, ""),
			`metadata "crc32c.header" is "ABCDEF01", want 8 hex digits`},
		{"header checksum escaped", file(`{"__metadata__":{"crc32c.header":"0000000\u0030"}}`, ""),
			`metadata "crc32c.header" is "00000000", want 8 hex digits`},
		{"wrong header checksum", file(`{"__metadata__":{"crc32c":"{}","crc32c.header":"00000000"}}`, ""),
			"header: checksum mismatch: expected crc32c 00000000, found 4b7d82ed: the file is damaged, restore it from a copy or make it again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := open(tt.file)
			if want := "safetensors: x.safetensors: " + tt.want; err == nil || err.Error() != want {
				t.Errorf("error is\n%v, want\n%s", err, want)
			}
		})
	}
}

// TestChecksumLists covers lists of checksums that do not fit the tensors behind a header whose own checksum is right.
func TestChecksumLists(t *testing.T) {
	good := encode(t, []safetensors.Tensor{{Name: "a", DType: "U8", Shape: []int{1}, Data: []byte{1}}}, safetensors.WriteOptions{})
	for _, tt := range []struct{ name, old, new, want string }{
		{"missing", `{\"a\":`, `{\"b\":`, `has "" for tensor "a", want 8 hex digits`},
		{"not JSON", `{\"a\":`, `[\"a\":`, `metadata "crc32c": invalid character`},
		{"not hex", `a016d052`, `a016d05g`, `has "a016d05g" for tensor "a", want 8 hex digits`},
	} {
		bad := bytes.Replace(good, []byte(tt.old), []byte(tt.new), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: the file has no %q: %q", tt.name, tt.old, good)
		}
		err := readAll(safetensors.Reseal(bad))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

// shrinking is a file that lost its data after it was opened.
type shrinking struct {
	*bytes.Reader
	limit int64
}

func (s *shrinking) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > s.limit {
		return 0, io.EOF
	}
	return s.Reader.ReadAt(b, at)
}

func TestFileShrinksWhileOpen(t *testing.T) {
	b := encode(t, []safetensors.Tensor{safetensors.F32("a", []int{2}, []float32{1, 2})}, safetensors.WriteOptions{})
	r := &shrinking{bytes.NewReader(b), int64(len(b))}
	f, err := safetensors.NewFile(r, int64(len(b)), "x.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	r.limit--
	for name, read := range map[string]func() error{
		"Bytes":   func() error { _, err := f.Bytes("a"); return err },
		"Float32": func() error { _, err := f.Float32("a"); return err },
	} {
		err := read()
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), `x.safetensors: tensor "a": reading 8 bytes at offset`) {
			t.Errorf("%s: error %v, want an unexpected EOF that names file and tensor", name, err)
		}
	}
}

func TestOpenNamesThePath(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "short.safetensors")
	if err := os.WriteFile(short, []byte("PK"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{short, dir, filepath.Join(dir, "missing.safetensors")} {
		if _, err := safetensors.Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s): error %v, want one that names the path", path, err)
		}
	}
}

func TestGoldenFilesAreRead(t *testing.T) {
	dir := os.Getenv("BNNTOOL_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "golden")
	}
	paths, err := filepath.Glob(filepath.Join(dir, "bnn", "*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skipf("no golden files in %s: set BNNTOOL_GOLDEN to their folder", dir)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := safetensors.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, info := range f.Infos() {
				if _, err := f.Bytes(info.Name); err != nil {
					t.Error(err)
				}
				if info.DType != "F32" {
					continue
				}
				if _, err := f.Float32(info.Name); err != nil {
					t.Error(err)
				}
			}
			if len(f.Infos()) == 0 || len(f.Metadata()) == 0 {
				t.Errorf("%d tensors and %d metadata entries, want some", len(f.Infos()), len(f.Metadata()))
			}
		})
	}
}
