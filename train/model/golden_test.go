package model_test

import (
	"testing"

	"github.com/bnntool/bnntool/internal/golden"
	"github.com/bnntool/bnntool/train/model"
)

// TestGoldenNets compares the oracle with the reference implementation's networks in evaluation.
func TestGoldenNets(t *testing.T) {
	golden.Each(t, "net_*.safetensors", func(t *testing.T, f *golden.File) { compareEval(t, f, golden.NetTol) })
}

// TestGoldenBlocks compares the oracle with the reference implementation's blocks in evaluation.
func TestGoldenBlocks(t *testing.T) {
	golden.Each(t, "block_*.safetensors", func(t *testing.T, f *golden.File) { compareEval(t, f, golden.BlockTol) })
}

// compareEval compares the outputs with the weights at the start, and where the file has them, with those after five
// updates.
func compareEval(t *testing.T, f *golden.File, tol float64) {
	for _, set := range []struct{ out, params, buffers string }{
		{"out.eval_init", "param.", "buffer."},
		{"out.eval_after5", "param_after5.", "buffer_after5."},
	} {
		if len(f.With(set.params)) == 0 && set.out != "out.eval_init" {
			continue
		}
		n := f.Net(t)
		frozen, err := model.Freeze(n, f.With(set.params, set.buffers))
		if err != nil {
			t.Fatal(err)
		}
		images := f.NHWC(t, "input")
		size := n.Input.Len()
		var got []float32
		for i := range len(images) / size {
			y, err := frozen.Forward(images[i*size : (i+1)*size])
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, y...)
		}
		out := frozen.Nodes[len(frozen.Nodes)-1].Shape
		f.Compare(t, set.out, golden.ToNCHW(got, len(images)/size, out.C, out.H, out.W), tol)
	}
}
