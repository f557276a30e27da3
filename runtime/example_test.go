package runtime_test

import (
	"context"
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// Example classifies a picture with an artifact.
func Example() {
	dir, err := os.MkdirTemp("", "runtime")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.bnn")
	if err := artifact.Write(path, colours()); err != nil { // in place of "bnntool convert"
		panic(err)
	}

	engine, err := runtime.Open(path, runtime.Options{})
	if err != nil {
		panic(err)
	}
	picture := plain(640, 480, color.RGBA{R: 30, G: 60, B: 200, A: 255})
	predictions, err := engine.Classify(context.Background(), picture, 2)
	if err != nil {
		panic(err)
	}
	for _, p := range predictions {
		fmt.Printf("%-5s %.1f%%\n", p.Name, 100*p.Probability)
	}
	// Output:
	// blue  99.5%
	// green 0.4%
}

// ExampleEngine_Infer computes the logits of two normalised images at once.
func ExampleEngine_Infer() {
	engine, err := runtime.New(colours(), runtime.Options{Threads: 2})
	if err != nil {
		panic(err)
	}
	images := make([]float32, 2*4*4*3)
	for i := range 4 * 4 {
		images[3*i] = 1      // the first is red
		images[48+3*i+1] = 1 // the second green
	}
	logits := make([]float32, 2*3)
	if err := engine.Infer(context.Background(), logits, images); err != nil {
		panic(err)
	}
	fmt.Println(logits)
	// Output: [10 0 0 0 10 0]
}
