//go:build !device

package main

import (
	"fmt"
	"time"

	"github.com/bnntool/bnntool/configs"
	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/train"
	"github.com/urfave/cli/v2"
)

// benchUsage ends the summary of bench.
const benchUsage = ", of training steps"

// benchMore returns the benchmarks that only this build has.
func (e *env) benchMore() []*cli.Command {
	return []*cli.Command{{
		Name:      "train",
		Usage:     "time training steps on one fixed random batch",
		ArgsUsage: "[RECIPE]",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "batch", Usage: "images of a step (default: the recipe's)"},
			&cli.IntFlag{Name: "threads", Usage: "threads that compute (default: one a core)"},
			&cli.IntFlag{Name: "warmup", Value: 2, Usage: "steps before those that count"},
			&cli.IntFlag{Name: "steps", Value: 9, Usage: "steps that count; the median is reported"},
			&cli.StringSliceFlag{Name: "set", Usage: "KEY=VALUE: override a key of the recipe; may be repeated"},
			&cli.BoolFlag{Name: "profile", Usage: "print the time and the speed of each kind of operation first, beside this machine's peaks"},
		},
		Action:       e.benchTrain,
		OnUsageError: usageFault,
	}}
}

func (e *env) benchTrain(c *cli.Context) error {
	if c.NArg() > 1 {
		return usagef("bench train takes one recipe, got %d arguments", c.NArg())
	}
	name := c.Args().First()
	if name == "" {
		name = "cifar10-recu-resnet20"
	}
	set := c.StringSlice("set")
	if c.IsSet("batch") {
		set = append(set, fmt.Sprintf("train.batch=%d", c.Int("batch")))
	}
	recipe, err := configs.Load(name, set...)
	if err != nil {
		return err
	}
	net, err := recipe.Net(recipe.Expected())
	if err != nil {
		return err
	}
	r, err := train.Benchmark(c.Context, train.BenchmarkOptions{Net: net, Config: recipe.Train, Threads: c.Int("threads"), Warmup: c.Int("warmup"), Steps: c.Int("steps"), Peaks: c.Bool("profile")})
	if err != nil {
		return err
	}
	if c.Bool("profile") {
		if err := e.printProfile(r); err != nil {
			return err
		}
	}
	tier, _ := kernel.Tier()
	_, err = fmt.Fprintf(e.stdout, "peer=bnntool version=%s recipe=%s beta=%d batch=%d threads=%d kernels=%s images_per_s=%.1f ms_per_step=%.1f\n",
		moduleVersion(), value(name), net.Beta, recipe.Train.Batch, r.Threads, tier, r.ImagesPerSecond(recipe.Train.Batch), milliseconds(r.Step))
	return err
}

// printProfile prints where the time of the steps went.
func (e *env) printProfile(r *train.BenchmarkResult) error {
	var steps, rest time.Duration
	for _, s := range r.Steps {
		steps += s
	}
	rest = steps
	fmt.Fprintf(e.stdout, "peak of this machine, %d threads: %.0f GMAC/s, %.1f GB/s\n", r.Threads, r.Peaks.GMACs, r.Peaks.GBs)
	fmt.Fprintf(e.stdout, "%-26s %8s %10s %8s %17s %17s\n", "operation", "calls", "ms a step", "share", "GMAC/s (of peak)", "GB/s (of peak)")
	n := time.Duration(len(r.Steps))
	for _, op := range r.Operations {
		rest -= op.Time
		macs := ""
		if op.Work.MACs > 0 {
			macs = ofPeak(op.GMACs(), r.Peaks.GMACs)
		}
		fmt.Fprintf(e.stdout, "%-26s %8d %10.3f %6.1f %% %17s %17s\n", op.Name, op.Calls/len(r.Steps), milliseconds(op.Time/n), 100*op.Time.Seconds()/steps.Seconds(),
			macs, ofPeak(op.GBs(), r.Peaks.GBs))
	}
	_, err := fmt.Fprintf(e.stdout, "%-26s %8s %10.3f %6.1f %%\n", "solver, tape machine", "", milliseconds(rest/n), 100*rest.Seconds()/steps.Seconds())
	return err
}

// ofPeak formats a speed and what part of the peak it is.
func ofPeak(speed, peak float64) string { return fmt.Sprintf("%.1f (%3.0f %%)", speed, 100*speed/peak) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
