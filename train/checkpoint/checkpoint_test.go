package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// sample is a checkpoint of a network with every kind of tensor that matters here. Call it anew for each change.
func sample() *checkpoint.Checkpoint {
	net := &model.Net{Name: "tiny", Beta: 1, Input: model.Shape{H: 4, W: 4, C: 1}, Layers: []model.Layer{
		{Name: "conv1", Op: model.Conv, Out: 2, Kernel: 3, Stride: 1, Pad: 1},
		{Name: "bn1", Op: model.BatchNorm},
		{Name: "pool", Op: model.GlobalAvgPool},
		{Name: "fc", Op: model.Linear, Out: 2},
	}}
	c := &checkpoint.Checkpoint{
		Net: net, Weights: model.Weights{}, Solver: map[string][]float32{},
		Preprocess: preprocess.Config{H: 4, W: 4, C: 1, Mean: []float32{0.1}, Std: []float32{0.3}},
		Classes:    []string{"cat", "dög"}, Dataset: "digits", Recipe: "train:\n  epochs: 3\n",
		State: checkpoint.TrainState{Epoch: 2, Step: 5, SolverStep: 105, Seed: math.MaxUint64, BestTop1: 0.1, BestEpoch: 1,
			LastTop1: 1.0 / 3, LossSum: 1e-300, Correct: 3, Seen: 7, Seconds: 12.5},
	}
	list, err := net.Tensors()
	if err != nil {
		panic(err)
	}
	for n, t := range list {
		v := make([]float32, t.Len())
		for i := range v {
			v[i] = float32(n) - float32(i)/3
		}
		c.Weights[t.Name] = v
		if !t.Buffer {
			c.Solver["velocity."+t.Name] = v
		}
	}
	c.Weights["fc.bias"] = []float32{float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32}
	return c
}

func save(t testing.TB, c *checkpoint.Checkpoint) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "last.safetensors")
	if err := checkpoint.Save(path, c); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*checkpoint.Checkpoint)
	}{
		{"sgd", func(*checkpoint.Checkpoint) {}},
		{"adam", func(c *checkpoint.Checkpoint) {
			c.Solver = map[string][]float32{"adam_m.fc.bias": {1, 2}, "adam_v.fc.bias": {3, 4}}
		}},
		{"exported", func(c *checkpoint.Checkpoint) { clear(c.Solver) }},
	} {
		want := sample()
		tt.change(want)
		path := save(t, want)
		got, err := checkpoint.Load(path)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: loaded\n%+v, saved\n%+v", tt.name, got, want)
		}
		if !math.Signbit(float64(got.Weights["fc.bias"][0])) {
			t.Errorf("%s: -0 became 0", tt.name)
		}
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := os.ReadFile(save(t, got)); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s: saving what was loaded gives other bytes (error %v)", tt.name, err)
		}
	}
}

func TestSaveRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, tt := range []struct {
		name   string
		change func(*checkpoint.Checkpoint)
		want   string
	}{
		{"NaN", func(c *checkpoint.Checkpoint) { c.Weights["bn1.running_var"][1] = nan },
			`tensor "bn1.running_var": element 1 is NaN, want a finite number: the training diverged`},
		{"infinite", func(c *checkpoint.Checkpoint) { c.Solver["velocity.fc.bias"][0] = inf },
			`tensor "solver.velocity.fc.bias": element 0 is -Inf, want a finite number: the training diverged`},
		{"no tensor", func(c *checkpoint.Checkpoint) { delete(c.Weights, "fc.bias") },
			`model: network "tiny" needs the tensor "fc.bias", which is missing`},
		{"solver of nothing", func(c *checkpoint.Checkpoint) { c.Solver["velocity.fc2.bias"] = nil },
			`solver "velocity.fc2.bias": the network has no parameter "fc2.bias"`},
		{"solver of a buffer", func(c *checkpoint.Checkpoint) { c.Solver["velocity.bn1.running_mean"] = []float32{1, 2} },
			`solver "velocity.bn1.running_mean": the network has no parameter "bn1.running_mean"`},
		{"solver of another kind", func(c *checkpoint.Checkpoint) { c.Solver["momentum.fc.bias"] = []float32{1, 2} },
			`solver "momentum.fc.bias": unknown solver state, want velocity., adam_m. or adam_v. and a parameter's name`},
		{"solver's length", func(c *checkpoint.Checkpoint) { c.Solver["velocity.fc.bias"] = []float32{1} },
			`solver "velocity.fc.bias": 1 elements, parameter "fc.bias" has 2`},
		{"classes", func(c *checkpoint.Checkpoint) { c.Classes = c.Classes[:1] }, `classes: 1 names, network "tiny" has 2 logits`},
		{"preprocess", func(c *checkpoint.Checkpoint) { c.Preprocess.W = 5 },
			`preprocess: the picture is 4x5x1, the input of network "tiny" is 4x4x1`},
		{"std", func(c *checkpoint.Checkpoint) { c.Preprocess.Std[0] = 0 },
			`preprocess: std of channel 0 is 0, want a finite number above 0`},
		{"loss", func(c *checkpoint.Checkpoint) { c.State.LossSum = math.NaN() }, `state: loss_sum is NaN, want 0 or more`},
		{"epoch", func(c *checkpoint.Checkpoint) { c.State.Epoch = -1 }, `state: epoch is -1, want 0 or more`},
		{"correct", func(c *checkpoint.Checkpoint) { c.State.Correct = 8 }, `state: 8 images are correct, only 7 were seen`},
		{"net", func(c *checkpoint.Checkpoint) { c.Net.Layers[0].Out = 0 },
			`model: network "tiny": layer 0 "conv1" (conv): out is 0, want 1..1048576`},
	} {
		path := filepath.Join(t.TempDir(), "last.safetensors")
		c := sample()
		tt.change(c)
		err := checkpoint.Save(path, c)
		if want := "checkpoint: saving " + path + ": " + tt.want; err == nil || err.Error() != want {
			t.Errorf("%s: error\n%v, want\n%s", tt.name, err, want)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the file is there (error %v)", tt.name, err)
		}
	}
}

