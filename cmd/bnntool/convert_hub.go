//go:build !device

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bnntool/bnntool/convert"
	"github.com/bnntool/bnntool/runtime/codec"
	"github.com/urfave/cli/v2"
)

// hubFlags are the flags of convert for a folder of the hub.
func hubFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "code", Value: codec.Huffman.String(),
			Usage: "of a mixture of experts: how exponents are coded: huffman (smallest), fixed3 (fastest), zstd, lz4hc or raw"},
		&cli.IntFlag{Name: "workers", Usage: "of a mixture of experts: experts that are encoded at the same time, each in memory; 0: as many as processors"},
	}
}

// ofCheckpoints and ofHubs are the flags that only one kind of source has.
var (
	ofCheckpoints = []string{"leftovers", "strict", "images", "data"}
	ofHubs        = []string{"code", "workers"}
)

// isFolder reports whether path is a folder.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isHub reports whether path is a folder with the weights of a model, not one of a training.
func isHub(path string) bool {
	if !isFolder(path) {
		return false
	}
	for _, name := range []string{"best.safetensors", "last.safetensors"} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return false
		}
	}
	return true
}

func (e *env) convertHub(c *cli.Context, dir string) error {
	for _, name := range ofCheckpoints {
		if c.IsSet(name) {
			return usagef("--%s does not go with a folder of the hub: it is for checkpoints", name)
		}
	}
	code, err := codec.ParseCode(c.String("code"))
	if err != nil {
		return usagef("--code: %v", err)
	}
	if c.Int("workers") < 0 {
		return usagef("--workers is %d, want 0 or more", c.Int("workers"))
	}
	out := c.String("o")
	if isFolder(out) {
		return fmt.Errorf("%s is a folder: name the file to write", out)
	}
	start := e.now()
	p := e.newTransfer("converting", c.Bool("quiet"))
	r, err := convert.ConvertHub(c.Context, dir, out, convert.HubOptions{Code: code, Workers: c.Int("workers"), Progress: p.update})
	p.clear()
	if err != nil {
		return err
	}
	if !c.Bool("quiet") {
		for _, note := range r.Notes {
			fmt.Fprintln(e.stdout, note)
		}
		fmt.Fprintf(e.stdout, "%d experts in %d layers: %s became %s (%.2f %%), of which exponents %s (%.2f %% of theirs)\n", r.Experts, r.Layers,
			byteCount(r.SourceBytes), byteCount(r.CodedBytes+r.RestBytes), percentOf(r.CodedBytes+r.RestBytes, r.SourceBytes),
			byteCount(r.CodedBytes), percentOf(r.CodedBytes, r.FullBytes/2))
	}
	seconds := e.now().Sub(start).Seconds()
	fmt.Fprintf(e.stdout, "store=%s bytes=%d experts=%d layers=%d source_bytes=%d code=%v size=%.4f resumed=%d seconds=%.1f\n", value(out), r.FileBytes,
		r.Experts, r.Layers, r.SourceBytes+r.DenseBytes, code, percentOf(r.CodedBytes+r.RestBytes, r.SourceBytes)/100, r.Resumed, seconds)
	return nil
}

// transfer shows how far bytes are: a bar on a terminal, else a line now and then.
type transfer struct {
	e     *env
	stage string
	bar   *bar
	quiet bool
	start time.Time
	last  time.Time // of the last line
}

// lineEvery is how often a line of progress is printed where there is no terminal.
const lineEvery = 10 * time.Second

func (e *env) newTransfer(stage string, quiet bool) *transfer {
	t := &transfer{e: e, stage: stage, quiet: quiet, start: e.now()}
	t.last = t.start
	if !quiet {
		t.bar = e.newBar("bytes")
	}
	return t
}

// update says how many bytes are done, and how many of these were before the start.
func (t *transfer) update(done, total, before int64) {
	if t.quiet {
		return
	}
	now := t.e.now()
	spent := now.Sub(t.start)
	if t.bar != nil {
		t.bar.update(t.stage, "", done, total)
		return
	}
	if now.Sub(t.last) < lineEvery {
		return
	}
	t.last = now
	rate := float64(done-before) / spent.Seconds()
	left := "unknown"
	if rate > 0 {
		left = (time.Duration(float64(total-done)/rate) * time.Second).String()
	}
	fmt.Fprintf(t.e.stderr, "%s: %.1f %%, %s of %s, %s/s, %s left\n", t.stage, percentOf(done, total), byteCount(done), byteCount(total), byteCount(int64(rate)), left)
}

func (t *transfer) clear() { t.bar.clear() }

// hubOnly refuses the flags of a folder of the hub.
func hubOnly(c *cli.Context) error {
	for _, name := range ofHubs {
		if c.IsSet(name) {
			return usagef("--%s does not go with a checkpoint: it is for a folder with a mixture of experts", name)
		}
	}
	return nil
}
