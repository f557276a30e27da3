package main

import (
	"fmt"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/runtime/benchmark"
	"github.com/urfave/cli/v2"
)

func (e *env) benchKernelsCommand() *cli.Command {
	return &cli.Command{
		Name:         "kernels",
		Usage:        "time the 1-bit 3x3 convolutions of ResNet-20 and ResNet-18, bits in and bits out, on one thread (BNNTOOL_KERNELS=avx2 names a tier)",
		Flags:        []cli.Flag{formatFlag()},
		Action:       e.benchKernels,
		OnUsageError: usageFault,
	}
}

// kernelJSON is what --format json prints of a kernel.
type kernelJSON struct {
	H      int    `json:"h"`
	W      int    `json:"w"`
	Cin    int    `json:"cin"`
	Cout   int    `json:"cout"`
	Kernel string `json:"kernel"`
	timesJSON
	GMACs float64 `json:"gmacs"` // at the minimum
}

func (e *env) benchKernels(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	form, err := format(c)
	if err != nil {
		return err
	}
	list, err := benchmark.Kernels(c.Context)
	if err != nil {
		return err
	}
	if form == jsonFormat {
		var rows []kernelJSON
		for _, k := range list {
			rows = append(rows, kernelJSON{k.H, k.W, k.Cin, k.Cout, k.Name, times(k.Samples), k.GMACs()})
		}
		return printJSON(e.stdout, rows)
	}
	t := &table{head: []string{"h", "w", "cin", "cout", "kernel", "min_us", "median_us", "gmacs"}}
	for _, k := range list {
		t.add(k.H, k.W, k.Cin, k.Cout, k.Name, fmt.Sprintf("%.3f", inMicroseconds(k.Min())), fmt.Sprintf("%.3f", inMicroseconds(k.Median())), fmt.Sprintf("%.1f", k.GMACs()))
	}
	if form == csvFormat {
		return t.writeCSV(e.stdout)
	}
	fmt.Fprintf(e.stdout, "1-bit convolution, 3x3, stride 1, padded, bits to bits; one thread, %d samples each\n\n", benchmark.MinSamples)
	t.align, t.head = "rrrrlrrr", []string{"h", "w", "cin", "cout", "kernel", "min us", "median us", "GMAC/s"}
	if err := t.writeMarkdown(e.stdout); err != nil {
		return err
	}
	tier, _ := kernel.Tier()
	sum := 0.0
	for _, k := range list {
		sum += inMicroseconds(k.Min())
	}
	_, err = fmt.Fprintf(e.stdout, "\npeer=bnntool version=%s kernels=%s samples=%d sum_us=%.1f\n", moduleVersion(), tier, benchmark.MinSamples, sum)
	return err
}
