package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// artifactJSON describes an artifact. Operations are multiply-accumulates.
type artifactJSON struct {
	Kind     string            `json:"kind"`
	Name     string            `json:"name"`
	Input    [3]int            `json:"input"`
	Classes  []string          `json:"classes"`
	Source   map[string]string `json:"source"`
	Layers   []opJSON          `json:"layers"`
	Kernels  string            `json:"kernels"` // the tier
	Steps    []stepJSON        `json:"steps"`   // how this machine computes it
	Sections []sectionJSON     `json:"sections"`

	Params1    int64 `json:"params_1bit"`
	Params32   int64 `json:"params_32bit"`
	BOPs       int64 `json:"bops"`
	FLOPs      int64 `json:"flops"`
	OPs        int64 `json:"ops"`
	FileBytes  int64 `json:"file_bytes"`
	ArenaBytes int64 `json:"arena_bytes"` // of working memory for each image computed at the same time
	// Verified is the number of values that --verify compared.
	Verified int `json:"verified_values,omitempty"`
}

type opJSON struct {
	Name     string            `json:"name"`
	Op       string            `json:"op"`
	Inputs   []string          `json:"inputs"`
	Output   [3]int            `json:"output"`
	Codings  []artifact.Coding `json:"codings,omitempty"` // of its tensors
	Params1  int64             `json:"params_1bit"`
	Params32 int64             `json:"params_32bit"`
	Bytes    int64             `json:"bytes"`
	BOPs     int64             `json:"bops"`
	FLOPs    int64             `json:"flops"`
	Step     int               `json:"step"` // index of the step that computes it, -1 if the logits do not depend on it
}

type stepJSON struct {
	Name   string   `json:"name"`
	Kernel string   `json:"kernel"`
	Fused  []string `json:"fused,omitempty"`
	Why    string   `json:"why,omitempty"`
	Output [3]int   `json:"output"`
}

type sectionJSON struct {
	Name   string `json:"name"`
	DType  string `json:"dtype"`
	Bytes  int64  `json:"bytes"`
	CRC32C string `json:"crc32c"`
}

// inspectArtifact describes an artifact.
func (e *env) inspectArtifact(ctx context.Context, path string, f inspectFlags) error {
	m, err := artifact.Read(path)
	if err != nil {
		return err
	}
	engine, err := runtime.New(m, runtime.Options{Threads: 1})
	if err != nil {
		return err
	}
	d := describe(m, engine.Info())
	if err := d.readSections(path); err != nil {
		return err
	}
	if f.verify {
		if d.Verified, err = verifyKernels(ctx, engine); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if f.json {
		return printJSON(e.stdout, d)
	}
	return d.print(e.stdout)
}

func describe(m *artifact.Model, info runtime.Info) *artifactJSON {
	d := &artifactJSON{Kind: "artifact", Name: info.Name, Input: m.Input, Classes: info.Classes, Source: info.Source, ArenaBytes: info.ArenaBytes}
	d.Kernels, _ = kernel.Tier()
	for i, op := range info.Ops {
		o := opJSON{Name: op.Name, Op: string(op.Kind), Inputs: m.Ops[i].Inputs, Output: [3]int{op.H, op.W, op.C}, Bytes: op.WeightBytes, Step: op.Layer}
		o.addTensors(m, &m.Ops[i])
		if op.Kind == artifact.BinConv {
			o.BOPs = op.MACs
		} else {
			o.FLOPs = op.MACs
		}
		d.Params1, d.Params32 = d.Params1+o.Params1, d.Params32+o.Params32
		d.BOPs, d.FLOPs = d.BOPs+o.BOPs, d.FLOPs+o.FLOPs
		d.Layers = append(d.Layers, o)
	}
	d.OPs = d.BOPs/64 + d.FLOPs
	for _, l := range info.Layers {
		d.Steps = append(d.Steps, stepJSON{l.Name, l.Kernel, l.Fused, l.Why, [3]int{l.H, l.W, l.C}})
	}
	return d
}

// addTensors counts the parameters of an operation, of 1 bit and of 32 bits, and lists how the file holds them.
func (o *opJSON) addTensors(m *artifact.Model, op *artifact.Op) {
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
			o.Params1 += n
		} else {
			o.Params32 += n
		}
		if c := t.Coding(); !slices.Contains(o.Codings, c) {
			o.Codings = append(o.Codings, c)
		}
	}
}

