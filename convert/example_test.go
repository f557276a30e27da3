package convert_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bnntool/bnntool/convert"
	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// Example converts a network that has only just been initialised.
func Example() {
	net, err := model.New("recu-vggsmall", model.Options{Input: model.Shape{H: 8, W: 8, C: 1}, Width: 16, Classes: 2})
	if err != nil {
		panic(err)
	}
	weights, err := net.InitWeights(1)
	if err != nil {
		panic(err)
	}
	ck := &checkpoint.Checkpoint{
		Net: net, Weights: weights, Classes: []string{"cat", "dog"},
		Preprocess: preprocess.Config{H: 8, W: 8, C: 1, Mean: []float32{0.5}, Std: []float32{0.25}},
	}
	dir, err := os.MkdirTemp("", "convert")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	report, err := convert.Convert(context.Background(), ck, filepath.Join(dir, "model.bnn"), convert.Options{})
	if err != nil {
		panic(err)
	}
	binary := 0
	for _, l := range report.Layers {
		if l.Binary {
			binary++
		}
	}
	fmt.Printf("%d of %d layers are binary, largest difference %g\n", binary, len(report.Layers), report.MaxDiff)
	// Output: 12 of 23 layers are binary, largest difference 0
}
