package artifact_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/bnntool/bnntool/runtime/artifact"
)

func TestResolve(t *testing.T) {
	values, err := sample().Resolve()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"image float 8x8x1 []",
		"stem float 8x8x4 [0]", "ht float 8x8x4 [1]", "tile float 8x8x8 [2]",
		"bin1 counts 8x8x4 [3]", "max counts 4x4x4 [4]", "sign bits 4x4x8 [5]", "bin2 counts 4x4x8 [6]",
		"bn2 float 4x4x8 [7]", "act float 4x4x8 [8]",
		"avg float 4x4x4 [2]", "pad float 4x4x8 [10]", "sum float 4x4x8 [9 11]", "take float 4x4x3 [12]",
		"cat float 4x4x10 [13 10 13]", "flat float 1x1x160 [14]", "gap float 1x1x10 [14]", "join float 1x1x170 [15 16]",
		"fc float 1x1x3 [17]",
	}
	if len(values) != len(want) {
		t.Fatalf("%d values, want %d", len(values), len(want))
	}
	for i, v := range values {
		if got := fmt.Sprintf("%s %v %dx%dx%d %v", v.Name, v.Kind, v.H, v.W, v.C, v.From); got != want[i] {
			t.Errorf("value %d is %q, want %q", i, got, want[i])
		}
	}
}

// op returns the operation called name, to change it.
func op(m *artifact.Model, name string) *artifact.Op {
	for i := range m.Ops {
		if m.Ops[i].Name == name {
			return &m.Ops[i]
		}
	}
	panic("no op " + name)
}

