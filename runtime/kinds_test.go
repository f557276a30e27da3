package runtime_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"testing"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// TestKinds runs each kind alone on numbers that can be followed by hand. The image is [2,2,1] or [1,1,3]; a value that
// is not flat is read by Trace.
func TestKinds(t *testing.T) {
	square, pixel := []float32{1, -2, 3, -4}, []float32{0.5, -1.5, 4}
	negativeZero := float32(math.Copysign(0, -1))
	ops := func(list ...artifact.Op) []artifact.Op { return list }
	bin := artifact.Op{Kind: artifact.BinConv, Out: 1, Kernel: 1, Stride: 1, Weights: "plus"}
	plus := artifact.Bits([]int{1, 1, 1, 1}, []uint64{0})
	for _, tt := range []struct {
		name    string
		image   []float32
		ops     []artifact.Op // each takes the one before; the last one's value is want
		tensors map[string]artifact.Tensor
		want    []float32
	}{
		{"conv at the border", square, ops(artifact.Op{Kind: artifact.Conv, Out: 1, Kernel: 3, Stride: 2, Pad: 1, Weights: "w", Scale: "s"}),
			map[string]artifact.Tensor{"w": artifact.F32([]int{1, 1, 3, 3}, []float32{9, 9, 9, 9, 1, 2, 9, 3, 4}), "s": artifact.F32([]int{1}, []float32{10})},
			[]float32{10 * (1 - 2*2 + 3*3 - 4*4)}},
		{"binconv at the border", square, ops(artifact.Op{Kind: artifact.BinConv, Out: 2, Kernel: 3, Stride: 1, Pad: 1, Weights: "w"}),
			// All weights +1, then -1: four taps fall on the image wherever the window is.
			map[string]artifact.Tensor{"w": artifact.Bits([]int{2, 1, 3, 3}, append(make([]uint64, 9), 1, 1, 1, 1, 1, 1, 1, 1, 1))},
			[]float32{0, 0, 0, 0, 0, 0, 0, 0}},
		{"binconv in groups", pixel, ops(artifact.Op{Kind: artifact.BinConv, Out: 3, Groups: 3, Kernel: 1, Stride: 1, Weights: "w"}),
			map[string]artifact.Tensor{"w": artifact.Bits([]int{3, 1, 1, 1}, []uint64{0, 0, 1})}, []float32{1, -1, -1}},
		{"threshold", square, ops(bin, artifact.Op{Kind: artifact.Threshold, Factor: 4, Threshold: "t", Flip: "f"}),
			// Below 0; not below 0; never below; and its flip.
			map[string]artifact.Tensor{"plus": plus, "t": artifact.I32([]int{4}, []int32{0, 0, artifact.NeverBelow, artifact.NeverBelow}),
				"f": artifact.Bits([]int{4}, []uint64{0b1010})},
			[]float32{1, -1, 1, -1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, 1, -1}},
		{"threshold at its edge", pixel, ops(artifact.Op{Kind: artifact.BinConv, Out: 1, Kernel: 1, Stride: 1, Weights: "w"},
			artifact.Op{Kind: artifact.Threshold, Factor: 3, Threshold: "t"}),
			// The sum is 1.
			map[string]artifact.Tensor{"w": artifact.Bits([]int{1, 3, 1, 1}, []uint64{0}), "t": artifact.I32([]int{3}, []int32{1, 2, 0})},
			[]float32{1, -1, 1}},
		{"affine of counts", square, ops(bin, artifact.Op{Kind: artifact.Affine, Factor: 2, Scale: "s", Bias: "b"}),
			map[string]artifact.Tensor{"plus": plus, "s": artifact.F32([]int{2}, []float32{2, 3}), "b": artifact.F32([]int{2}, []float32{0, 1})},
			[]float32{2, 4, -2, -2, 2, 4, -2, -2}},
		{"affine without tensors", pixel, ops(artifact.Op{Kind: artifact.Affine}), nil, pixel},
		{"affine without tensors keeps -0", []float32{negativeZero, 0, 1}, ops(artifact.Op{Kind: artifact.Affine}), nil, []float32{negativeZero, 0, 1}},
		{"affine, interleaved", pixel, ops(artifact.Op{Kind: artifact.Affine, Factor: 2, Interleave: true, Bias: "b"}),
			map[string]artifact.Tensor{"b": artifact.F32([]int{6}, []float32{0, 1, 0, 1, 0, 1})}, []float32{0.5, 1.5, -1.5, -0.5, 4, 5}},
		{"tile", pixel, ops(artifact.Op{Kind: artifact.Tile, Factor: 2}), nil, []float32{0.5, -1.5, 4, 0.5, -1.5, 4}},
		{"tile, interleaved", pixel, ops(artifact.Op{Kind: artifact.Tile, Factor: 2, Interleave: true}), nil, []float32{0.5, 0.5, -1.5, -1.5, 4, 4}},
		{"hardtanh", pixel, ops(artifact.Op{Kind: artifact.Hardtanh}), nil, []float32{0.5, -1, 1}},
		{"prelu", pixel, ops(artifact.Op{Kind: artifact.PReLU, Slope: "s"}),
			map[string]artifact.Tensor{"s": artifact.F32([]int{3}, []float32{7, 2, 7})}, []float32{0.5, -3, 4}},
		{"add", pixel, ops(artifact.Op{Kind: artifact.Add}), nil, []float32{1, -3, 8}},
		{"concat", pixel, ops(artifact.Op{Kind: artifact.Concat}), nil, []float32{0.5, -1.5, 4, 0.5, -1.5, 4}},
		{"padchannels", pixel, ops(artifact.Op{Kind: artifact.PadChannels, Out: 7}), nil, []float32{0, 0, 0.5, -1.5, 4, 0, 0}},
		{"takechannels", pixel, ops(artifact.Op{Kind: artifact.TakeChannels, Out: 2}), nil, []float32{0.5, -1.5}},
		{"avgpool", square, ops(artifact.Op{Kind: artifact.AvgPool, Kernel: 2, Stride: 1}), nil, []float32{-0.5}},
		{"globalavgpool", square, ops(artifact.Op{Kind: artifact.GlobalAvgPool}), nil, []float32{-0.5}},
		{"maxpool", square, ops(artifact.Op{Kind: artifact.MaxPool, Kernel: 2, Stride: 1}), nil, []float32{3}},
		{"maxpool of counts", square, ops(bin, artifact.Op{Kind: artifact.MaxPool, Kernel: 2, Stride: 1}), map[string]artifact.Tensor{"plus": plus}, []float32{1}},
		{"flatten", square, ops(artifact.Op{Kind: artifact.Tile, Factor: 2}, artifact.Op{Kind: artifact.Flatten}), nil, []float32{1, -2, 3, -4, 1, -2, 3, -4}},
		{"linear", pixel, ops(artifact.Op{Kind: artifact.Linear, Out: 2, Weights: "w", Bias: "b"}),
			map[string]artifact.Tensor{"w": artifact.F32([]int{2, 3}, []float32{1, 1, 1, 0, 2, 0}), "b": artifact.F32([]int{2}, []float32{0, 10})},
			[]float32{3, 7}},
	} {
		m := alone(tt.ops, tt.tensors, len(tt.image) == len(square))
		e, err := runtime.New(m, runtime.Options{Threads: 1})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		seen := false
		err = e.Trace(context.Background(), tt.image, func(v runtime.Traced) error {
			if v.Op != "last" {
				return nil
			}
			seen = true
			if len(v.Values) != len(tt.want) {
				t.Fatalf("%s: got %v, want %v", tt.name, v.Values, tt.want)
			}
			for i, got := range v.Values {
				if math.Float32bits(got) != math.Float32bits(tt.want[i]) {
					t.Errorf("%s: got %v, want %v", tt.name, v.Values, tt.want)
					break
				}
			}
			return nil
		})
		if err != nil || !seen {
			t.Errorf("%s: error %v, value seen: %v", tt.name, err, seen)
		}
	}
}

