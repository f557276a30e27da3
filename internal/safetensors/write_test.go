package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
)

func encode(t testing.TB, tensors []safetensors.Tensor, o safetensors.WriteOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sample has several types, a scalar, an empty tensor and names that need escaping.
func sample() ([]safetensors.Tensor, safetensors.WriteOptions) {
	return []safetensors.Tensor{
		safetensors.F32("layer1.0.conv1.weight", []int{1, 2, 1, 2}, []float32{1, -2.5, 0, 3}),
		safetensors.I32(`a "quoted" <näme>`, []int{2}, []int32{-1, 1 << 30}),
		{Name: "bits", DType: "U8", Shape: []int{3}, Data: []byte{1, 2, 3}},
		{Name: "scalar", DType: "BF16", Data: []byte{0x80, 0x3f}},
		{Name: "empty", DType: "F32", Shape: []int{0, 5}},
	}, safetensors.WriteOptions{Metadata: map[string]string{"format": "test", "z": "line\nbreak \x00 </script>", "": ""}}
}

func TestRoundTrip(t *testing.T) {
	tensors, o := sample()
	b := encode(t, tensors, o)
	if again := encode(t, tensors, o); !bytes.Equal(b, again) {
		t.Error("the same input gave other bytes")
	}
	f, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Metadata(); !maps.Equal(got, o.Metadata) {
		t.Errorf("Metadata = %q, want %q", got, o.Metadata)
	}
	if !f.HasChecksums() {
		t.Error("HasChecksums = false, want true")
	}
	if got := f.DataOffset(); got%8 != 0 {
		t.Errorf("the data starts at byte %d, want a multiple of 8", got)
	}
	for i, info := range f.Infos() {
		want := tensors[i]
		if info.Name != want.Name || info.DType != want.DType || !slices.Equal(info.Shape, want.Shape) {
			t.Errorf("tensor %d is %+v, want %q %s %v", i, info, want.Name, want.DType, want.Shape)
		}
		if got, err := f.Bytes(info.Name); err != nil || !bytes.Equal(got, want.Data) {
			t.Errorf("Bytes(%q) = %v, %v, want %v", info.Name, got, err, want.Data)
		}
	}
	if got, err := f.Int32(tensors[1].Name); err != nil || !slices.Equal(got, []int32{-1, 1 << 30}) {
		t.Errorf("Int32 = %v, %v", got, err)
	}
}

// TestLargeTensor crosses the boundary between the pieces in which elements are read.
func TestLargeTensor(t *testing.T) {
	v := make([]float32, 1<<17+1)
	for i := range v {
		v[i] = float32(i)
	}
	f, err := open(encode(t, []safetensors.Tensor{safetensors.F32("a", []int{len(v)}, v)}, safetensors.WriteOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Float32("a"); err != nil || !slices.Equal(got, v) {
		t.Errorf("Float32: the elements differ from those written (error %v)", err)
	}
}

// TestBytesOfAFile holds the format still: these bytes must not change.
func TestBytesOfAFile(t *testing.T) {
	got := encode(t, []safetensors.Tensor{safetensors.F32("w", []int{1, 1}, []float32{1})},
		safetensors.WriteOptions{Metadata: map[string]string{"k": "v"}})
	want := file(`{"__metadata__":{"crc32c":"{\"w\":\"dd54c4ab\"}","crc32c.header":"23885dca","k":"v"},`+
		`"w":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}    `, "\x00\x00\x80\x3f")
	if !bytes.Equal(got, want) {
		t.Errorf("file is\n%q, want\n%q", got, want)
	}
}

func TestAlign(t *testing.T) {
	tensors := []safetensors.Tensor{
		{Name: "a", DType: "U8", Shape: []int{5}, Data: make([]byte, 5)},
		{Name: "b", DType: "U8", Shape: []int{128}, Data: make([]byte, 128)},
	}
	for align, want := range map[int]int64{0: 8, 8: 8, 64: 64, 4096: 4096} {
		f, err := open(encode(t, tensors, safetensors.WriteOptions{Align: align}))
		if err != nil {
			t.Fatal(err)
		}
		if at := f.DataOffset(); at%want != 0 {
			t.Errorf("Align %d: the data starts at byte %d, want a multiple of %d", align, at, want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	one := safetensors.Tensor{Name: "a", DType: "U8", Shape: []int{1}, Data: []byte{1}}
	with := func(change func(*safetensors.Tensor)) []safetensors.Tensor {
		t := one
		change(&t)
		return []safetensors.Tensor{t}
	}
	for _, tt := range []struct {
		name    string
		tensors []safetensors.Tensor
		options safetensors.WriteOptions
		want    string
	}{
		{"name twice", []safetensors.Tensor{one, one}, safetensors.WriteOptions{}, `safetensors: tensor "a": the name is used twice`},
		{"reserved name", with(func(t *safetensors.Tensor) { t.Name = "__metadata__" }), safetensors.WriteOptions{},
			`safetensors: tensor "__metadata__": the name is reserved`},
		{"name not UTF-8", with(func(t *safetensors.Tensor) { t.Name = "\xff" }), safetensors.WriteOptions{},
			`safetensors: tensor "\xff": not UTF-8`},
		{"dtype", with(func(t *safetensors.Tensor) { t.DType = "F31" }), safetensors.WriteOptions{}, `safetensors: tensor "a": unknown dtype "F31"`},
		{"size", with(func(t *safetensors.Tensor) { t.Shape = []int{2} }), safetensors.WriteOptions{},
			`safetensors: tensor "a": U8 [2] needs 2 bytes, has 1`},
		{"negative", with(func(t *safetensors.Tensor) { t.Shape = []int{-1} }), safetensors.WriteOptions{},
			`safetensors: tensor "a": shape [-1] has a negative extent`},
		{"metadata", nil, safetensors.WriteOptions{Metadata: map[string]string{"crc32c": ""}},
			`safetensors: metadata "crc32c" is reserved for checksums`},
		{"metadata not UTF-8", nil, safetensors.WriteOptions{Metadata: map[string]string{"k": "\xff"}},
			`safetensors: metadata "k": not UTF-8`},
	} {
		var b bytes.Buffer
		err := safetensors.Write(&b, tt.tensors, tt.options)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: error %v, want %s", tt.name, err, tt.want)
		}
		if b.Len() > 0 {
			t.Errorf("%s: %d bytes were written before the error", tt.name, b.Len())
		}
	}
}

// TestEveryBitFlipIsDetected flips each bit of a file and cuts the file at each length.
func TestEveryBitFlipIsDetected(t *testing.T) {
	tensors, o := sample()
	b := encode(t, tensors, o)
	if err := readAll(b); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if readAll(b) == nil {
				t.Errorf("bit %d of byte %d (%q) can flip unnoticed", bit, i, b[i])
			}
			b[i] ^= 1 << bit
		}
	}
	for n := range b {
		if readAll(b[:n]) == nil {
			t.Errorf("the file cut to %d of %d bytes is read", n, len(b))
		}
	}
	if readAll(append(b, 0)) == nil {
		t.Error("the file with a byte more is read")
	}
}

func TestFlippedDataNamesTheTensor(t *testing.T) {
	b := encode(t, []safetensors.Tensor{safetensors.F32("w", []int{1}, []float32{1})}, safetensors.WriteOptions{})
	b[len(b)-1] ^= 1
	f, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	const want = `safetensors: x.safetensors: tensor "w": checksum mismatch: expected crc32c dd54c4ab, found `
	_, errFloat := f.Float32("w")
	_, errBytes := f.Bytes("w")
	for _, err := range []error{errFloat, errBytes} {
		if !errors.Is(err, safetensors.ErrChecksum) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s…", err, want)
		}
	}
}

func TestWriteFileReplacesOrLeaves(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.safetensors")
	tensors, o := sample()
	if err := safetensors.WriteFile(path, tensors, o); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := encode(t, tensors, o); !bytes.Equal(before, want) {
		t.Error("WriteFile and Write differ")
	}
	if err := safetensors.WriteFile(path, append(tensors, tensors[0]), o); err == nil || !strings.Contains(err.Error(), path+" is unchanged") {
		t.Errorf("error %v, want one that says the file is unchanged", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("a failed WriteFile changed the file (error %v)", err)
	}
	if err := safetensors.WriteFile(dir, tensors, o); err == nil {
		t.Error("WriteFile onto a folder succeeded")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (error %v), want only the file", entries, err)
	}
	if stray, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); len(stray) > 0 {
		t.Errorf("temporary files are left: %v", stray)
	}
}

func TestF32Panics(t *testing.T) {
	defer func() {
		if got, want := recover(), `safetensors: tensor "a": 1 elements for shape [2]`; !reflect.DeepEqual(got, want) {
			t.Errorf("panic %v, want %v", got, want)
		}
	}()
	safetensors.F32("a", []int{2}, []float32{1})
}

func FuzzOpen(f *testing.F) {
	tensors, o := sample()
	f.Add(encode(f, tensors, o))
	f.Add(encode(f, nil, safetensors.WriteOptions{}))
	f.Add(file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, "12345678"))
	f.Add(file(`{"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}}`, "x"))
	f.Add(file(`{"__metadata__":{"crc32c":"{}","crc32c.header":"00000000"}}`, ""))
	f.Add(binary.LittleEndian.AppendUint64(nil, 1<<63))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := open(b)
		if err != nil {
			return
		}
		total := int64(0)
		for _, info := range file.Infos() {
			data, err := file.Bytes(info.Name)
			total += info.Size
			if err == nil && int64(len(data)) != info.Size {
				t.Errorf("tensor %q has %d bytes, Info says %d", info.Name, len(data), info.Size)
			}
			switch info.DType {
			case "F32":
				_, err = file.Float32(info.Name)
			case "I32":
				_, err = file.Int32(info.Name)
			}
			if err != nil && !errors.Is(err, safetensors.ErrChecksum) {
				t.Error(err)
			}
		}
		if end := file.DataOffset() + total; end != int64(len(b)) {
			t.Errorf("header and tensors are %d bytes, the file has %d", end, len(b))
		}
	})
}
