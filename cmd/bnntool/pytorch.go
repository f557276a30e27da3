//go:build !device

package main

import (
	"fmt"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/urfave/cli/v2"
)

// originFlags are the flags of commands that take a PyTorch checkpoint: what it does not say.
func originFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "network", Usage: "of a PyTorch checkpoint: the network (default: the one that has its tensors)"},
		&cli.StringFlag{Name: "dataset", Usage: "of a PyTorch checkpoint: the data set (default: " + datasets.CIFAR10 + ")"},
	}
}

func originOf(c *cli.Context) origin {
	return origin{network: c.String("network"), dataset: c.String("dataset")}
}

// isPyTorch reports whether the file at path is a PyTorch checkpoint.
func isPyTorch(path string) (bool, error) { return checkpoint.IsPyTorch(path) }

// loadCheckpoint loads a checkpoint, the program's own or PyTorch's.
func loadCheckpoint(path string, from origin) (*checkpoint.Checkpoint, error) {
	is, err := isPyTorch(path)
	if err != nil {
		return nil, err
	}
	if !is {
		if from != (origin{}) {
			return nil, usagef("%s is a checkpoint of this program: --network and --dataset do not go with it", path)
		}
		return checkpoint.Load(path)
	}
	if from.dataset == "" {
		from.dataset = datasets.CIFAR10
	}
	classes, preprocess, ok := datasets.Describe(from.dataset)
	if !ok {
		return nil, fmt.Errorf("--dataset is %q, want %s, %s or %s", from.dataset, datasets.CIFAR10, datasets.CIFAR100, datasets.Digits)
	}
	return checkpoint.Import(path, checkpoint.ImportConfig{Network: from.network, Preprocess: preprocess, Classes: classes, Dataset: from.dataset})
}