// readSections lists the sections of the file, whose checksums artifact.Read has verified.
func (d *artifactJSON) readSections(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	d.FileBytes = info.Size()
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, s := range f.Infos() {
		d.Sections = append(d.Sections, sectionJSON{s.Name, s.DType, s.Size, f.Checksum(s.Name)})
	}
	return nil
}

// verifyKernels computes a random image by the engine's kernels and operation by operation, and returns the number of
// operations whose values were there to compare.
func verifyKernels(ctx context.Context, e *runtime.Engine) (int, error) {
	info := e.Info()
	rng := rand.New(rand.NewPCG(1, 1))
	image := make([]float32, info.H*info.W*info.C)
	for i := range image {
		image[i] = float32(rng.NormFloat64())
	}
	n := 0
	err := e.Trace(ctx, image, func(runtime.Traced) error { n++; return nil })
	return n, err
}

func (d *artifactJSON) print(w io.Writer) error {
	fmt.Fprintf(w, "artifact of %s, input %dx%dx%d, %d classes\n", d.Name, d.Input[0], d.Input[1], d.Input[2], len(d.Classes))
	for _, key := range slices.Sorted(maps.Keys(d.Source)) {
		fmt.Fprintf(w, "%s: %s\n", key, d.Source[key])
	}
	fmt.Fprintln(w)
	if err := d.printOps(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nHow this machine computes it (%s kernels):\n\n", d.Kernels)
	steps := &table{head: []string{"step", "kernel", "output", "why"}, align: "llll"}
	for _, s := range d.Steps {
		steps.add(s.Name, s.Kernel, extent(s.Output), s.Why)
	}
	if err := steps.writeText(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWhat the file holds, and the checksums that it has:\n\n")
	sections := &table{head: []string{"section", "type", "bytes", "crc32c"}, align: "llrl"}
	for _, s := range d.Sections {
		sections.add(s.Name, s.DType, s.Bytes, s.CRC32C)
	}
	if err := sections.writeText(w); err != nil {
		return err
	}
	if d.Verified > 0 {
		fmt.Fprintf(w, "\nverified: the checksums of the header and of %d sections; %d values of a random image, computed by these kernels and operation by operation: no bit differs\n",
			len(d.Sections), d.Verified)
	}
	_, err := fmt.Fprintf(w, "\nfile %d bytes, working memory %d bytes an image, OPs = BOPs/64 + FLOPs = %d\n", d.FileBytes, d.ArenaBytes, d.OPs)
	return err
}

// printOps prints the graph.
func (d *artifactJSON) printOps(w io.Writer) error {
	t := &table{head: []string{"layer", "op", "output", "1-bit params", "32-bit params", "memory KB", "1-bit MACs", "32-bit MACs", "held as", "takes"}, align: "llrrrrrrll"}
	before := artifact.ImageInput
	for _, o := range d.Layers {
		var codings []string
		for _, c := range o.Codings {
			codings = append(codings, string(c))
		}
		takes := strings.Join(o.Inputs, ", ")
		if takes == before {
			takes = ""
		}
		before = o.Name
		t.add(o.Name, o.Op, extent(o.Output), cell(o.Params1), cell(o.Params32), kilobytes(o.Bytes), cell(o.BOPs), cell(o.FLOPs), strings.Join(codings, ","), takes)
	}
	t.add("total", "", "", cell(d.Params1), cell(d.Params32), kilobytes(d.FileBytes), cell(d.BOPs), cell(d.FLOPs), "", "")
	return t.writeText(w)
}

func extent(s [3]int) string { return fmt.Sprintf("%dx%dx%d", s[0], s[1], s[2]) }
