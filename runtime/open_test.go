package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// write writes m to a file and returns its path.
func write(t testing.TB, m *artifact.Model) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.bnn")
	if err := artifact.Write(path, m); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	m := randomModel(4, 15)
	path := write(t, m)
	e, err := runtime.Open(path, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	src := images(m, 2)
	if got, want := infer(t, e, src), infer(t, mustNew(t, m, runtime.Options{}), src); !slices.Equal(got, want) {
		t.Errorf("from the file: logits %v, want %v", got, want)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Info().FileBytes; got != st.Size() {
		t.Errorf("FileBytes is %d, want %d", got, st.Size())
	}
}

// TestOpenDamaged cuts and changes a file in many places. Every one is found, and the message names the file once.
func TestOpenDamaged(t *testing.T) {
	path := write(t, randomModel(4, 6))
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, raw []byte) {
		t.Helper()
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := runtime.Open(path, runtime.Options{})
		if err == nil {
			t.Fatalf("%s: no error", what)
		}
		if n := strings.Count(err.Error(), path); n != 1 {
			t.Fatalf("%s: the error names the file %d times, want once: %v", what, n, err)
		}
	}
	for n := 0; n < len(good); n += 1 + len(good)/200 {
		check("cut off", good[:n])
		flipped := bytes.Clone(good)
		flipped[n] ^= 1 << (n % 8)
		check("bit flipped", flipped)
	}
	check("longer", append(bytes.Clone(good), 0))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := runtime.Open(path, runtime.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: error is %v, want fs.ErrNotExist", err)
	}
}

// TestNewHostile changes one thing in a model that can be run. New returns an error that names it.
func TestNewHostile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(m *artifact.Model)
		want   string
	}{
		{"no operations", func(m *artifact.Model) { m.Ops = nil }, "operations"},
		{"unknown kind", func(m *artifact.Model) { m.Ops[0].Kind = "fft" }, `"fft"`},
		{"input after itself", func(m *artifact.Model) { m.Ops[0].Inputs[0] = "logits" }, `"logits"`},
		{"tensor of another size", func(m *artifact.Model) { m.Tensors["ten"] = artifact.F32([]int{2}, []float32{1, 1}) }, `"ten"`},
		{"shape larger than the data", func(m *artifact.Model) { m.Tensors["ten"] = artifact.F32([]int{1 << 30}, []float32{1}) }, `"ten"`},
		{"no tensor", func(m *artifact.Model) { delete(m.Tensors, "ten") }, `"ten"`},
		{"huge image", func(m *artifact.Model) { m.Input = [3]int{1 << 20, 1 << 20, 3} }, "image"},
		{"huge tile", func(m *artifact.Model) { m.Ops[1].Factor = 1 << 30 }, "factor"},
		{"bits as logits", func(m *artifact.Model) {
			m.Ops[1] = artifact.Op{Name: "logits", Kind: artifact.BinConv, Inputs: []string{"mean"}, Out: 3, Kernel: 1, Stride: 1, Weights: "w"}
			m.Tensors = map[string]artifact.Tensor{"w": artifact.Bits([]int{3, 3, 1, 1}, make([]uint64, 3))}
		}, `"logits"`},
		{"two classes", func(m *artifact.Model) { m.Classes = m.Classes[1:] }, "classes"},
	} {
		m := colours()
		tt.change(m)
		if _, err := runtime.New(m, runtime.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

// FuzzOpen opens arbitrary files and runs those that are artifacts. Nothing panics.
func FuzzOpen(f *testing.F) {
	for seed := range uint64(4) {
		raw, err := os.ReadFile(write(f, randomModel(seed, 8)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "model.bnn")
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		e, err := runtime.Open(path, runtime.Options{Threads: 1})
		if err != nil {
			return
		}
		run(t, e)
	})
}

// FuzzGraph reads the graph of a model from arbitrary bytes, past the checksums that stop FuzzOpen early: each byte
// changes one number or name of a random model. What New accepts runs.
func FuzzGraph(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2})
	f.Add(uint64(2), []byte{3, 2, 9, 200, 1, 7})
	f.Fuzz(func(t *testing.T, seed uint64, changes []byte) {
		m := randomModel(seed, 8)
		for ; len(changes) >= 3; changes = changes[3:] {
			op := &m.Ops[int(changes[0])%len(m.Ops)]
			value := int(int8(changes[2]))
			switch changes[1] % 14 {
			case 0:
				op.Out = value
			case 1:
				op.Kernel = value
			case 2:
				op.Stride = value
			case 3:
				op.Pad = value
			case 4:
				op.Groups = value
			case 5:
				op.Factor = value
			case 6:
				op.Interleave = !op.Interleave
			case 7:
				op.Inputs[0] = m.Ops[int(changes[2])%len(m.Ops)].Name
			case 8:
				op.Kind = m.Ops[int(changes[2])%len(m.Ops)].Kind
			case 9:
				op.Weights = m.Ops[int(changes[2])%len(m.Ops)].Weights
			case 10:
				op.Scale, op.Bias = op.Bias, op.Scale
			case 11:
				op.Flip = ""
			case 12:
				m.Input[changes[2]%3] = value
			case 13:
				op.Inputs = append(op.Inputs, artifact.ImageInput)
			}
		}
		m.Preprocess.H, m.Preprocess.W = m.Input[0], m.Input[1]
		if e, err := runtime.New(m, runtime.Options{Threads: 1}); err == nil {
			run(t, e)
		}
	})
}

// run computes an image on e unless that is a lot of work.
func run(t *testing.T, e *runtime.Engine) {
	info := e.Info()
	if info.MACs > 1<<24 || info.ArenaBytes > 1<<24 {
		return
	}
	src, dst := make([]float32, info.H*info.W*info.C), make([]float32, len(info.Classes))
	if err := e.Infer(context.Background(), dst, src); err != nil {
		t.Fatal(err)
	}
}