func TestSaveRefusesWhatLoadWould(t *testing.T) {
	c := sample()
	c.Net.Name = strings.Repeat("x", 5<<20)
	err := checkpoint.Save(filepath.Join(t.TempDir(), "x.safetensors"), c)
	if want := "bytes of JSON, at most 4194304 are allowed"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

// TestLoadRefuses covers well-formed safetensors files that are not checkpoints.
func TestLoadRefuses(t *testing.T) {
	type parts struct {
		tensors map[string]safetensors.Tensor
		meta    map[string]string
	}
	f, err := safetensors.Open(save(t, sample()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	infos := f.Infos()
	tensors := map[string]safetensors.Tensor{}
	for _, info := range infos {
		data, err := f.Bytes(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		tensors[info.Name] = safetensors.Tensor{Name: info.Name, DType: info.DType, Shape: info.Shape, Data: data}
	}
	for _, tt := range []struct {
		name   string
		change func(parts)
		want   string
	}{
		{"another format", func(p parts) { p.meta["format"] = "pt" }, `not a checkpoint: metadata "format" is "pt", want "bnntool.checkpoint"`},
		{"newer version", func(p parts) { p.meta["version"] = "2" },
			`version "2" is not supported, only "1" is: use the bnntool that wrote the file`},
		{"unknown metadata", func(p parts) { p.meta["zeta"], p.meta["alpha"] = "", "" }, `metadata "alpha" is unknown`},
		{"no recipe", func(p parts) { delete(p.meta, "recipe") }, `metadata "recipe" is missing`},
		{"no net", func(p parts) { delete(p.meta, "net") }, `metadata "net" is missing`},
		{"unknown field", func(p parts) { p.meta["net"] = `{"name":"x","colour":1}` }, `metadata "net": model: network description, byte 23: json: unknown field "colour"`},
		{"two values", func(p parts) { p.meta["state"] += "{}" }, `metadata "state": more than one JSON value`},
		{"null net", func(p parts) { p.meta["net"] = "null" }, `metadata "net": model: network "" has no layers`},
		{"a net of 5 MB", func(p parts) { p.meta["net"] = strings.Repeat(" ", 5<<20) },
			`metadata "net": 5242880 bytes, at most 4194304 are allowed`},
		{"no state", func(p parts) { p.meta["state"] = "" }, `metadata "state": no JSON`},
		{"negative step", func(p parts) { p.meta["state"] = `{"step":-4}` }, `state: step is -4, want 0 or more`},
		{"another network", func(p parts) {
			p.meta["net"] = strings.Replace(p.meta["net"], `"fc"`, `"fc2"`, 1)
		}, `tensor "fc2.weight" is missing, network "tiny" needs it`},
		{"a wider network", func(p parts) {
			p.meta["net"] = strings.Replace(p.meta["net"], `"out":2,"kernel":3`, `"out":4,"kernel":3`, 1)
		}, `tensor "conv1.weight" is F32 [2 1 3 3], want F32 [4 1 3 3]`},
		{"a network of 1 GB", func(p parts) {
			p.meta["net"] = strings.Replace(p.meta["net"], `"out":2,"kernel":3`, `"out":1000000,"kernel":3`, 1)
		}, `tensor "conv1.weight" is F32 [2 1 3 3], want F32 [1000000 1 3 3]`},
		{"integers", func(p parts) { p.tensors["fc.bias"] = safetensors.I32("fc.bias", []int{2}, []int32{1, 2}) },
			`tensor "fc.bias" is I32 [2], want F32 [2]`},
		{"foreign tensor", func(p parts) { p.tensors["x"] = safetensors.F32("x", nil, []float32{1}) },
			`tensor "x" does not belong to network "tiny"`},
		{"foreign solver", func(p parts) { p.tensors["solver.lr"] = safetensors.F32("solver.lr", nil, []float32{1}) },
			`tensor "solver.lr": unknown solver state, want velocity., adam_m. or adam_v. and a parameter's name`},
		{"solver of nothing", func(p parts) {
			p.tensors["solver.velocity.x"] = safetensors.F32("solver.velocity.x", nil, []float32{1})
		}, `tensor "solver.velocity.x": the network has no parameter "x"`},
		{"solver's shape", func(p parts) {
			p.tensors["solver.velocity.fc.bias"] = safetensors.F32("solver.velocity.fc.bias", []int{2, 1}, []float32{1, 2})
		}, `tensor "solver.velocity.fc.bias" is F32 [2 1], want F32 [2]`},
		{"NaN", func(p parts) {
			p.tensors["fc.bias"] = safetensors.F32("fc.bias", []int{2}, []float32{1, float32(math.NaN())})
		}, `tensor "fc.bias": element 1 is NaN, want a finite number: the training diverged`},
	} {
		p := parts{maps.Clone(tensors), f.Metadata()}
		tt.change(p)
		path := filepath.Join(t.TempDir(), "x.safetensors")
		var list []safetensors.Tensor
		for _, tensor := range p.tensors {
			list = append(list, tensor)
		}
		if err := safetensors.WriteFile(path, list, safetensors.WriteOptions{Metadata: p.meta}); err != nil {
			t.Fatal(err)
		}
		_, err := checkpoint.Load(path)
		if want := "checkpoint: " + path + ": " + tt.want; err == nil || err.Error() != want {
			t.Errorf("%s: error\n%v, want\n%s", tt.name, err, want)
		}
	}
}

func TestDamageIsDetected(t *testing.T) {
	path := save(t, sample())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	load := func(b []byte) error {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := checkpoint.Load(path)
		return err
	}
	for i := range good {
		good[i] ^= 1 << (i % 8)
		if load(good) == nil {
			t.Errorf("a flipped bit in byte %d is not noticed", i)
		}
		good[i] ^= 1 << (i % 8)
	}
	for n := 0; n < len(good); n += 7 {
		if load(good[:n]) == nil {
			t.Errorf("the file cut to %d bytes is read", n)
		}
	}
	good[len(good)-1] ^= 0x80
	err = load(good)
	if !errors.Is(err, safetensors.ErrChecksum) {
		t.Fatalf("error %v, want a checksum mismatch", err)
	}
	for _, part := range []string{path, `tensor "solver.velocity.fc.weight"`, "expected crc32c ", ", found "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not contain %q", err, part)
		}
	}
}

// withoutChecksums returns the file as a tool writes it that knows nothing of our checksums.
func withoutChecksums(file []byte) []byte {
	n := binary.LittleEndian.Uint64(file)
	header := regexp.MustCompile(`"crc32c":"[^}]*}","crc32c.header":"[^"]*",`).ReplaceAll(file[8:8+n], nil)
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), file[8+n:]...)
}

func TestLoadWithoutChecksums(t *testing.T) {
	path := save(t, sample())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bare := withoutChecksums(good)
	if bytes.Contains(bare, []byte("crc32c")) {
		t.Fatalf("checksums are left in %q", bare)
	}
	if err := os.WriteFile(path, bare, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := checkpoint.Load(path); err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("loaded %+v, %v, want the sample", got, err)
	}
}

func FuzzLoad(f *testing.F) {
	good, err := os.ReadFile(save(f, sample()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(withoutChecksums(good)) // the fuzzer gets further
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := safetensors.NewFile(bytes.NewReader(b), int64(len(b)), "x")
		if err != nil {
			return
		}
		c, err := checkpoint.Read(file, "x")
		if err != nil {
			return
		}
		if err := c.Weights.Check(c.Net); err != nil {
			t.Errorf("a loaded checkpoint is not complete: %v", err)
		}
	})
}
