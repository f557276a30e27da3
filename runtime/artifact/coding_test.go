package artifact_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// TestRecodeErrors bounds what each coding does to normally distributed elements.
func TestRecodeErrors(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	v := make([]float32, 16*27)
	for i := range v {
		v[i] = float32(rng.NormFloat64()) * float32(1+i/27) // rows of different size
	}
	tensor := artifact.F32([]int{16, 3, 3, 3}, v)
	for _, tt := range []struct {
		coding artifact.Coding
		bytes  int
		most   func(row []float32, x float32) float64 // error of x
	}{
		{artifact.AsFloat32, 4 * len(v), func([]float32, float32) float64 { return 0 }},
		{artifact.AsFloat16, 2 * len(v), func(_ []float32, x float32) float64 { return math.Abs(float64(x)) / (1 << 11) }},
		{artifact.AsBFloat16, 2 * len(v), func(_ []float32, x float32) float64 { return math.Abs(float64(x)) / (1 << 8) }},
		{artifact.AsInt8, len(v) + 2*16, func(row []float32, _ float32) float64 {
			largest := 0.0
			for _, x := range row {
				largest = max(largest, math.Abs(float64(x)))
			}
			return largest / 127 / 2 * (1 + 1.0/128) // half a step, which is rounded up to a bfloat16
		}},
	} {
		got, err := tensor.Recode(tt.coding)
		if err != nil {
			t.Fatal(err)
		}
		if got.Coding() != tt.coding || got.Bytes() != tt.bytes {
			t.Errorf("%s: coding %s, %d bytes, want %d", tt.coding, got.Coding(), got.Bytes(), tt.bytes)
		}
		for i, x := range v {
			if d, most := math.Abs(float64(got.Float32[i])-float64(x)), tt.most(v[i/27*27:i/27*27+27], x); d > most {
				t.Fatalf("%s: %v becomes %v, an error of %v, want at most %v", tt.coding, x, got.Float32[i], d, most)
			}
		}
		again, err := got.Recode(tt.coding)
		if err != nil || tt.coding != artifact.AsInt8 && !reflect.DeepEqual(again.Float32, got.Float32) {
			t.Errorf("%s: a second time changes the elements, or %v", tt.coding, err)
		}
	}
}

func TestRecodeInt8(t *testing.T) {
	for _, tt := range []struct {
		v, want, steps []float32
		shape          []int
	}{
		{[]float32{127, -127, 0.4, 0.6}, []float32{127, -127, 0, 1}, []float32{1}, []int{4}},
		{[]float32{0, 0, 254, -2}, []float32{0, 0, 254, -2}, []float32{0, 2}, []int{2, 2}},
		{[]float32{-128, 3}, []float32{-128, 3.047619}, nil, []int{2}}, // 128/127 has no bfloat16: the next one is 1.0078125+
	} {
		tensor := artifact.F32(tt.shape, tt.v)
		got, err := tensor.Recode(artifact.AsInt8)
		if err != nil {
			t.Fatal(err)
		}
		if tt.steps == nil {
			if s := got.Steps()[0]; 127*s < 128 || 126*s > 128 {
				t.Errorf("%v: step %v does not reach 128 with 127, or is too large", tt.v, s)
			}
			continue
		}
		if !reflect.DeepEqual(got.Float32, tt.want) || !reflect.DeepEqual(got.Steps(), tt.steps) {
			t.Errorf("%v becomes %v with steps %v, want %v with %v", tt.v, got.Float32, got.Steps(), tt.want, tt.steps)
		}
	}
}

func TestRecodeInt8Units(t *testing.T) {
	tensor := artifact.F32([]int{3}, []float32{127, -50.3, 0.2})
	for units, want := range map[int]float32{0: 1, 1: 1 + 1.0/128, 3: 1 + 3.0/128} {
		got, err := tensor.RecodeInt8(units)
		if err != nil || got.Steps()[0] != want || got.Coding() != artifact.AsInt8 {
			t.Errorf("%d units: step %v, %v, want %v", units, got.Steps(), err, want)
		}
		for i, x := range tensor.Float32 {
			if d := math.Abs(float64(x) - float64(got.Float32[i])); d > float64(want)/2 {
				t.Errorf("%d units: %v becomes %v", units, x, got.Float32[i])
			}
		}
	}
}