func TestValidateRefuses(t *testing.T) {
	type model = *artifact.Model
	for _, tt := range []struct {
		name   string
		change func(m model)
		want   string // after "artifact: "
	}{
		{"no operations", func(m model) { m.Ops = nil }, "the model has 0 operations, want 1..16384"},
		{"too many operations", func(m model) { m.Ops = make([]artifact.Op, 1<<14+1) }, "the model has 16385 operations, want 1..16384"},
		{"no name", func(m model) { op(m, "ht").Name = "" }, `op 1 "" (hardtanh): the name is empty or not UTF-8`},
		{"name twice", func(m model) { op(m, "ht").Name = "stem" }, `op 1 "stem" (hardtanh): the name is used twice`},
		{"image's name", func(m model) { op(m, "ht").Name = "image" }, `op 1 "image" (hardtanh): the name is used twice`},
		{"unknown kind", func(m model) { op(m, "ht").Kind = "softmax" }, `op 1 "ht" (softmax): unknown kind "softmax"`},
		{"foreign field", func(m model) { op(m, "ht").Weights = "fc.w" }, `op 1 "ht" (hardtanh): the kind has no weights`},
		{"scale on a 1-bit convolution", func(m model) { op(m, "bin1").Scale = "stem.s" }, `op 3 "bin1" (binconv): the kind has no scale`},
		{"negative groups", func(m model) { op(m, "bin1").Groups = -1 }, `op 3 "bin1" (binconv): groups -1, factor 0: want 0..1048576`},
		{"no input", func(m model) { op(m, "ht").Inputs = nil }, `op 1 "ht" (hardtanh): 0 inputs, want 1`},
		{"one summand", func(m model) { op(m, "sum").Inputs = []string{"act"} }, `op 11 "sum" (add): 1 inputs, want 2`},
		{"one part", func(m model) { op(m, "cat").Inputs = []string{"take"} }, `op 13 "cat" (concat): 1 inputs, want at least 2`},
		{"later input", func(m model) { op(m, "ht").Inputs[0] = "tile" },
			`op 1 "ht" (hardtanh): input "tile" is not made by an operation before this one`},
		{"counts into a float operation", func(m model) { op(m, "act").Inputs[0] = "bin2" },
			`op 8 "act" (prelu): input "bin2" is counts, which the operation does not take`},
		{"floats into a threshold", func(m model) { op(m, "sign").Inputs[0] = "ht" },
			`op 5 "sign" (threshold): input "ht" is float, which the operation does not take`},
		{"bits into an affine", func(m model) { op(m, "bn2").Inputs[0] = "sign" },
			`op 7 "bn2" (affine): input "sign" is bits, which the operation does not take`},
		{"unequal summands", func(m model) { op(m, "sum").Inputs[1] = "avg" },
			`op 11 "sum" (add): inputs are 4x4x8 and 4x4x4, want equal shapes`},
		{"unequal parts", func(m model) { op(m, "cat").Inputs[2] = "ht" },
			`op 13 "cat" (concat): inputs are 4x4x3 and 8x8x4, want equal heights and widths`},
		{"odd padding", func(m model) { op(m, "pad").Out = 7 }, `op 10 "pad" (padchannels): out is 7 for 4 channels: want as many new channels on either side`},
		{"taking too many", func(m model) { op(m, "take").Out = 9 }, `op 12 "take" (takechannels): out is 9, want 1..8`},
		{"window too large", func(m model) { op(m, "max").Kernel = 9 }, `op 4 "max" (maxpool): a 9x9 window does not fit into 8x8 with padding 0`},
		{"stride 0", func(m model) { op(m, "max").Stride = 0 },
			`op 4 "max" (maxpool): kernel 2, stride 0, pad 0: want kernel and stride in 1..1024 and 0 <= pad < kernel`},
		{"pad as large as the kernel", func(m model) { op(m, "stem").Pad = 3 },
			`op 0 "stem" (conv): kernel 3, stride 1, pad 3: want kernel and stride in 1..1024 and 0 <= pad < kernel`},
		{"groups", func(m model) { op(m, "bin1").Groups = 3 },
			`op 3 "bin1" (binconv): out is 4 with 3 groups over 8 channels: want out in 1..1048576, both multiples of the groups`},
		{"not flat", func(m model) { op(m, "fc").Inputs[0] = "cat" }, `op 17 "fc" (linear): input 4x4x10 is not flat`},
		{"weights missing", func(m model) { op(m, "bin1").Weights = "" }, `op 3 "bin1" (binconv): weights is missing`},
		{"tensor missing", func(m model) { delete(m.Tensors, "sign.t") }, `op 5 "sign" (threshold): threshold: there is no tensor "sign.t"`},
		{"tensor of another shape", func(m model) { m.Tensors["fc.w"] = floats(3, 169) },
			`op 17 "fc" (linear): weights: tensor "fc.w" is F32 [3 169] with layout "flat", want F32 [3 170] with layout "flat"`},
		{"tensor of another type", func(m model) { m.Tensors["bn2.b"] = artifact.I32([]int{8}, make([]int32, 8)) },
			`op 7 "bn2" (affine): bias: tensor "bn2.b" is I32 [8] with layout "flat", want F32 [8] with layout "flat"`},
		{"scale not widened", func(m model) { op(m, "bn2").Factor = 2 },
			`op 7 "bn2" (affine): scale: tensor "bn2.s" is F32 [8] with layout "flat", want F32 [16] with layout "flat"`},
		{"unused tensor", func(m model) { m.Tensors["x"] = floats(1) }, `tensor "x" is used by no operation`},
		{"last is counts", func(m model) { *m = *onlyCounts() },
			`the last operation "bin" gives counts 1x1x1, want flat float logits`},
		{"last is a map", func(m model) {
			m.Ops = []artifact.Op{{Name: "ht", Kind: artifact.Hardtanh, Inputs: []string{"image"}}}
			m.Tensors = nil
		},
			`the last operation "ht" gives float 8x8x1, want flat float logits`},

		{"NaN", func(m model) { m.Tensors["fc.b"].Float32[1] = float32(math.NaN()) }, `tensor "fc.b": element 1 is NaN, want a finite number`},
		{"infinity", func(m model) { m.Tensors["bn2.s"].Float32[0] = float32(math.Inf(1)) }, `tensor "bn2.s": element 0 is +Inf, want a finite number`},
		{"padding bit in filters", func(m model) { m.Tensors["bin1.w"].Words[35] |= 1 << 4 },
			`tensor "bin1.w": word 35 is 0x1a: the bits past the 4 of a row must be clear`},
		{"padding bit in a vector", func(m model) { m.Tensors["sign.f"].Words[0] |= 1 << 63 },
			`tensor "sign.f": word 0 is 0x8000000000000081: the bits past the 8 of a row must be clear`},
		{"short data", func(m model) { m.Tensors["fc.b"] = artifact.F32([]int{3}, []float32{1}) },
			`tensor "fc.b": shape [3] with layout "flat" needs 3 elements or words, has 1`},
		{"two types of data", func(m model) {
			m.Tensors["fc.b"] = artifact.Tensor{Shape: []int{1}, Layout: artifact.Flat, Float32: []float32{1}, Int32: []int32{1}}
		},
			`tensor "fc.b": layout "flat" needs data of exactly one type that fits it`},
		{"words that are flat", func(m model) {
			m.Tensors["fc.b"] = artifact.Tensor{Shape: []int{1}, Layout: artifact.Flat, Words: []uint64{1}}
		},
			`tensor "fc.b": layout "flat" needs data of exactly one type that fits it`},
		{"unknown layout", func(m model) {
			m.Tensors["fc.b"] = artifact.Tensor{Shape: []int{1}, Layout: "lanes", Words: []uint64{1}}
		},
			`tensor "fc.b": unknown layout "lanes"`},
		{"filters of three dimensions", func(m model) {
			m.Tensors["fc.b"] = artifact.Tensor{Shape: []int{1, 1, 1}, Layout: artifact.BitFilters, Words: []uint64{1}}
		}, `tensor "fc.b": shape [1 1 1] does not fit the layout "bits.krsc"`},
		{"tensor of 2^60", func(m model) { m.Tensors["fc.b"] = artifact.F32([]int{1 << 30, 1 << 30}, nil) },
			`tensor "fc.b": shape [1073741824 1073741824] has more than 1073741824 elements`},
		{"tensor of nothing", func(m model) { m.Tensors["fc.b"] = artifact.F32([]int{0}, []float32{}) }, `tensor "fc.b": shape [0]: want extents in 1..1073741824`},

		{"classes", func(m model) { m.Classes = m.Classes[1:] }, "classes: 2 names for 3 logits"},
		{"preprocess", func(m model) { m.Preprocess.Mean = nil }, "preprocess: mean has 0 entries and std 1, want one for each of 1 channels"},
		{"picture of another size", func(m model) { m.Preprocess.H = 9 }, "preprocess: the picture is 9x8x1, the image is 8x8x1"},

		{"image of 2^60", func(m model) { m.Input = [3]int{1 << 20, 1 << 20, 1 << 20} },
			"image: the result 1048576x1048576x1048576 has more than 67108864 elements"},
		{"negative image", func(m model) { m.Input[2] = -1 }, "image: the result is 8x8x-1, want extents in 1..1048576"},
		{"channels beyond the limit", func(m model) { op(m, "tile").Factor = 1 << 20 },
			`op 2 "tile" (tile): the result is 8x8x1048577, want extents in 1..1048576`},
		{"a value of 1 GB", func(m model) { m.Input = [3]int{8192, 8192, 1}; op(m, "tile").Factor = 1 },
			`op 0 "stem" (conv): the result 8192x8192x4 has more than 67108864 elements`},
		{"many values", func(m model) {
			m.Input = [3]int{4096, 4096, 1}
			*op(m, "stem") = artifact.Op{Name: "stem", Kind: artifact.Tile, Inputs: []string{"image"}, Factor: 4}
			for i := range 4 {
				m.Ops[1+i] = artifact.Op{Name: fmt.Sprint(i), Kind: artifact.Hardtanh, Inputs: []string{"stem"}}
			}
		}, `op 3 "2" (hardtanh): the values up to here have 285212672 elements, at most 268435456 are allowed`},
		{"work", func(m model) {
			m.Input = [3]int{4096, 4096, 1}
			*op(m, "stem") = artifact.Op{Name: "stem", Kind: artifact.AvgPool, Inputs: []string{"image"}, Kernel: 512, Stride: 1}
		}, `op 0 "stem" (avgpool): the operations up to here do 3.37e+12 multiply-adds, at most 68719476736 are allowed`},
		{"count not exact in float32", func(m model) {
			m.Input = [3]int{1024, 1024, 17}
			m.Ops = []artifact.Op{{Name: "c", Kind: artifact.BinConv, Inputs: []string{"image"}, Out: 1, Kernel: 1024, Stride: 1, Weights: "w"}}
		}, `op 0 "c" (binconv): a count sums 17825792 products, want at most 16777216`},
	} {
		m := sample()
		tt.change(m)
		if err := m.Validate(); err == nil || err.Error() != "artifact: "+tt.want {
			t.Errorf("%s: error\n%v, want\nartifact: %s", tt.name, err, tt.want)
		}
	}
}

