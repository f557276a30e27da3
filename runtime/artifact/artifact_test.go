package artifact_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/artifact"
)

var update = flag.Bool("update", false, "write testdata anew; only with a new version of the format")

// floats returns a float32 tensor with distinct elements.
func floats(shape ...int) artifact.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i)/4 - 1
	}
	return artifact.F32(shape, v)
}

// sample is a model with every kind of operation and value: what testdata/v1.bnn holds. Call it anew for each change.
func sample() *artifact.Model {
	words := func(n int, w uint64) []uint64 {
		v := make([]uint64, n)
		for i := range v {
			v[i] = w
		}
		return v
	}
	return &artifact.Model{
		Name: "sample", Input: [3]int{8, 8, 1}, Classes: []string{"cat", "dög", "<e>"},
		Preprocess: preprocess.Config{H: 8, W: 8, C: 1, Mean: []float32{0.1}, Std: []float32{0.3}},
		Source:     map[string]string{"recipe": "digits", "epoch": "3"},
		Ops: []artifact.Op{
			{Name: "stem", Kind: artifact.Conv, Inputs: []string{"image"}, Out: 4, Kernel: 3, Stride: 1, Pad: 1, Weights: "stem.w", Scale: "stem.s"},
			{Name: "ht", Kind: artifact.Hardtanh, Inputs: []string{"stem"}},
			{Name: "tile", Kind: artifact.Tile, Inputs: []string{"ht"}, Factor: 2, Interleave: true},
			{Name: "bin1", Kind: artifact.BinConv, Inputs: []string{"tile"}, Out: 4, Kernel: 3, Stride: 1, Pad: 1, Groups: 2, Weights: "bin1.w"},
			{Name: "max", Kind: artifact.MaxPool, Inputs: []string{"bin1"}, Kernel: 2, Stride: 2},
			{Name: "sign", Kind: artifact.Threshold, Inputs: []string{"max"}, Factor: 2, Threshold: "sign.t", Flip: "sign.f"},
			{Name: "bin2", Kind: artifact.BinConv, Inputs: []string{"sign"}, Out: 8, Kernel: 1, Stride: 1, Weights: "bin2.w"},
			{Name: "bn2", Kind: artifact.Affine, Inputs: []string{"bin2"}, Scale: "bn2.s", Bias: "bn2.b"},
			{Name: "act", Kind: artifact.PReLU, Inputs: []string{"bn2"}, Slope: "act.s"},
			{Name: "avg", Kind: artifact.AvgPool, Inputs: []string{"ht"}, Kernel: 2, Stride: 2},
			{Name: "pad", Kind: artifact.PadChannels, Inputs: []string{"avg"}, Out: 8},
			{Name: "sum", Kind: artifact.Add, Inputs: []string{"act", "pad"}},
			{Name: "take", Kind: artifact.TakeChannels, Inputs: []string{"sum"}, Out: 3},
			{Name: "cat", Kind: artifact.Concat, Inputs: []string{"take", "avg", "take"}},
			{Name: "flat", Kind: artifact.Flatten, Inputs: []string{"cat"}},
			{Name: "gap", Kind: artifact.GlobalAvgPool, Inputs: []string{"cat"}},
			{Name: "join", Kind: artifact.Concat, Inputs: []string{"flat", "gap"}},
			{Name: "fc", Kind: artifact.Linear, Inputs: []string{"join"}, Out: 3, Weights: "fc.w", Bias: "fc.b"},
		},
		Tensors: map[string]artifact.Tensor{
			"stem.w": floats(4, 1, 3, 3), "stem.s": floats(4),
			"bin1.w": artifact.Bits([]int{4, 4, 3, 3}, words(36, 0b1010)),
			"sign.t": artifact.I32([]int{8}, []int32{0, -3, artifact.NeverBelow, math.MaxInt32, 1, 2, 3, 4}),
			"sign.f": artifact.Bits([]int{8}, []uint64{0b10000001}),
			"bin2.w": artifact.Bits([]int{8, 8, 1, 1}, words(8, 0xff)),
			"bn2.s":  floats(8), "bn2.b": floats(8), "act.s": floats(8),
			"fc.w": floats(3, 170), "fc.b": floats(3),
		},
	}
}

