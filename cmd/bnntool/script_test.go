//go:build !device

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bnntool": main})
}

// TestScript runs the scripts in testdata/script: the program as its users run it, each command a process of its own.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("CIFAR10", os.Getenv("BNNTOOL_CIFAR10"))
			pytorch, err := filepath.Abs("../../train/checkpoint/testdata/pytorch")
			e.Setenv("PYTORCH", pytorch)
			return err
		},
		Condition: func(cond string) (bool, error) {
			if tier, ok := strings.CutPrefix(cond, "tier:"); ok {
				return slices.Contains(kernel.Tiers(), tier), nil
			}
			if cond == "cifar10" { // the real one
				return os.Getenv("BNNTOOL_CIFAR10") != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"waitfor":     waitFor,
			"oneline":     oneLineOf,
			"sameweights": sameWeights,
			"samemetrics": sameMetrics,
			"flipbit":     flipBit,
			"truncate":    truncate,
			"digit":       digit,
			"photo":       photo,
			"pictures":    pictures,
			"cifar":       cifar,
			"hub":         hub,
		},
	})
}

// waitFor waits until a file has at least some lines: waitfor FILE LINES.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	lines, err := strconv.Atoi(args[1])
	ts.Check(err)
	for range 3000 {
		if data, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && bytes.Count(data, []byte("\n")) >= lines {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s did not get %d lines", args[0], lines)
}

// oneLineOf checks that the last command wrote one line to stdout or stderr: oneline stderr.
func oneLineOf(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		ts.Fatalf("%s is not one line:\n%s", args[0], text)
	}
}

// sameWeights compares two checkpoints but for their times: sameweights A B.
func sameWeights(ts *testscript.TestScript, neg bool, args []string) {
	var c [2]*checkpoint.Checkpoint
	for i := range c {
		var err error
		c[i], err = checkpoint.Load(ts.MkAbs(args[i]))
		ts.Check(err)
		c[i].State.Seconds = 0
	}
	same := len(c[0].Solver) == len(c[1].Solver) && c[0].State == c[1].State
	for name, v := range c[0].Weights {
		same = same && slices.Equal(v, c[1].Weights[name])
	}
	for name, v := range c[0].Solver {
		same = same && slices.Equal(v, c[1].Solver[name])
	}
	if same == neg {
		ts.Fatalf("%s and %s: the same is %v, want %v", args[0], args[1], same, !neg)
	}
}

// sameMetrics compares two metrics.csv but for the last column, the times: samemetrics A B.
func sameMetrics(ts *testscript.TestScript, _ bool, args []string) {
	var text [2]string
	for i := range text {
		for line := range strings.Lines(ts.ReadFile(args[i])) {
			text[i] += line[:strings.LastIndex(line, ",")] + "\n"
		}
	}
	if text[0] != text[1] {
		ts.Fatalf("%s:\n%s%s:\n%s", args[0], text[0], args[1], text[1])
	}
}

// flipBit flips a bit of the byte at a part of the file's length: flipbit FILE 0.9.
func flipBit(ts *testscript.TestScript, _ bool, args []string) {
	data := []byte(ts.ReadFile(args[0]))
	part, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	data[int(part*float64(len(data)))] ^= 4
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o666))
}

// truncate cuts a file to a part of its length: truncate FILE 0.5.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	part, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	ts.Check(os.Truncate(path, int64(part*float64(info.Size()))))
}

// digit writes the first test picture of a digit as PNG: digit 7 FILE.
func digit(ts *testscript.TestScript, _ bool, args []string) {
	d, err := datasets.Open(context.Background(), datasets.Config{Name: datasets.Digits}, datasets.Options{})
	ts.Check(err)
	label, err := strconv.Atoi(args[0])
	ts.Check(err)
	for i := range d.Test.Len() {
		if d.Test.Label(i) == label {
			img := image.NewGray(image.Rect(0, 0, 8, 8))
			ts.Check(d.Test.Pixels(i, img.Pix))
			writePNG(ts, args[1], img)
			return
		}
	}
}

// photo writes a colourful picture as JPEG, or as PNG if the name says so: photo FILE WIDTH HEIGHT.
func photo(ts *testscript.TestScript, _ bool, args []string) {
	w, err := strconv.Atoi(args[1])
	ts.Check(err)
	h, err := strconv.Atoi(args[2])
	ts.Check(err)
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, color.RGBA{uint8(255 * (i % w) / w), uint8(255 * (i / w) / h), 90, 255})
	}
	if strings.HasSuffix(args[0], ".png") {
		writePNG(ts, args[0], img)
		return
	}
	var b bytes.Buffer
	ts.Check(jpeg.Encode(&b, img, nil))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o666))
}

// pictures makes a folder of pictures, 6 to train on and 2 to test of each class: pictures DIR CLASS...
func pictures(ts *testscript.TestScript, _ bool, args []string) {
	for class, name := range args[1:] {
		for i := range 8 {
			part := "train"
			if i >= 6 {
				part = "test"
			}
			img := image.NewRGBA(image.Rect(0, 0, 8, 8))
			for at := range 64 {
				img.Set(at%8, at/8, color.RGBA{uint8(80 * class), uint8(20 * i), uint8(3 * at), 255})
			}
			writePNG(ts, filepath.Join(args[0], part, name, fmt.Sprintf("%d.png", i)), img)
		}
	}
}

func writePNG(ts *testscript.TestScript, file string, img image.Image) {
	var b bytes.Buffer
	ts.Check(png.Encode(&b, img))
	path := ts.MkAbs(file)
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o777))
	ts.Check(os.WriteFile(path, b.Bytes(), 0o666))
}

// cifar makes a folder in the layout of CIFAR-10 with a few records in each file: cifar DIR RECORDS.
func cifar(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	for f, name := range []string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"} {
		var data []byte
		for i := range n {
			record := make([]byte, 3073)
			record[0] = byte(i % 10)
			for at := 1; at < len(record); at++ {
				record[at] = byte(at*(i+1) + 31*f)
			}
			data = append(data, record...)
		}
		ts.Check(os.WriteFile(filepath.Join(dir, name+".bin"), data, 0o666))
	}
}

// hub makes a folder of the hub with two layers of some experts: hub DIR EXPERTS.
func hub(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	rng := rand.New(rand.NewPCG(1, 2))
	var tensors []safetensors.Tensor
	add := func(name string, rows, columns int) {
		data := make([]byte, 0, 2*rows*columns)
		for range rows * columns {
			data = binary.LittleEndian.AppendUint16(data, uint16(math.Float32bits(float32(0.02*rng.NormFloat64()))>>16))
		}
		tensors = append(tensors, safetensors.Tensor{Name: name, DType: "BF16", Shape: []int{rows, columns}, Data: data})
	}
	add("model.embed_tokens.weight", 64, 32)
	for layer := range 2 {
		for x := range n {
			for _, role := range []string{"down", "gate", "up"} {
				add(fmt.Sprintf("model.layers.%d.mlp.experts.%d.%s_proj.weight", layer, x, role), 64, 96)
			}
		}
	}
	ts.Check(safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), tensors, safetensors.WriteOptions{}))
	ts.Check(os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o666))
}
