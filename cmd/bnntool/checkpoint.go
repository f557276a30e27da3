//go:build !device

package main

import (
	"context"
	"fmt"
	goruntime "runtime"

	"github.com/bnntool/bnntool/train"
)

// openCheckpoint opens a checkpoint to be computed by the training's evaluation graph.
func openCheckpoint(path string, threads int, from origin) (*classifier, error) {
	ck, err := loadCheckpoint(path, from)
	if err != nil {
		return nil, err
	}
	if threads == 0 {
		threads = goruntime.GOMAXPROCS(0)
	}
	ev, err := train.NewEvaluator(ck.Net, ck.Weights, evalBatch, threads)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &classifier{engine: "gorgonia", dataset: ck.Dataset, classes: ck.Classes, preprocess: ck.Preprocess,
		logits: func(_ context.Context, images []float32) ([]float32, error) { return ev.Logits(images) },
		close:  func() { ev.Close() },
	}, nil
}