// stored is sample with the names that Read gives to tensors, a tensor in each coding, and filters large enough for
// patterns.
func stored(t testing.TB) *artifact.Model {
	t.Helper()
	m := sample()
	filters := make([]uint64, 2*9)
	for i := range filters {
		filters[i] = 0xff0f ^ uint64(i%9)*0x101
	}
	m.Ops = slices.Insert(m.Ops, len(m.Ops)-2,
		artifact.Op{Name: "wide", Kind: artifact.Tile, Inputs: []string{"ht"}, Factor: 4},
		artifact.Op{Name: "bin3", Kind: artifact.BinConv, Inputs: []string{"wide"}, Out: 2, Kernel: 3, Stride: 2, Weights: "bin3.weight"},
		artifact.Op{Name: "bn3", Kind: artifact.Affine, Inputs: []string{"bin3"}, Bias: "bn3.bias"},
		artifact.Op{Name: "flat3", Kind: artifact.GlobalAvgPool, Inputs: []string{"bn3"}})
	op(m, "join").Inputs = []string{"flat", "gap", "flat3"}
	m.Tensors["bin3.weight"] = artifact.Bits([]int{2, 16, 3, 3}, filters)
	m.Tensors["bn3.bias"] = artifact.F32([]int{2}, []float32{-3, 1e-30})
	m.Tensors["fc.w"] = floats(3, 172)
	roles := strings.NewReplacer(".w", ".weight", ".s", ".scale", ".b", ".bias", ".t", ".threshold", ".f", ".flip")
	for i := range m.Ops {
		o := &m.Ops[i]
		for _, name := range []*string{&o.Weights, &o.Scale, &o.Bias, &o.Threshold, &o.Flip, &o.Slope} {
			if len(*name) != len(o.Name)+2 {
				continue
			}
			old := *name
			if *name = roles.Replace(old); name == &o.Slope {
				*name = "act.slope"
			}
			m.Tensors[*name] = m.Tensors[old]
			delete(m.Tensors, old)
		}
	}
	for name, c := range map[string]artifact.Coding{
		"stem.weight": artifact.AsInt8, "bn2.scale": artifact.AsFloat16, "bn2.bias": artifact.AsBFloat16, "act.slope": artifact.AsFloat16,
		"fc.weight": artifact.AsInt8, "bin3.weight": artifact.AsPatterns, "bn3.bias": artifact.AsBFloat16,
	} {
		recode(t, m, name, c)
	}
	return m
}

// recode gives a tensor of m another coding.
func recode(t testing.TB, m *artifact.Model, name string, c artifact.Coding) {
	t.Helper()
	old := m.Tensors[name]
	tensor, err := old.Recode(c)
	if err != nil {
		t.Fatalf("tensor %q: %v", name, err)
	}
	m.Tensors[name] = tensor
}

func encode(t testing.TB, m *artifact.Model) []byte {
	t.Helper()
	b, err := artifact.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readFrom(b []byte) (*artifact.Model, error) {
	return artifact.ReadFrom(bytes.NewReader(b), int64(len(b)), "x.bnn")
}

// fixture returns a file that an earlier version, or this one, has written.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.bnn")
	if err := artifact.Write(path, stored(t)); err != nil {
		t.Fatal(err)
	}
	got, err := artifact.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := stored(t); !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v, wrote\n%+v", got, want)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, encode(t, got)) {
		t.Error("writing what was read gives other bytes")
	}
}

// TestNamesOfTensors: a file does not hold them. A tensor that two operations share is there twice.
func TestNamesOfTensors(t *testing.T) {
	m := sample()
	op(m, "bn2").Bias = "bn2.s"
	delete(m.Tensors, "bn2.b")
	got, err := readFrom(encode(t, m))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bn2.scale", "bn2.bias"} {
		if !reflect.DeepEqual(got.Tensors[name], m.Tensors["bn2.s"]) {
			t.Errorf("tensor %q is %+v, want %+v", name, got.Tensors[name], m.Tensors["bn2.s"])
		}
	}
}

// TestReadVersion1 reads a file that the first version of the format wrote. It must pass for ever.
func TestReadVersion1(t *testing.T) {
	got, err := readFrom(fixture(t, "v1.bnn"))
	if err != nil {
		t.Fatal(err)
	}
	if want := sample(); !reflect.DeepEqual(got, want) {
		t.Errorf("v1.bnn holds\n%+v, want\n%+v", got, want)
	}
}

