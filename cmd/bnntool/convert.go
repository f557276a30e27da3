//go:build !device

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/bnntool/bnntool/convert"
	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/urfave/cli/v2"
)

// verifyImages is how many images of each kind a conversion is compared on by default.
const verifyImages = 4

func (e *env) convertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "make an artifact for the device from a checkpoint, and verify it",
		ArgsUsage: "CKPT",
		Flags: append(dataFlags(),
			&cli.StringFlag{Name: "o", Aliases: []string{"output"}, Usage: "the artifact to write"},
			&cli.IntFlag{Name: "images", Value: verifyImages, Usage: "compare on N random images, and with --data on the first N test images too"},
			&cli.BoolFlag{Name: "quiet", Usage: "print the closing line only"},
		),
		Action: e.convert,
	}
}

func (e *env) convert(c *cli.Context) error {
	switch {
	case c.NArg() != 1:
		return usagef("convert takes one checkpoint, got %d arguments", c.NArg())
	case c.String("o") == "":
		return usagef("convert needs -o, the artifact to write")
	case c.Int("images") < 1:
		return usagef("--images is %d, want 1 or more", c.Int("images"))
	}
	path := c.Args().First()
	ck, err := checkpoint.Load(path)
	if err != nil {
		return err
	}
	var real [][]float32
	if c.String("data") != "" || ck.Dataset == datasets.Digits {
		config := datasets.Config{Name: ck.Dataset}
		if ck.Dataset == datasets.ImageFolder {
			config.Size = ck.Preprocess.H
		}
		data, err := e.openData(c.Context, c, config)
		if err != nil {
			return err
		}
		defer data.Close()
		if real, err = firstImages(data, ck, c.Int("images")); err != nil {
			return err
		}
	}
	r, err := e.lower(c.Context, ck, path, c.String("o"), convert.Options{RandomImages: c.Int("images"), Images: real})
	if err != nil {
		return err
	}
	if !c.Bool("quiet") {
		if _, err := r.WriteTo(e.stdout); err != nil {
			return err
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "artifact=%s bytes=%d checkpoint_bytes=%d max_diff=%g\n", value(c.String("o")), r.ArtifactBytes, info.Size(), r.MaxDiff)
	return nil
}

// lower converts a checkpoint, which lies at from, to out.
func (e *env) lower(ctx context.Context, ck *checkpoint.Checkpoint, from, out string, o convert.Options) (*convert.Report, error) {
	if a, err := os.Stat(from); err == nil {
		if b, err := os.Stat(out); err == nil && os.SameFile(a, b) {
			return nil, fmt.Errorf("%s is the checkpoint itself: name another file for the artifact", out)
		}
	}
	return convert.Convert(ctx, ck, out, o)
}

// firstImages returns the first n test images of data, normalised for the network of ck.
func firstImages(data *datasets.Dataset, ck *checkpoint.Checkpoint, n int) ([][]float32, error) {
	if h, w, c := data.Test.Shape(); h != ck.Preprocess.H || w != ck.Preprocess.W || c != ck.Preprocess.C {
		return nil, fmt.Errorf("the data has images of %dx%dx%d, the network takes %v", h, w, c, ck.Net.Input)
	}
	images := make([][]float32, min(n, data.Test.Len()))
	pixels := make([]byte, ck.Preprocess.Len())
	for i := range images {
		if err := data.Test.Pixels(i, pixels); err != nil {
			return nil, err
		}
		images[i] = make([]float32, len(pixels))
		ck.Preprocess.Normalize(images[i], pixels)
	}
	return images, nil
}
