package train_test

import (
	"context"
	"fmt"
	"os"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/train"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// Two epochs of a small ReCU network on the embedded digits.
func Example() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	data, err := datasets.Open(context.Background(), datasets.Config{Name: datasets.Digits, LimitTrain: 128, LimitTest: 32}, datasets.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	net, err := model.New("recu-resnet20", model.Options{Input: model.Shape{H: 8, W: 8, C: 1}, Width: 8, Blocks: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := train.Train(context.Background(), train.Options{
		Net:        net,
		Config:     train.Config{Epochs: 2, Batch: 32, Seed: 1, LR: 0.1, Momentum: 0.9}.WithDefaults(),
		Data:       data,
		Preprocess: data.Preprocess,
		Dir:        dir,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	last, err := checkpoint.Load(result.Last)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Epochs, "epochs,", last.State.SolverStep, "steps")
	// Output: 2 epochs, 8 steps
}
