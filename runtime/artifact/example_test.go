package artifact_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/runtime/artifact"
)

func Example() {
	dir, err := os.MkdirTemp("", "artifact")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.bnn")
	err = artifact.Write(path, &artifact.Model{
		Name: "one-pixel", Input: [3]int{1, 1, 1}, Classes: []string{"bright", "dark"},
		Preprocess: preprocess.Config{H: 1, W: 1, C: 1, Mean: []float32{0.5}, Std: []float32{0.5}},
		Ops: []artifact.Op{
			{Name: "conv", Kind: artifact.BinConv, Inputs: []string{artifact.ImageInput}, Out: 2, Kernel: 1, Stride: 1, Weights: "conv.weight"},
			{Name: "scale", Kind: artifact.Affine, Inputs: []string{"conv"}, Scale: "scale.weight"},
		},
		Tensors: map[string]artifact.Tensor{
			"conv.weight":  artifact.Bits([]int{2, 1, 1, 1}, []uint64{0, 1}), // +1 for bright, -1 for dark
			"scale.weight": artifact.F32([]int{2}, []float32{0.5, 0.5}),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := artifact.Read(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	values, err := m.Resolve()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range values {
		fmt.Printf("%s: %v %dx%dx%d\n", v.Name, v.Kind, v.H, v.W, v.C)
	}
	// Output:
	// image: float 1x1x1
	// conv: counts 1x1x2
	// scale: float 1x1x2
}