func TestRecodeRefuses(t *testing.T) {
	floats := artifact.F32([]int{2}, []float32{1, 65520})
	huge := artifact.F32([]int{1, 2}, []float32{1, math.MaxFloat32})
	ints := artifact.I32([]int{1}, []int32{1})
	flags := artifact.Bits([]int{16}, []uint64{1})
	point := artifact.Bits([]int{1, 16, 1, 1}, []uint64{1})
	for _, tt := range []struct {
		tensor *artifact.Tensor
		coding artifact.Coding
		want   string
	}{
		{&floats, artifact.AsFloat16, "element 1 is 65520, too large for f16"},
		{&huge, artifact.AsBFloat16, "element 1 is 3.4028235e+38, too large for bf16"},
		{&huge, artifact.AsInt8, "row 0 has elements too large for i8"},
		{&floats, artifact.AsBits, `coding "bits" is for bits`},
		{&ints, artifact.AsFloat32, `coding "f32" is for float32`},
		{&flags, artifact.AsInt32, `coding "i32" is for int32`},
		{&flags, artifact.AsPatterns, `coding "patterns" is for 3x3 filters over 16 or more channels, not for shape [16] with layout "bits.n"`},
		{&point, artifact.AsPatterns, `coding "patterns" is for 3x3 filters over 16 or more channels, not for shape [1 16 1 1] with layout "bits.krsc"`},
		{&ints, artifact.AsPatterns, `coding "patterns" is for bits`},
		{&ints, "zip", `unknown coding "zip"`},
	} {
		if _, err := tt.tensor.Recode(tt.coding); err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
}

func TestRecodePatterns(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	words := make([]uint64, 64*9*2)
	for i := range words {
		if words[i] = rng.Uint64() & rng.Uint64() & rng.Uint64(); i%2 == 1 {
			words[i] &= 1<<6 - 1
		}
	}
	tensor := artifact.Bits([]int{64, 70, 3, 3}, words)
	got, err := tensor.Recode(artifact.AsPatterns)
	if err != nil {
		t.Fatal(err)
	}
	if got.Bytes() >= tensor.Bytes() || tensor.Bytes() != 64*9*70/8 {
		t.Errorf("%d bytes as patterns, %d as bits: want fewer than %d", got.Bytes(), tensor.Bytes(), 64*9*70/8)
	}
	back, err := got.Recode(artifact.AsBits)
	if err != nil || back.Bytes() != tensor.Bytes() || !reflect.DeepEqual(back.Words, words) {
		t.Errorf("back to bits: %v, %d bytes", err, back.Bytes())
	}
}

// TestCodePatterns codes two of three tensors together. The file has them in one stream, and each knows its share.
func TestCodePatterns(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	filters := func(mask uint64) artifact.Tensor {
		words := make([]uint64, 64*9)
		for i := range words {
			words[i] = rng.Uint64() & (rng.Uint64() | mask) & (rng.Uint64() | mask)
		}
		return artifact.Bits([]int{64, 64, 3, 3}, words)
	}
	m := large()
	m.Ops[2] = artifact.Op{Name: "small", Kind: artifact.BinConv, Inputs: []string{"take"}, Out: 64, Kernel: 3, Stride: 1, Pad: 1, Weights: "small.weight"}
	last := artifact.Op{Name: "last", Kind: artifact.BinConv, Inputs: []string{"large"}, Out: 64, Kernel: 3, Stride: 1, Weights: "last.weight"}
	m.Ops = slices.Insert(m.Ops, 4, last)
	m.Ops[5].Inputs = []string{"last"}
	m.Tensors["small.weight"], m.Tensors["large.weight"], m.Tensors["last.weight"] = filters(0), filters(^uint64(0)), filters(0)
	c := m.CodePatterns(0.03)
	b := encode(t, c)
	got, err := readFrom(b)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Fatalf("read %+v, %v, wrote %+v", got, err, c)
	}
	p := takeApart(t, b)
	sum := 0
	for name, want := range map[string]artifact.Coding{
		"small.weight": artifact.AsPatterns, "large.weight": artifact.AsBits, "last.weight": artifact.AsPatterns,
	} {
		tensor, was := c.Tensors[name], m.Tensors[name]
		if tensor.Coding() != want || was.Coding() != artifact.AsBits {
			t.Errorf("tensor %q is %s and was %s, want %s and bits", name, tensor.Coding(), was.Coding(), want)
		}
		if want == artifact.AsPatterns {
			sum += tensor.Bytes()
			if 100*tensor.Bytes() > 97*was.Bytes() {
				t.Errorf("tensor %q takes %d bytes of %d", name, tensor.Bytes(), was.Bytes())
			}
		}
	}
	if size := len(p.tensor("patterns").Data); sum != size {
		t.Errorf("the shares are %d bytes, the section has %d", sum, size)
	}
	again := c.CodePatterns(0.9)
	for name := range again.Tensors {
		if tensor := again.Tensors[name]; tensor.Coding() == artifact.AsPatterns {
			t.Errorf("tensor %q is still coded", name)
		}
	}
}

func ExampleTensor_Recode() {
	tensor := artifact.F32([]int{3}, []float32{0.1, -0.2, 0.3})
	for _, c := range []artifact.Coding{artifact.AsFloat32, artifact.AsFloat16, artifact.AsBFloat16, artifact.AsInt8} {
		t, err := tensor.Recode(c)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%-4s %2d bytes %.7g\n", t.Coding(), t.Bytes(), t.Float32)
	}
	// Output:
	// f32  12 bytes [0.1 -0.2 0.3]
	// f16   6 bytes [0.09997559 -0.1999512 0.3000488]
	// bf16  6 bytes [0.1000977 -0.2001953 0.3007812]
	// i8    5 bytes [0.09933472 -0.2010345 0.3003693]
}
