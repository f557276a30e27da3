package checkpoint_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

func Example() {
	dir, err := os.MkdirTemp("", "checkpoint")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "last.safetensors")
	err = checkpoint.Save(path, &checkpoint.Checkpoint{
		Net: &model.Net{Name: "one-layer", Beta: 1, Input: model.Shape{H: 1, W: 1, C: 1},
			Layers: []model.Layer{{Name: "fc", Op: model.Linear, Out: 2}}},
		Weights:    model.Weights{"fc.weight": {1, -1}, "fc.bias": {0, 0.5}},
		Preprocess: preprocess.Config{H: 1, W: 1, C: 1, Mean: []float32{0.5}, Std: []float32{0.5}},
		Classes:    []string{"bright", "dark"},
		State:      checkpoint.TrainState{Epoch: 3, Seed: 1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := checkpoint.Load(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Net.Name, c.Weights["fc.weight"], "after epoch", c.State.Epoch)
	// Output: one-layer [1 -1] after epoch 3
}