// onlyCounts is a model that ends in counts.
func onlyCounts() *artifact.Model {
	return &artifact.Model{Input: [3]int{1, 1, 1},
		Ops:     []artifact.Op{{Name: "bin", Kind: artifact.BinConv, Inputs: []string{"image"}, Out: 1, Kernel: 1, Stride: 1, Weights: "w"}},
		Tensors: map[string]artifact.Tensor{"w": artifact.Bits([]int{1, 1, 1, 1}, []uint64{1})}}
}

// TestWideRows has rows of more than one word, where only a row's last word has padding.
func TestWideRows(t *testing.T) {
	for _, c := range []int{63, 64, 65, 128, 130} {
		rows, row := 2, (c+63)/64
		v := make([]uint64, rows*row)
		for i := range v {
			v[i] = ^uint64(0)
			if rest := c % 64; i%row == row-1 && rest != 0 {
				v[i] = 1<<rest - 1
			}
		}
		m := &artifact.Model{Input: [3]int{1, 1, 1}, Classes: []string{"a", "b"}, Preprocess: sample().Preprocess,
			Ops: []artifact.Op{
				{Name: "tile", Kind: artifact.Tile, Inputs: []string{"image"}, Factor: c},
				{Name: "bin", Kind: artifact.BinConv, Inputs: []string{"tile"}, Out: rows, Kernel: 1, Stride: 1, Weights: "w"},
				{Name: "out", Kind: artifact.Affine, Inputs: []string{"bin"}},
			},
			Tensors: map[string]artifact.Tensor{"w": artifact.Bits([]int{rows, c, 1, 1}, v)}}
		m.Preprocess.H, m.Preprocess.W = 1, 1
		if err := m.Validate(); err != nil {
			t.Errorf("%d channels: %v", c, err)
		}
		if rest := c % 64; rest != 0 {
			v[row-1] |= 1 << rest
			if m.Validate() == nil {
				t.Errorf("%d channels: a padding bit is set and nothing notices", c)
			}
		}
	}
}
