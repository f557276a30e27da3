package runtime_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// Example classifies the picture in a file with the artifact in another.
func Example() {
	model, picture := files()
	defer os.RemoveAll(filepath.Dir(model))

	engine, err := runtime.Open(model, runtime.Options{})
	check(err)
	f, err := os.Open(picture)
	check(err)
	img, _, err := image.Decode(f)
	check(err)
	best, err := engine.Classify(context.Background(), img, 2)
	check(err)
	fmt.Printf("%s %.1f%%, %s %.1f%%\n", best[0].Name, 100*best[0].Probability, best[1].Name, 100*best[1].Probability)
	// Output: blue 99.5%, green 0.4%
}

// files makes what "bnntool convert" and a camera make elsewhere.
func files() (model, picture string) {
	dir, err := os.MkdirTemp("", "runtime")
	check(err)
	model, picture = filepath.Join(dir, "model.bnn"), filepath.Join(dir, "picture.png")
	check(artifact.Write(model, colours()))
	f, err := os.Create(picture)
	check(err)
	check(png.Encode(f, plain(640, 480, color.RGBA{R: 30, G: 60, B: 200, A: 255})))
	check(f.Close())
	return model, picture
}

func check(err error) {
	if err != nil {
		panic(err)
	}
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