// alone returns a model of ops in a chain, the last one named "last", over an image [2,2,1] or [1,1,3]. What makes
// flat float logits of its value follows.
func alone(ops []artifact.Op, tensors map[string]artifact.Tensor, square bool) *artifact.Model {
	m := &artifact.Model{Name: "alone", Input: [3]int{1, 1, 3}, Tensors: map[string]artifact.Tensor{}}
	if square {
		m.Input = [3]int{2, 2, 1}
	}
	h, w, c := m.Input[0], m.Input[1], m.Input[2]
	m.Preprocess = preprocess.Config{H: h, W: w, C: c, Mean: make([]float32, c), Std: fill(c, func() float32 { return 1 })}
	maps.Copy(m.Tensors, tensors)
	add := func(op artifact.Op) {
		from := artifact.ImageInput
		if n := len(m.Ops); n > 0 {
			from = m.Ops[n-1].Name
		}
		op.Inputs = []string{from}
		if op.Kind == artifact.Add || op.Kind == artifact.Concat {
			op.Inputs = []string{from, from}
		}
		m.Ops = append(m.Ops, op)
	}
	kind := artifact.FloatValue
	for i, op := range ops {
		if op.Name = fmt.Sprint("op", i); i == len(ops)-1 {
			op.Name = "last"
		}
		add(op)
		switch op.Kind {
		case artifact.BinConv:
			kind = artifact.CountsValue
		case artifact.Threshold:
			kind = artifact.BitsValue
		case artifact.MaxPool:
		default:
			kind = artifact.FloatValue
		}
	}
	if kind == artifact.BitsValue {
		n := len(m.Tensors["t"].Int32)
		m.Tensors["user"] = artifact.Bits([]int{1, n, 1, 1}, []uint64{0})
		add(artifact.Op{Name: "user", Kind: artifact.BinConv, Out: 1, Kernel: 1, Stride: 1, Weights: "user"})
	}
	if kind != artifact.FloatValue {
		add(artifact.Op{Name: "floats", Kind: artifact.Affine})
	}
	add(artifact.Op{Name: "logits", Kind: artifact.Flatten})
	values, err := m.Resolve()
	if err != nil {
		panic(err)
	}
	for i := range values[len(values)-1].C {
		m.Classes = append(m.Classes, fmt.Sprint("class ", i))
	}
	return m
}
