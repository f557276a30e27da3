package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bnntool/bnntool/runtime/benchmark"
	"github.com/urfave/cli/v2"
)

func (e *env) benchCommand() *cli.Command {
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure speed on this machine: of an artifact, of the kernels" + benchUsage,
		ArgsUsage: "MODEL",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "threads", Usage: "numbers of threads, as in 1,2 (default: 1 and one a core)"},
			&cli.StringFlag{Name: "batch", Usage: "numbers of images of a call, as in 1,8 (default: 1 and 8)"},
			&cli.DurationFlag{Name: "time", Value: time.Second, Usage: "how long each combination is measured"},
			formatFlag(),
			&cli.BoolFlag{Name: "quiet", Usage: "print the closing line only"},
		},
		Subcommands: append([]*cli.Command{e.benchKernelsCommand()}, e.benchMore()...),
		Action:      e.benchModel,
	}
}

// The forms in which bench prints its tables.
const (
	markdown   = "md"
	jsonFormat = "json"
	csvFormat  = "csv"
)

func formatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Value: markdown, Usage: "md (tables and a closing line), json or csv"}
}

// format returns the value of --format.
func format(c *cli.Context) (string, error) {
	if f := c.String("format"); slices.Contains([]string{markdown, jsonFormat, csvFormat}, f) {
		return f, nil
	}
	return "", usagef("--format is %q, want md, json or csv", c.String("format"))
}

// numbers returns the value of a flag that is a list of numbers from 1, nil if it is not set.
func numbers(c *cli.Context, flag string) ([]int, error) {
	var list []int
	if !c.IsSet(flag) {
		return nil, nil
	}
	for s := range strings.SplitSeq(c.String(flag), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return nil, usagef("--%s is %q, want numbers from 1, as in 1,2", flag, c.String(flag))
		}
		list = append(list, n)
	}
	return list, nil
}

func (e *env) benchModel(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("bench takes one artifact or %s, got %d arguments", strings.Join(subcommands(c), " or "), c.NArg())
	}
	form, err := format(c)
	if err != nil {
		return err
	}
	o := benchmark.Options{Time: c.Duration("time")}
	if o.Threads, err = numbers(c, "threads"); err != nil {
		return err
	}
	if o.Batches, err = numbers(c, "batch"); err != nil {
		return err
	}
	if o.Time <= 0 {
		return usagef("--time is %v, want more than 0", o.Time)
	}
	path := c.Args().First()
	file, err := fileFormat(path)
	if err != nil {
		return err
	}
	if file == checkpointFormat {
		return notConverted("bench", path)
	}
	r, err := benchmark.Model(c.Context, path, o)
	if err != nil {
		return err
	}
	switch form {
	case jsonFormat:
		return printJSON(e.stdout, modelBench(path, r))
	case csvFormat:
		return modelBenchCSV(r).writeCSV(e.stdout)
	}
	if !c.Bool("quiet") {
		if err := e.printModelBench(path, r); err != nil {
			return err
		}
	}
	first := r.Latencies[0]
	_, err = fmt.Fprintf(e.stdout, "peer=bnntool version=%s model=%s network=%s kernels=%s threads=%d batch=%d samples=%d min_us=%s median_us=%s p99_us=%s images_per_s=%.0f file_bytes=%d\n",
		moduleVersion(), value(path), value(r.Info.Name), r.Tier, first.Threads, first.Batch, len(first.Samples),
		microseconds(first.Min()), microseconds(first.Median()), microseconds(first.P99()), first.ImagesPerSecond(), r.Info.FileBytes)
	return err
}

// subcommands returns the names of the subcommands of c's command.
func subcommands(c *cli.Context) []string {
	var names []string
	for _, sub := range c.Command.Subcommands {
		names = append(names, sub.Name)
	}
	return names
}
