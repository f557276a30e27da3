package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/urfave/cli/v2"
)

// inspectFlags are the flags of inspect.
type inspectFlags struct {
	beta int // 0: as it is
	json bool
}

func (e *env) inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "layers, parameters, operations and bytes of a recipe, checkpoint, artifact or network",
		ArgsUsage: "FILE|RECIPE|NETWORK",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "beta", Usage: "replicate a recipe's network, or a network, by this factor"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() != 1:
				return usagef("inspect takes one file, recipe or network, got %d arguments", c.NArg())
			case c.Int("beta") < 0 || c.IsSet("beta") && c.Int("beta") == 0:
				return usagef("--beta is %d, want 1 or more", c.Int("beta"))
			}
			return e.inspect(c.Args().First(), inspectFlags{beta: c.Int("beta"), json: c.Bool("json")})
		},
	}
}

func (e *env) inspect(what string, f inspectFlags) error {
	if done, err := e.inspectNamed(what, f); done {
		return err
	}
	format, err := fileFormat(what)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unknownThing(what)
	case err != nil:
		return err
	case format == checkpointFormat:
		return e.inspectCheckpoint(what, f)
	case f.beta != 0:
		return usagef("--beta does not go with an artifact: its network is what it is")
	}
	m, err := artifact.Read(what)
	if err != nil {
		return err
	}
	engine, err := runtime.New(m, runtime.Options{})
	if err != nil {
		return err
	}
	file, err := os.Stat(what)
	if err != nil {
		return err
	}
	d := describe(m, engine.Info(), file.Size())
	if f.json {
		return printJSON(e.stdout, d)
	}
	return d.print(e.stdout)
}

// artifactJSON describes an artifact. Operations are multiply-accumulates.
type artifactJSON struct {
	Kind    string            `json:"kind"`
	Name    string            `json:"name"`
	Input   [3]int            `json:"input"`
	Classes []string          `json:"classes"`
	Source  map[string]string `json:"source"`
	Layers  []stepJSON        `json:"layers"`

	Params1    int64 `json:"params_1bit"`
	Params32   int64 `json:"params_32bit"`
	BOPs       int64 `json:"bops"`
	FLOPs      int64 `json:"flops"`
	OPs        int64 `json:"ops"`
	FileBytes  int64 `json:"file_bytes"`
	ArenaBytes int64 `json:"arena_bytes"` // of working memory for each image computed at the same time
}

type stepJSON struct {
	Name     string `json:"name"`
	Op       string `json:"op"`
	Kernel   string `json:"kernel"`
	Output   [3]int `json:"output"`
	Params1  int64  `json:"params_1bit"`
	Params32 int64  `json:"params_32bit"`
	Bytes    int64  `json:"bytes"`
	BOPs     int64  `json:"bops"`
	FLOPs    int64  `json:"flops"`
}

func describe(m *artifact.Model, info runtime.Info, size int64) *artifactJSON {
	d := &artifactJSON{Kind: "artifact", Name: info.Name, Input: m.Input, Classes: info.Classes, Source: info.Source,
		FileBytes: size, ArenaBytes: info.ArenaBytes}
	params := make(map[string][2]int64, len(m.Ops)) // of each operation, of 1 bit and of 32 bits
	for i := range m.Ops {
		params[m.Ops[i].Name] = opParams(m, &m.Ops[i])
	}
	for _, op := range info.Ops {
		s := stepJSON{Name: op.Name, Op: string(op.Kind), Output: [3]int{op.H, op.W, op.C}, Bytes: op.WeightBytes,
			Params1: params[op.Name][0], Params32: params[op.Name][1]}
		if op.Layer >= 0 {
			s.Kernel = info.Layers[op.Layer].Kernel
		}
		if op.Kind == artifact.BinConv {
			s.BOPs = op.MACs
		} else {
			s.FLOPs = op.MACs
		}
		d.Params1, d.Params32 = d.Params1+s.Params1, d.Params32+s.Params32
		d.BOPs, d.FLOPs = d.BOPs+s.BOPs, d.FLOPs+s.FLOPs
		d.Layers = append(d.Layers, s)
	}
	d.OPs = d.BOPs/64 + d.FLOPs
	return d
}

// opParams returns the number of parameters of an operation, of 1 bit and of 32 bits.
func opParams(m *artifact.Model, op *artifact.Op) [2]int64 {
	var p [2]int64
	for _, name := range []string{op.Weights, op.Scale, op.Bias, op.Threshold, op.Flip, op.Slope} {
		t, ok := m.Tensors[name]
		if !ok {
			continue
		}
		n := int64(1)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		if t.Words != nil {
			p[0] += n
		} else {
			p[1] += n
		}
	}
	return p
}

func (d *artifactJSON) print(w io.Writer) error {
	fmt.Fprintf(w, "artifact of %s, input %dx%dx%d, %d classes\n", d.Name, d.Input[0], d.Input[1], d.Input[2], len(d.Classes))
	for _, key := range slices.Sorted(maps.Keys(d.Source)) {
		fmt.Fprintf(w, "%s: %s\n", key, d.Source[key])
	}
	fmt.Fprintln(w)
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	nameWidth, opWidth := len("layer"), len("op")
	for _, s := range d.Layers {
		nameWidth, opWidth = max(nameWidth, len(s.Name)), max(opWidth, len(s.Op))
	}
	row := func(name, op, output, params1, params32, bytes, bops, flops string) {
		fmt.Fprintf(t, "%-*s  %-*s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", nameWidth, name, opWidth, op, output, params1, params32, bytes, bops, flops)
	}
	row("layer", "op", "output", "1-bit params", "32-bit params", "memory KB", "1-bit MACs", "32-bit MACs")
	for _, s := range d.Layers {
		row(s.Name, s.Op, fmt.Sprintf("%dx%dx%d", s.Output[0], s.Output[1], s.Output[2]),
			cell(s.Params1), cell(s.Params32), kilobytes(s.Bytes), cell(s.BOPs), cell(s.FLOPs))
	}
	row("total", "", "", cell(d.Params1), cell(d.Params32), kilobytes(d.FileBytes), cell(d.BOPs), cell(d.FLOPs))
	t.Flush()
	for line := range strings.Lines(table.String()) {
		fmt.Fprintln(w, strings.TrimSpace(line))
	}
	_, err := fmt.Fprintf(w, "\nfile %d bytes, working memory %d bytes an image, OPs = BOPs/64 + FLOPs = %d\n", d.FileBytes, d.ArenaBytes, d.OPs)
	return err
}

// cell writes a number of a table, nothing for 0.
func cell(v int64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprint(v)
}

func kilobytes(v int64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", float64(v)/1024)
}

func printJSON(w io.Writer, v any) error {
	j := json.NewEncoder(w)
	j.SetIndent("", "  ")
	return j.Encode(v)
}
