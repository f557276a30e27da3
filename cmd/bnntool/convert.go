//go:build !device

package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/bnntool/bnntool/convert"
	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/urfave/cli/v2"
)

// verifyImages is how many images of each kind a conversion is compared on by default.
const verifyImages = 4

func (e *env) convertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "make an artifact for the device from a checkpoint, the program's own or PyTorch's, and verify it; or a store of experts from a folder of the hub",
		ArgsUsage: "CKPT|HUBDIR",
		Flags: append(append(append(dataFlags(), originFlags()...), hubFlags()...),
			&cli.StringFlag{Name: "o", Aliases: []string{"output"}, Usage: "the artifact to write"},
			&cli.StringFlag{Name: "leftovers", Value: string(convert.Auto),
				Usage: "bits of scales, biases and float layers: float32 (exact), 16, 8, or auto: as few as change the accuracy on --data by at most 0.1 points"},
			&cli.BoolFlag{Name: "strict", Usage: "fail where a layer could be binary and is not, or leftovers need more bits than asked for"},
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
	case !slices.Contains([]convert.Leftovers{convert.Float32, convert.Half, convert.Byte, convert.Auto}, convert.Leftovers(c.String("leftovers"))):
		return usagef("--leftovers is %q, want %s, %s, %s or %s", c.String("leftovers"), convert.Float32, convert.Half, convert.Byte, convert.Auto)
	}
	path := c.Args().First()
	if isHub(path) {
		return e.convertHub(c, path)
	}
	if err := hubOnly(c); err != nil {
		return err
	}
	ck, err := loadCheckpoint(path, originOf(c))
	if err != nil {
		return err
	}
	o := convert.Options{RandomImages: c.Int("images"), Leftovers: convert.Leftovers(c.String("leftovers")), Strict: c.Bool("strict")}
	if c.String("data") != "" || ck.Dataset == datasets.Digits {
		data, err := e.openVerification(c, ck, &o)
		if err != nil {
			return err
		}
		defer data.Close()
	}
	r, err := e.lower(c.Context, ck, path, c.String("o"), o)
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
	fmt.Fprintf(e.stdout, "artifact=%s bytes=%d checkpoint_bytes=%d max_diff=%g", value(c.String("o")), r.ArtifactBytes, info.Size(), r.MaxDiff)
	if a := r.Accuracy; a != nil {
		fmt.Fprintf(e.stdout, " top1=%.2f top1_diff=%+.2f", 100*float64(a.Reduced)/float64(a.Images), a.Diff())
	}
	fmt.Fprintln(e.stdout)
	return nil
}

// openVerification opens the data set of ck and puts into o what a conversion is verified on.
func (e *env) openVerification(c *cli.Context, ck *checkpoint.Checkpoint, o *convert.Options) (*datasets.Dataset, error) {
	config := datasets.Config{Name: ck.Dataset}
	if ck.Dataset == datasets.ImageFolder {
		config.Size = ck.Preprocess.H
	}
	data, err := e.openData(c.Context, c, config)
	if err != nil {
		return nil, err
	}
	if o.Images, err = firstImages(data, ck, c.Int("images")); err == nil && !slices.Equal(data.Classes, ck.Classes) {
		err = fmt.Errorf("the network was trained on other data: it knows %s, the data has %s", classList(ck.Classes), classList(data.Classes))
	}
	if err != nil {
		data.Close()
		return nil, err
	}
	bar := e.newBar("images")
	if c.Bool("quiet") {
		bar = nil
	}
	o.Score = func(ctx context.Context, engine *runtime.Engine) (correct, images int, err error) {
		defer bar.clear()
		tally, err := engineClassifier(engine).score(ctx, data.Test, nil, func(done int) {
			bar.update("measuring", "", int64(done), int64(data.Test.Len()))
		})
		return tally.Best, tally.Images, err
	}
	return data, nil
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