// TestReadVersion2 reads a file of the present version and compares it with what is written now. The first half must pass
// for ever.
func TestReadVersion2(t *testing.T) {
	if *update {
		if err := artifact.Write(filepath.Join("testdata", "v2.bnn"), stored(t)); err != nil {
			t.Fatal(err)
		}
	}
	old := fixture(t, "v2.bnn")
	got, err := readFrom(old)
	if err != nil {
		t.Fatal(err)
	}
	if want := stored(t); !reflect.DeepEqual(got, want) {
		t.Errorf("v2.bnn holds\n%+v, want\n%+v", got, want)
	}
	// What DEFLATE makes of a text is the Go version's business.
	was, is := takeApart(t, old), takeApart(t, encode(t, stored(t)))
	was.inflate(t)
	is.inflate(t)
	if !reflect.DeepEqual(was, is) {
		t.Errorf("this version writes\n%+v, v2.bnn holds\n%+v: the format has changed, so its version must", is, was)
	}
}

// TestStoredForm checks the profile through the eyes of a plain safetensors reader.
func TestStoredForm(t *testing.T) {
	b := encode(t, stored(t))
	f, err := safetensors.NewFile(bytes.NewReader(b), int64(len(b)), "x.bnn")
	if err != nil {
		t.Fatal(err)
	}
	if f.DataOffset()%64 != 0 {
		t.Errorf("the data starts at byte %d, want a multiple of 64", f.DataOffset())
	}
	var list []string
	for _, info := range f.Infos() {
		if info.Name != "patterns" && info.Name != "model" { // DEFLATE streams
			list = append(list, fmt.Sprint(info.Name, " ", info.DType, " ", info.Shape))
		}
	}
	want := []string{
		// bin1 4·4·9 bits, the flips 8, bin2 8·8, up to a multiple of 4
		"bits U8 [28]", "i32 I32 [8]",
		"f32 F32 [7]",    // stem.scale, fc.bias
		"bf16 BF16 [17]", // steps of stem.weight (4), bn2.bias, bn3.bias, steps of fc.weight (3)
		"f16 F16 [16]",   // bn2.scale, act.slope
		"i8 I8 [552]",    // stem.weight, fc.weight
	}
	if !slices.Equal(list, want) {
		t.Errorf("sections %q, want %q", list, want)
	}
	if meta := f.Metadata(); !reflect.DeepEqual(meta, map[string]string{"format": "bnntool.artifact", "version": "2"}) {
		t.Errorf("metadata is %v", meta)
	}
	bits, err := f.Bytes("bits")
	row := byte(0b1010_1010) // two rows of 4 channels
	if want := append(bytes.Repeat([]byte{row}, 18), append([]byte{0b10000001}, bytes.Repeat([]byte{0xff}, 8)...)...); err != nil ||
		!bytes.Equal(bits, append(want, 0)) {
		t.Errorf("bits are %v, %v, want %v and one byte of padding", bits, err, want)
	}
	i32, err := f.Int32("i32")
	if err != nil || !slices.Equal(i32, stored(t).Tensors["sign.threshold"].Int32) {
		t.Errorf("thresholds are %v, %v", i32, err)
	}
	f16, err := f.Bytes("f16")
	if err != nil || !bytes.Equal(f16[:8], []byte{0x00, 0xbc, 0x00, 0xba, 0x00, 0xb8, 0x00, 0xb4}) { // -1 -0.75 -0.5 -0.25
		t.Errorf("halves are % x, %v", f16, err)
	}
	p := takeApart(t, b)
	p.inflate(t)
	model := string(p.tensor("model").Data)
	for _, want := range []string{
		`{"name":"stem","kind":"conv","out":4,"kernel":3,"stride":1,"pad":1,"weights":"i8","scale":"f32"}`,
		`{"name":"sign","kind":"threshold","factor":2,"threshold":"i32","flip":"bits"}`,
		`{"name":"avg","kind":"avgpool","inputs":["ht"],"kernel":2,"stride":2}`,
		`{"name":"bin3","kind":"binconv","out":2,"kernel":3,"stride":2,"weights":"patterns"}`,
	} {
		if !strings.Contains(model, want) {
			t.Errorf("the description is %s, want it to contain %s", model, want)
		}
	}
}

