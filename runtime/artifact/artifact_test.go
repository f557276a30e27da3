package artifact_test

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
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

// sample is a model with every kind of operation and value. Call it anew for each change.
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

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.bnn")
	if err := artifact.Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := artifact.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := sample(); !reflect.DeepEqual(got, want) {
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

// TestReadVersion1 reads a file that the first version of the format wrote. It must pass for ever.
func TestReadVersion1(t *testing.T) {
	path := filepath.Join("testdata", "v1.bnn")
	if *update {
		if err := artifact.Write(path, sample()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := artifact.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := sample(); !reflect.DeepEqual(got, want) {
		t.Errorf("%s holds\n%+v, want\n%+v", path, got, want)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, encode(t, sample())) {
		t.Errorf("this version writes other bytes than %s: the format has changed, so its version must", path)
	}
}

// TestStoredForm checks the profile through the eyes of a plain safetensors reader.
func TestStoredForm(t *testing.T) {
	b := encode(t, sample())
	f, err := safetensors.NewFile(bytes.NewReader(b), int64(len(b)), "x.bnn")
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range f.Infos() {
		if at := f.DataOffset() + info.Offset; at%64 != 0 || info.Size%64 != 0 {
			t.Errorf("tensor %q: %d bytes at %d, want multiples of 64", info.Name, info.Size, at)
		}
	}
	meta := f.Metadata()
	for _, want := range []string{
		`"bin1.w":{"shape":[4,4,3,3],"layout":"bits.krsc","codec":"raw","raw_size":288}`,
		`"stem.s":{"shape":[4],"layout":"flat","codec":"raw","raw_size":16}`,
		`"sign.f":{"shape":[8],"layout":"bits.n","codec":"raw","raw_size":8}`,
	} {
		if !strings.Contains(meta["tensors"], want) {
			t.Errorf("metadata \"tensors\" is %s, want it to contain %s", meta["tensors"], want)
		}
	}
	if got, err := f.Bytes("sign.f"); err != nil || !bytes.Equal(got, append([]byte{0b10000001}, make([]byte, 63)...)) {
		t.Errorf("sign.f is stored as %v, %v", got, err)
	}
	if got, err := f.Int32("sign.t"); err != nil || len(got) != 16 || got[2] != math.MinInt32 || got[8] != 0 {
		t.Errorf("sign.t is stored as %v, %v", got, err)
	}
}

func TestDamageIsDetected(t *testing.T) {
	b := encode(t, sample())
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
	b[len(b)-64] ^= 1
	_, err := readFrom(b)
	if !errors.Is(err, safetensors.ErrChecksum) {
		t.Fatalf("error %v, want a checksum mismatch", err)
	}
	for _, part := range []string{`artifact: safetensors: x.bnn: tensor "fc.b": checksum mismatch: expected crc32c `, ", found "} {
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
