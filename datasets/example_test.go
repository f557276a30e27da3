package datasets_test

import (
	"context"
	"fmt"
	"io"

	"github.com/bnntool/bnntool/datasets"
)

// An epoch of the digits, shuffled and shifted by up to one pixel.
func Example() {
	ctx := context.Background()
	d, err := datasets.Open(ctx, datasets.Config{Name: datasets.Digits}, datasets.Options{})
	if err != nil {
		panic(err)
	}
	loader := datasets.NewLoader(d.Train, d.Preprocess, datasets.LoaderConfig{
		Batch: 100, Seed: 1, Shuffle: true, Augment: datasets.Augment{PadCrop: 1},
	})
	stream := loader.Epoch(ctx, 0, 0)
	defer stream.Close()
	pictures := 0
	for {
		batch, err := stream.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
		pictures += batch.N
	}
	fmt.Println(pictures, "pictures in", loader.Batches(), "batches of", len(d.Classes), "classes")
	// Output: 1437 pictures in 15 batches of 10 classes
}