// large is a model with a small and a large tensor of bits.
func large() *artifact.Model {
	words := make([]uint64, 64*9)
	for i := range words {
		words[i] = uint64(i) * 0x9e3779b97f4a7c15
	}
	return &artifact.Model{
		Name: "large", Input: [3]int{8, 8, 3}, Classes: slices.Repeat([]string{"x"}, 64),
		Preprocess: preprocess.Config{H: 8, W: 8, C: 3, Mean: make([]float32, 3), Std: []float32{1, 1, 1}},
		Ops: []artifact.Op{
			{Name: "pad", Kind: artifact.PadChannels, Inputs: []string{"image"}, Out: 65},
			{Name: "take", Kind: artifact.TakeChannels, Inputs: []string{"pad"}, Out: 64},
			{Name: "small", Kind: artifact.BinConv, Inputs: []string{"take"}, Out: 64, Kernel: 1, Stride: 1, Groups: 16, Weights: "small.weight"},
			{Name: "large", Kind: artifact.BinConv, Inputs: []string{"small"}, Out: 64, Kernel: 3, Stride: 1, Weights: "large.weight"},
			{Name: "float", Kind: artifact.Affine, Inputs: []string{"large"}},
			{Name: "pool", Kind: artifact.GlobalAvgPool, Inputs: []string{"float"}},
		},
		Tensors: map[string]artifact.Tensor{
			"small.weight": artifact.Bits([]int{64, 4, 1, 1}, slices.Repeat([]uint64{5}, 64)),
			"large.weight": artifact.Bits([]int{64, 64, 3, 3}, words),
		},
	}
}

// TestBitsInPlace: filters of whole words start on a cache line, and their bytes are the words.
func TestBitsInPlace(t *testing.T) {
	m := large()
	b := encode(t, m)
	if got, err := readFrom(b); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("read %+v, %v, wrote %+v", got, err, m)
	}
	f, err := safetensors.NewFile(bytes.NewReader(b), int64(len(b)), "x.bnn")
	if err != nil {
		t.Fatal(err)
	}
	info, _ := f.Lookup("bits")
	at := f.DataOffset() + info.Offset + 64 // behind small.weight, 32 bytes, and padding
	for i, w := range m.Tensors["large.weight"].Words {
		if got := binary.LittleEndian.Uint64(b[at+8*int64(i):]); got != w {
			t.Fatalf("word %d in the file is %#x, want %#x", i, got, w)
		}
	}
}

func TestDamageIsDetected(t *testing.T) {
	b := encode(t, stored(t))
	step := 1
	if testing.Short() {
		step = 7
	}
	for i := 0; i < len(b); i += step {
		b[i] ^= 1 << (i % 8)
		if _, err := readFrom(b); err == nil {
			t.Errorf("bit %d of byte %d can flip unnoticed", i%8, i)
		}
		b[i] ^= 1 << (i % 8)
	}
	for n := 0; n < len(b); n += 3 * step {
		if _, err := readFrom(b[:n]); err == nil {
			t.Errorf("the file cut to %d bytes is read", n)
		}
	}
	b[len(b)-1] ^= 1
	_, err := readFrom(b)
	if !errors.Is(err, safetensors.ErrChecksum) {
		t.Fatalf("error %v, want a checksum mismatch", err)
	}
	for _, part := range []string{`artifact: safetensors: x.bnn: tensor "model": checksum mismatch: expected crc32c `, ", found "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not contain %q", err, part)
		}
	}
}

func TestWriteRefusesWhatReadWould(t *testing.T) {
	m := sample()
	m.Source["notes"] = strings.Repeat("x", 17<<20)
	err := artifact.Write(filepath.Join(t.TempDir(), "x.bnn"), m)
	if want := "bytes of JSON, at most 16777216 are allowed"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
	m = stored(t)
	m.Tensors["bn2.scale"].Float32[3] = 0.1
	err = artifact.Write(filepath.Join(t.TempDir(), "x.bnn"), m)
	want := `artifact: tensor "bn2.scale": element 3 is 0.1 in coding "f16": its coding cannot hold it exactly: recode it after changing it`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestLongDescription: a text that compresses too well is stored as it is, so that a reader can bound what it inflates.
func TestLongDescription(t *testing.T) {
	m := sample()
	m.Source["notes"] = strings.Repeat("x", 1<<20)
	b := encode(t, m)
	if len(b) < 1<<20 {
		t.Errorf("%d bytes for a description of a megabyte", len(b))
	}
	if got, err := readFrom(b); err != nil || got.Source["notes"] != m.Source["notes"] {
		t.Errorf("error %v, or another text", err)
	}
}

func TestWriteLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.bnn")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := sample()
	m.Classes = nil
	if err := artifact.Write(path, m); err == nil || err.Error() != "artifact: classes: 0 names for 3 logits" {
		t.Errorf("error %v, want one about the classes", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("the file holds %q, %v, want what it held before", b, err)
	}
}
