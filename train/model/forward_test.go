package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// one returns a network of layers on an input, all with beta 1.
func one(input Shape, layers ...Layer) *Net {
	return &Net{Name: "test", Beta: 1, Input: input, Layers: layers}
}

func mustForward(t *testing.T, n *Net, w Weights, x []float32) []float32 {
	t.Helper()
	f, err := Freeze(n, w)
	if err != nil {
		t.Fatalf("Freeze: %v", err)
	}
	y, err := f.Forward(x)
	if err != nil {
		t.Fatalf("Forward: %v", err)
	}
	return y
}

func TestForwardOps(t *testing.T) {
	ramp := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i + 1)
		}
		return v
	}
	root := float32(math.Sqrt(4 + 1e-5))
	for _, tt := range []struct {
		name  string
		input Shape
		layer Layer
		w     Weights
		x     []float32
		want  []float32
	}{
		{"conv zero padding", Shape{2, 2, 1}, Layer{Op: Conv, Out: 1, Kernel: 3, Stride: 1, Pad: 1},
			Weights{"l.weight": ramp(9)}, []float32{1, 2, 3, 4},
			[]float32{5 + 12 + 24 + 36, 4 + 10 + 21 + 32, 2 + 6 + 15 + 24, 1 + 4 + 12 + 20}},
		{"conv stride", Shape{3, 3, 1}, Layer{Op: Conv, Out: 1, Kernel: 1, Stride: 2},
			Weights{"l.weight": {2}}, ramp(9), []float32{2, 6, 14, 18}},
		{"conv groups", Shape{1, 1, 4}, Layer{Op: Conv, Out: 2, Kernel: 1, Stride: 1, Groups: 2},
			Weights{"l.weight": {1, 10, 100, 1000}}, ramp(4), []float32{21, 4300}},
		{"conv 1-bit", Shape{1, 2, 3}, Layer{Op: Conv, Out: 1, Kernel: 1, Stride: 1, WeightQuant: ReCUWeight, InputQuant: ReCUInput},
			Weights{"l.weight": {5, 1, 3}}, []float32{0, -1, 2, -3, 0.5, -2}, []float32{3, -3}},
		{"conv 1-bit border", Shape{1, 2, 1}, Layer{Op: Conv, Out: 1, Kernel: 3, Stride: 1, Pad: 1, WeightQuant: ScaledSignWeight, InputQuant: ApproxSignInput},
			Weights{"l.weight": {1, 1, 1, 1, 1, -1, 1, 1, 1}}, []float32{2, -2}, []float32{2, 0}},
		{"conv alpha", Shape{1, 1, 1}, Layer{Op: Conv, Out: 2, Kernel: 1, Stride: 1, Alpha: true},
			Weights{"l.weight": {3, -3}, "l.alpha": {0.5, -2}}, []float32{2}, []float32{3, 12}},
		{"conv scaled sign", Shape{1, 1, 2}, Layer{Op: Conv, Out: 1, Kernel: 1, Stride: 1, WeightQuant: ScaledSignWeight},
			Weights{"l.weight": {-0.25, 0.75}}, []float32{3, 8}, []float32{2.5}},
		{"linear", Shape{1, 1, 2}, Layer{Op: Linear, Out: 2},
			Weights{"l.weight": {1, 2, 3, 4}, "l.bias": {10, 20}}, []float32{5, 6}, []float32{27, 59}},
		{"batchnorm", Shape{1, 2, 2}, Layer{Op: BatchNorm},
			Weights{"l.weight": {1, -2}, "l.bias": {0, 7}, "l.running_mean": {1, 3}, "l.running_var": {4, 4}}, []float32{1, 3, 5, 5},
			[]float32{0, 7, 4 / root, 7 - 4/root}},
		{"hardtanh", Shape{1, 1, 5}, Layer{Op: Hardtanh}, nil, []float32{-2, -1, 0.25, 1, 9}, []float32{-1, -1, 0.25, 1, 1}},
		{"bias", Shape{1, 2, 2}, Layer{Op: Bias}, Weights{"l.bias": {10, 20}}, ramp(4), []float32{11, 22, 13, 24}},
		{"prelu", Shape{1, 2, 2}, Layer{Op: PReLU}, Weights{"l.weight": {0.5, -1}}, []float32{-2, -3, 4, 0}, []float32{-1, 3, 4, 0}},
		{"add", Shape{1, 1, 2}, Layer{Op: Add, Inputs: []string{ImageInput, ImageInput}}, nil, ramp(2), []float32{2, 4}},
		{"concat", Shape{1, 2, 2}, Layer{Op: Concat, Inputs: []string{ImageInput, ImageInput}}, nil, ramp(4), []float32{1, 2, 1, 2, 3, 4, 3, 4}},
		{"tile", Shape{1, 2, 2}, Layer{Op: Tile, Factor: 2}, nil, ramp(4), []float32{1, 2, 1, 2, 3, 4, 3, 4}},
		{"tile interleaved", Shape{1, 2, 2}, Layer{Op: Tile, Factor: 2, Interleave: true}, nil, ramp(4), []float32{1, 1, 2, 2, 3, 3, 4, 4}},
		{"padchannels", Shape{1, 2, 1}, Layer{Op: PadChannels, Out: 3}, nil, ramp(2), []float32{0, 1, 0, 0, 2, 0}},
		{"takechannels", Shape{1, 2, 3}, Layer{Op: TakeChannels, Out: 2}, nil, ramp(6), []float32{1, 2, 4, 5}},
		{"avgpool", Shape{2, 3, 1}, Layer{Op: AvgPool, Kernel: 2, Stride: 1}, nil, ramp(6), []float32{3, 4}},
		{"maxpool", Shape{2, 2, 2}, Layer{Op: MaxPool, Kernel: 2, Stride: 2}, nil, []float32{-1, -5, -2, -6, -3, -7, -4, -8}, []float32{-1, -5}},
		{"globalavgpool", Shape{2, 2, 2}, Layer{Op: GlobalAvgPool}, nil, ramp(8), []float32{4, 5}},
		{"flatten", Shape{2, 1, 3}, Layer{Op: Flatten}, nil, ramp(6), []float32{1, 4, 2, 5, 3, 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.layer.Name = "l"
			got := mustForward(t, one(tt.input, tt.layer), tt.w, tt.x)
			if !nearly(got, tt.want, 1e-6) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func nearly(got, want []float32, tol float64) bool {
	return slices.EqualFunc(got, want, func(a, b float32) bool { return math.Abs(float64(a-b)) <= tol*max(1, math.Abs(float64(b))) })
}

func TestTraceVisitsEveryLayer(t *testing.T) {
	n := one(Shape{1, 1, 2}, Layer{Name: "a", Op: Hardtanh}, Layer{Name: "b", Op: Tile, Factor: 2})
	f, err := Freeze(n, Weights{})
	if err != nil {
		t.Fatal(err)
	}
	var outs [][]float32
	err = f.Trace([]float32{3, -0.5}, func(layer int, out []float32) {
		if layer != len(outs) {
			t.Errorf("visited layer %d, want %d", layer, len(outs))
		}
		outs = append(outs, out)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := [][]float32{{1, -0.5}, {1, -0.5, 1, -0.5}}; len(outs) != 2 || !slices.Equal(outs[0], want[0]) || !slices.Equal(outs[1], want[1]) {
		t.Errorf("got %v, want %v", outs, want)
	}
	if _, err := f.Forward(make([]float32, 3)); err == nil || !strings.Contains(err.Error(), "3 elements, want 1x1x2 (2)") {
		t.Errorf("image of another size: %v", err)
	}
}
