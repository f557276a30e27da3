package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/internal/accuracy"
	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/runtime"
	"github.com/urfave/cli/v2"
)

// evalBatch is the number of images evaluated at a time.
const evalBatch = 64

// classifier is a trained network in either of its forms.
type classifier struct {
	engine     string // what computes it, for the closing line
	dataset    string
	classes    []string
	preprocess preprocess.Config
	// logits computes [n,classes] of normalised images [n,H,W,C]; n is at most evalBatch.
	logits func(ctx context.Context, images []float32) ([]float32, error)
	close  func()
}

func (e *env) evalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "accuracy of a checkpoint (through the training graph) or an artifact (through the runtime)",
		ArgsUsage: "FILE",
		Flags: append(append(dataFlags(), originFlags()...),
			&cli.StringFlag{Name: "split", Value: "test", Usage: "test or train"},
			&cli.IntFlag{Name: "limit", Usage: "evaluate only the first N images (default: all)"},
			&cli.IntFlag{Name: "threads", Usage: "threads that compute (default: one a core); the result does not depend on it"},
			&cli.StringFlag{Name: "logits", Usage: "write label, class and logits of every image to this CSV file"},
			&cli.BoolFlag{Name: "quiet", Usage: "print the closing line only"},
		),
		Action: e.eval,
	}
}

func (e *env) eval(c *cli.Context) error {
	switch {
	case c.NArg() != 1:
		return usagef("eval takes one checkpoint or artifact, got %d arguments", c.NArg())
	case c.String("split") != "test" && c.String("split") != "train":
		return usagef("--split is %q, want test or train", c.String("split"))
	case c.Int("limit") < 0 || c.Int("threads") < 0:
		return usagef("--limit and --threads must not be negative")
	}
	ctx, path := c.Context, c.Args().First()
	m, err := openClassifier(path, c.Int("threads"), originOf(c))
	if err != nil {
		return err
	}
	defer m.close()
	if m.dataset == "" {
		return fmt.Errorf("%s does not say which data set it was trained on", path)
	}
	data, err := e.openData(ctx, c, datasets.Config{Name: m.dataset, Size: m.size(), LimitTrain: c.Int("limit"), LimitTest: c.Int("limit")})
	if err != nil {
		return err
	}
	defer data.Close()
	if !slices.Equal(data.Classes, m.classes) {
		return fmt.Errorf("%s was trained on other data: it knows %s, the data has %s", path, classList(m.classes), classList(data.Classes))
	}
	split := data.Test
	if c.String("split") == "train" {
		split = data.Train
	}
	var table *logitsFile
	if name := c.String("logits"); name != "" {
		if table, err = createLogits(name, len(m.classes)); err != nil {
			return err
		}
		defer table.cleanup()
	}
	if !c.Bool("quiet") {
		fmt.Fprintf(e.stdout, "%s: %d %s images of %s\n", path, split.Len(), c.String("split"), m.dataset)
		for _, note := range data.Notes {
			fmt.Fprintf(e.stdout, "note: %s\n", note)
		}
	}
	bar := e.newBar("images")
	if c.Bool("quiet") {
		bar = nil
	}
	begin := time.Now()
	tally, err := m.score(ctx, split, table, func(done int) { bar.update("evaluating", "", int64(done), int64(split.Len())) })
	bar.clear()
	if err != nil {
		return err
	}
	if table != nil {
		if err := table.save(); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.stdout, "top1=%.2f top5=%.2f images=%d seconds=%.2f engine=%s\n", tally.Top1(), tally.Top5(), tally.Images,
		time.Since(begin).Seconds(), m.engine)
	return nil
}

// size is what datasets.Config wants of a picture's extent.
func (m *classifier) size() int {
	if m.dataset == datasets.ImageFolder {
		return m.preprocess.H
	}
	return 0
}

// score computes the logits of a split and counts. table, if not nil, gets them all.
func (m *classifier) score(ctx context.Context, split *datasets.Split, table *logitsFile, progress func(done int)) (accuracy.Tally, error) {
	var tally accuracy.Tally
	stream := datasets.NewLoader(split, m.preprocess, datasets.LoaderConfig{Batch: evalBatch}).Epoch(ctx, 0, 0)
	defer stream.Close()
	image, n := m.preprocess.Len(), len(m.classes)
	for {
		b, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return tally, err
		}
		logits, err := m.logits(ctx, b.Images[:b.N*image])
		if err != nil {
			return tally, err
		}
		for i := range b.N {
			row := logits[i*n : (i+1)*n]
			if table != nil {
				if err := table.add(tally.Images, int(b.Labels[i]), row); err != nil {
					return tally, err
				}
			}
			tally.Add(row, int(b.Labels[i]))
		}
		progress(tally.Images)
	}
	if tally.Images == 0 {
		return tally, errors.New("there are no images to evaluate")
	}
	return tally, nil
}

// origin is what a PyTorch checkpoint does not say.
type origin struct{ network, dataset string }

// openClassifier opens a checkpoint or an artifact.
func openClassifier(path string, threads int, from origin) (*classifier, error) {
	format, err := fileFormat(path)
	if err != nil {
		return nil, err
	}
	if format == checkpointFormat {
		return openCheckpoint(path, threads, from)
	}
	engine, err := runtime.Open(path, runtime.Options{Threads: threads})
	if err != nil {
		return nil, err
	}
	return engineClassifier(engine), nil
}

// engineClassifier returns what engine computes.
func engineClassifier(engine *runtime.Engine) *classifier {
	info := engine.Info()
	image, out := info.Preprocess.Len(), make([]float32, evalBatch*len(info.Classes))
	return &classifier{engine: "runtime", dataset: info.Source["dataset"], classes: info.Classes, preprocess: info.Preprocess,
		logits: func(ctx context.Context, images []float32) ([]float32, error) {
			dst := out[:len(images)/image*len(info.Classes)]
			return dst, engine.Infer(ctx, dst, images)
		},
		close: func() {},
	}
}

// classList names classes for an error.
func classList(classes []string) string {
	const most = 4
	if len(classes) <= most {
		return fmt.Sprintf("the classes %q", classes)
	}
	return fmt.Sprintf("%d classes (%q, ...)", len(classes), classes[:most])
}
