package model

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// convThenBatchNorm is a 1-bit convolution of 2 filters with alpha, then the layers between, then a batch norm "bn".
func convThenBatchNorm(between ...Layer) *Net {
	layers := []Layer{{Name: "conv", Op: Conv, Out: 2, Kernel: 1, Stride: 1, WeightQuant: ReCUWeight, InputQuant: ReCUInput, Alpha: true}}
	layers = append(layers, between...)
	return one(Shape{2, 2, 3}, append(layers, Layer{Name: "bn", Op: BatchNorm})...)
}

// bnWeights returns weights for convThenBatchNorm whose batch norm has c channels, with one negative alpha.
func bnWeights(c int) Weights {
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
		return v
	}
	w := Weights{"conv.weight": draw(6), "conv.alpha": {0.3, -0.7},
		"bn.weight": draw(c), "bn.bias": draw(c), "bn.running_mean": draw(c), "bn.running_var": draw(c)}
	for i, v := range w["bn.running_var"] {
		w["bn.running_var"][i] = v * v
	}
	return w
}

// TestFreezeAbsorbs compares a network whose batch norm takes over the convolution's scale with the arithmetic written
// out in float64.
func TestFreezeAbsorbs(t *testing.T) {
	pool := Layer{Name: "pool", Op: MaxPool, Kernel: 2, Stride: 1}
	for _, tt := range []struct {
		name    string
		between []Layer
		filter  []int // of each of the batch norm's channels
		pooled  bool
	}{
		{"directly", nil, []int{0, 1}, false},
		{"tile", []Layer{{Name: "tile", Op: Tile, Factor: 3}}, []int{0, 1, 0, 1, 0, 1}, false},
		{"interleaved tile", []Layer{{Name: "tile", Op: Tile, Factor: 3, Interleave: true}}, []int{0, 0, 0, 1, 1, 1}, false},
		{"two tiles", []Layer{{Name: "a", Op: Tile, Factor: 2, Interleave: true}, {Name: "b", Op: Tile, Factor: 2}},
			[]int{0, 0, 1, 1, 0, 0, 1, 1}, false},
		{"maxpool", []Layer{pool}, []int{0, 1}, true},
		{"maxpool, tile", []Layer{pool, {Name: "tile", Op: Tile, Factor: 2}}, []int{0, 1, 0, 1}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, w := convThenBatchNorm(tt.between...), bnWeights(len(tt.filter))
			f, err := Freeze(n, w)
			if err != nil {
				t.Fatal(err)
			}
			if f.Nodes[0].Scale != nil {
				t.Errorf("the convolution kept its scale %v", f.Nodes[0].Scale)
			}
			x := []float32{1, -1, 2, -3, 4, 0, 0.5, -0.5, -1, 2, 2, -2}
			got, err := f.Forward(x)
			if err != nil {
				t.Fatal(err)
			}
			// y is alpha·conv, [4,2].
			y := make([]float64, 8)
			for p := range 4 {
				for k := range 2 {
					filter := w["conv.weight"][k*3 : k*3+3]
					mean := (float64(filter[0]) + float64(filter[1]) + float64(filter[2])) / 3
					for c, v := range filter {
						y[p*2+k] += float64(w["conv.alpha"][k] * sign(float64(v)-mean) * sign(x[p*3+c]))
					}
				}
			}
			if tt.pooled {
				y = []float64{max(y[0], y[2], y[4], y[6]), max(y[1], y[3], y[5], y[7])}
			}
			var want []float32
			for p := range len(y) / 2 {
				for c, k := range tt.filter {
					norm := (y[p*2+k] - float64(w["bn.running_mean"][c])) / math.Sqrt(float64(w["bn.running_var"][c])+1e-5)
					want = append(want, float32(norm*float64(w["bn.weight"][c])+float64(w["bn.bias"][c])))
				}
			}
			if !nearly(got, want, 1e-5) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestFreezeKeepsScale(t *testing.T) {
	for _, tt := range []struct {
		name string
		net  *Net
	}{
		{"average pool between", convThenBatchNorm(Layer{Name: "pool", Op: AvgPool, Kernel: 2, Stride: 2})},
		{"two consumers", one(Shape{2, 2, 3},
			convThenBatchNorm().Layers[0],
			Layer{Name: "bn", Op: BatchNorm},
			Layer{Name: "add", Op: Add, Inputs: []string{"conv", "bn"}})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Freeze(tt.net, bnWeights(2))
			if err != nil {
				t.Fatal(err)
			}
			if want := []float32{0.3, -0.7}; !slices.Equal(f.Nodes[0].Scale, want) {
				t.Errorf("scale %v, want %v", f.Nodes[0].Scale, want)
			}
		})
	}
}

func TestFreezeCopies(t *testing.T) {
	n := one(Shape{1, 1, 2}, Layer{Name: "fc", Op: Linear, Out: 1})
	w := Weights{"fc.weight": {1, 2}, "fc.bias": {3}}
	f, err := Freeze(n, w)
	if err != nil {
		t.Fatal(err)
	}
	w["fc.weight"][0], w["fc.bias"][0] = 100, 100
	if y, _ := f.Forward([]float32{1, 1}); y[0] != 6 {
		t.Errorf("got %v after the weights changed, want 6", y)
	}
}

func TestFreezeErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(Weights)
		want string
	}{
		{"missing", func(w Weights) { delete(w, "conv.alpha") }, `needs the tensor "conv.alpha", which is missing`},
		{"size", func(w Weights) { w["bn.bias"] = w["bn.bias"][:1] }, `tensor "bn.bias" has 1 elements`},
		{"extra", func(w Weights) { w["x"] = nil }, `tensor "x" does not belong`},
		{"NaN", func(w Weights) { w["conv.weight"][4] = float32(math.NaN()) }, `tensor "conv.weight": element 4 is NaN`},
		{"variance", func(w Weights) { w["bn.running_var"][1] = -1 }, `tensor "bn.running_var": element 1 is -1`},
		{"overflow", func(w Weights) { w["bn.weight"][0], w["bn.running_var"][0] = math.MaxFloat32, 0 }, `layer "bn": scale of channel 0 is`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := bnWeights(2)
			tt.edit(w)
			if _, err := Freeze(convThenBatchNorm(), w); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}
