package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/runtime"
	"github.com/urfave/cli/v2"
)

func (e *env) predictCommand() *cli.Command {
	return &cli.Command{
		Name:      "predict",
		Usage:     "the most probable classes of pictures (PNG or JPEG, - is standard input)",
		ArgsUsage: "MODEL IMAGE...",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "top", Value: 5, Usage: "how many classes"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object a picture"},
			&cli.IntFlag{Name: "threads", Usage: "threads that compute (default: one a core); the result does not depend on it"},
		},
		Action: e.predict,
	}
}

// pictureJSON is what --json prints of a picture.
type pictureJSON struct {
	File        string      `json:"file"`
	Predictions []classJSON `json:"predictions"`
}

type classJSON struct {
	Class       int     `json:"class"`
	Name        string  `json:"name"`
	Probability float64 `json:"probability"`
}

func (e *env) predict(c *cli.Context) error {
	switch {
	case c.NArg() < 2:
		return usagef("predict takes a model and at least one picture")
	case c.Int("top") < 1:
		return usagef("--top is %d, want 1 or more", c.Int("top"))
	case c.Int("threads") < 0:
		return usagef("--threads must not be negative")
	}
	path := c.Args().First()
	format, err := fileFormat(path)
	if err != nil {
		return err
	}
	if format == checkpointFormat {
		return notConverted("predict", path)
	}
	engine, err := runtime.Open(path, runtime.Options{Threads: c.Int("threads")})
	if err != nil {
		return err
	}
	for _, file := range c.Args().Tail() {
		p, err := e.classify(c.Context, engine, file, c.Int("top"))
		if err != nil {
			return err
		}
		if err := e.printPrediction(file, p, c.Bool("json")); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) classify(ctx context.Context, engine *runtime.Engine, file string, top int) ([]runtime.Prediction, error) {
	var r io.Reader = e.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	img, err := preprocess.Decode(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	p, err := engine.Classify(ctx, img, top)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

func (e *env) printPrediction(file string, list []runtime.Prediction, asJSON bool) error {
	if asJSON {
		p := pictureJSON{File: file}
		for _, c := range list {
			p.Predictions = append(p.Predictions, classJSON{c.Class, c.Name, c.Probability})
		}
		return json.NewEncoder(e.stdout).Encode(p)
	}
	width := 0
	for _, c := range list {
		width = max(width, len([]rune(c.Name)))
	}
	fmt.Fprintln(e.stdout, file)
	for _, c := range list {
		fmt.Fprintf(e.stdout, "  %-*s  %6.2f %%\n", width, c.Name, 100*c.Probability)
	}
	return nil
}
