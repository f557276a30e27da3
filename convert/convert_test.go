package convert

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/model"
)

// TestEqualsOracle converts the zoo and compares not only the logits but every layer's value, bit for bit.
func TestEqualsOracle(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	nets := networks(t)
	for _, name := range slices.Sorted(maps.Keys(nets)) {
		t.Run(name, func(t *testing.T) {
			for seed := range seeds {
				ck := trained(t, nets[name], seed)
				path := filepath.Join(t.TempDir(), "model.bnn")
				r, err := Convert(t.Context(), ck, path, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if r.MaxDiff != 0 || r.Images != 4 {
					t.Errorf("largest difference %v over %d images, want 0 over 4", r.MaxDiff, r.Images)
				}
				e, err := runtime.Open(path, runtime.Options{})
				if err != nil {
					t.Fatal(err)
				}
				f, g, _, err := build(ck)
				if err != nil {
					t.Fatal(err)
				}
				for _, image := range randomImages(2, ck.Net.Input.Len()) {
					if d := firstDifference(t.Context(), e, f, g, image); d != "no layer differs by itself" {
						t.Error(d)
					}
				}
			}
		})
	}
}

// TestLogitsVary guards the test above against networks whose logits do not depend on the image.
func TestLogitsVary(t *testing.T) {
	for name, net := range networks(t) {
		f, err := model.Freeze(net, trained(t, net, 0).Weights)
		if err != nil {
			t.Fatal(err)
		}
		x := randomImages(2, net.Input.Len())
		a, _ := f.Forward(x[0])
		b, _ := f.Forward(x[1])
		if _, d := furthest(a, b); d == 0 {
			t.Errorf("%s: two images have the same logits %v", name, a)
		}
	}
}

func TestDeterministic(t *testing.T) {
	dir := t.TempDir()
	net := networks(t)["rep2-resnet20.json"]
	var files [2][]byte
	for i := range files {
		ck := trained(t, net, 1)
		ck.State.Seconds = float64(i) // how long training took does not matter
		path := filepath.Join(dir, "model.bnn")
		if _, err := Convert(t.Context(), ck, path, Options{RandomImages: -1}); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("the same checkpoint gave two different artifacts")
	}
}

// TestFailureLeavesNothing makes conversions fail at different points and looks at the folder afterwards.
func TestFailureLeavesNothing(t *testing.T) {
	net := networks(t)["recu-resnet20"]
	for _, tt := range []struct {
		name string
		run  func(path string) error
		want string
	}{
		{"too few classes", func(path string) error {
			ck := trained(t, net, 1)
			ck.Classes = ck.Classes[1:]
			_, err := Convert(t.Context(), ck, path, Options{})
			return err
		}, "9 classes"},
		{"missing tensor", func(path string) error {
			ck := trained(t, net, 1)
			delete(ck.Weights, "layer1.0.conv1.weight")
			_, err := Convert(t.Context(), ck, path, Options{})
			return err
		}, `"layer1.0.conv1.weight"`},
		{"image of another size", func(path string) error {
			_, err := Convert(t.Context(), trained(t, net, 1), path, Options{Images: [][]float32{make([]float32, 5)}})
			return err
		}, "image 0 has 5 elements"},
		{"tolerance", func(path string) error {
			_, err := Convert(t.Context(), trained(t, net, 1), path, Options{Tolerance: -1})
			return err
		}, "Tolerance"},
		{"preprocessing of another size", func(path string) error {
			ck := trained(t, net, 1)
			ck.Preprocess.H++
			_, err := Convert(t.Context(), ck, path, Options{})
			return err
		}, "13x12x3"},
		{"cancelled", func(path string) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := Convert(ctx, trained(t, net, 1), path, Options{})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: error is %v, want context.Canceled", err)
			}
			return err
		}, "canceled"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "model.bnn")
		if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := tt.run(path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want one with %q", tt.name, err, tt.want)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("%s: %d files are left, want the old one only", tt.name, len(list))
		}
		if raw, _ := os.ReadFile(path); string(raw) != "before" {
			t.Errorf("%s: the file that was there has changed", tt.name)
		}
	}
	if _, err := Convert(t.Context(), trained(t, net, 1), filepath.Join(t.TempDir(), "no", "model.bnn"), Options{}); err == nil {
		t.Error("a folder that does not exist: no error")
	}
}

// TestFilePermissions: an artifact is a file like any other, not a private temporary one.
func TestFilePermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.bnn")
	if _, err := Convert(t.Context(), trained(t, networks(t)["recu-vggsmall"], 1), path, Options{RandomImages: 1}); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := st.Mode().Perm(); got != 0o644 {
		t.Errorf("permissions are %v, want %v", got, os.FileMode(0o644))
	}
}

// TestVerifyFindsTheLayer compares an artifact with the oracle of a network that differs in one weight.
func TestVerifyFindsTheLayer(t *testing.T) {
	for _, tt := range []struct{ net, tensor, layer string }{
		{"recu-resnet20", "layer1.0.conv2.weight", "layer1.0.conv2"},
		{"recu-vggsmall", "bn2.bias", "bn2"},
		{"rep2-resnet20.json", "linear.bias", "linear"},
	} {
		ck := trained(t, networks(t)[tt.net], 2)
		_, g, m, err := build(ck)
		if err != nil {
			t.Fatal(err)
		}
		if ck.Weights[tt.tensor] == nil {
			t.Fatalf("%s: no tensor %q", tt.net, tt.tensor)
		}
		for i := range ck.Weights[tt.tensor] {
			ck.Weights[tt.tensor][i] *= -1
		}
		other, err := model.Freeze(ck.Net, ck.Weights)
		if err != nil {
			t.Fatal(err)
		}
		e, err := runtime.New(m, runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		images := randomImages(3, ck.Net.Input.Len())
		_, err = verify(t.Context(), e, other, g, images, 0)
		if want := `first layer to differ is "` + tt.layer + `"`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want one with %q", tt.net, err, want)
		}
		diff, err := verify(t.Context(), e, other, g, images, 1e9)
		if err != nil || diff == 0 {
			t.Errorf("%s: with a large tolerance: difference %v, error %v, want a difference and no error", tt.net, diff, err)
		}
	}
}

func TestRefusesRealWeightsOnBits(t *testing.T) {
	net := &model.Net{Name: "step one", Beta: 1, Input: model.Shape{H: 4, W: 4, C: 3}, Layers: []model.Layer{
		{Name: "c", Op: model.Conv, Out: 2, Kernel: 3, Stride: 1, Pad: 1, InputQuant: model.ApproxSignInput},
		{Name: "p", Op: model.GlobalAvgPool},
	}}
	_, err := Lower(trained(t, net, 1))
	if err == nil || !strings.Contains(err.Error(), `layer "c"`) {
		t.Errorf("error is %v, want one that names the layer", err)
	}
}

// TestUnusualNetworks has what the zoo has not: scales that no batch norm takes over, sums that are logits, tiles
// before pools, dead layers, identities, groups.
func TestUnusualNetworks(t *testing.T) {
	bits := func(l model.Layer) model.Layer {
		l.Op, l.WeightQuant, l.InputQuant = model.Conv, model.ReCUWeight, model.ReCUInput
		l.Stride = max(l.Stride, 1)
		return l
	}
	for _, tt := range []struct {
		name   string
		layers []model.Layer
		kinds  string // of the operations
	}{
		{"sums as logits", []model.Layer{bits(model.Layer{Name: "a", Out: 3, Kernel: 6})}, "binconv affine"},
		{"scale stays", []model.Layer{
			bits(model.Layer{Name: "a", Out: 4, Kernel: 3, Pad: 1, Alpha: true}),
			bits(model.Layer{Name: "b", Out: 2, Kernel: 3, Alpha: true}),
			{Name: "add", Op: model.Add, Inputs: []string{"b", "b"}},
			{Name: "p", Op: model.GlobalAvgPool},
		}, "binconv threshold binconv affine add globalavgpool"},
		{"sign of a sum", []model.Layer{
			bits(model.Layer{Name: "a", Out: 5, Kernel: 3, Pad: 1}),
			bits(model.Layer{Name: "b", Out: 2, Kernel: 3}),
			{Name: "bn", Op: model.BatchNorm},
			{Name: "p", Op: model.GlobalAvgPool},
		}, "binconv binconv affine globalavgpool"},
		{"tiles and pools", []model.Layer{
			bits(model.Layer{Name: "a", Out: 3, Kernel: 3, Pad: 1, Alpha: true}),
			{Name: "t1", Op: model.Tile, Factor: 2},
			{Name: "m1", Op: model.MaxPool, Kernel: 2, Stride: 2},
			{Name: "t2", Op: model.Tile, Factor: 3, Interleave: true},
			{Name: "m2", Op: model.MaxPool, Kernel: 2, Stride: 1},
			{Name: "bn", Op: model.BatchNorm},
			{Name: "h", Op: model.Hardtanh},
			bits(model.Layer{Name: "b", Out: 4, Kernel: 2, Groups: 2}),
			{Name: "t3", Op: model.Tile, Factor: 2},
			{Name: "f", Op: model.Flatten},
		}, "binconv maxpool maxpool affine affine binconv affine flatten"},
		{"tile of a sum before a sign", []model.Layer{
			bits(model.Layer{Name: "a", Out: 3, Kernel: 3, Pad: 1}),
			{Name: "t", Op: model.Tile, Factor: 2, Interleave: true},
			bits(model.Layer{Name: "b", Out: 2, Kernel: 3, Groups: 2}),
			{Name: "p", Op: model.GlobalAvgPool},
		}, "binconv threshold binconv affine globalavgpool"},
		{"chain before a sign", []model.Layer{
			bits(model.Layer{Name: "a", Out: 3, Kernel: 3, Pad: 1}),
			{Name: "bn", Op: model.BatchNorm},
			{Name: "h", Op: model.Hardtanh},
			{Name: "s", Op: model.Bias},
			bits(model.Layer{Name: "b", Out: 2, Kernel: 3, Alpha: true}),
			{Name: "p", Op: model.GlobalAvgPool},
		}, "binconv threshold binconv affine globalavgpool"},
		{"identities and dead layers", []model.Layer{
			{Name: "c", Op: model.Conv, Out: 4, Kernel: 3, Stride: 1, Pad: 1, WeightQuant: model.ReCUWeight},
			{Name: "t", Op: model.Tile, Factor: 1},
			{Name: "k", Op: model.TakeChannels, Out: 4},
			{Name: "dead", Op: model.BatchNorm},
			{Name: "q", Op: model.AvgPool, Kernel: 1, Stride: 1, Inputs: []string{"k"}},
			{Name: "d", Op: model.PadChannels, Out: 4},
			{Name: "p", Op: model.GlobalAvgPool},
			{Name: "m", Op: model.MaxPool, Kernel: 1, Stride: 1},
		}, "conv globalavgpool"},
		{"two uses of one value", []model.Layer{
			bits(model.Layer{Name: "a", Out: 4, Kernel: 3, Pad: 1}),
			{Name: "bn", Op: model.BatchNorm},
			{Name: "h", Op: model.Hardtanh},
			bits(model.Layer{Name: "b", Out: 4, Kernel: 3, Pad: 1}),
			{Name: "bn2", Op: model.BatchNorm},
			{Name: "add", Op: model.Add, Inputs: []string{"h", "bn2"}},
			{Name: "p", Op: model.GlobalAvgPool},
		}, "binconv affine hardtanh binconv affine add globalavgpool"},
	} {
		net := &model.Net{Name: tt.name, Beta: 1, Input: model.Shape{H: 6, W: 6, C: 3}, Layers: tt.layers}
		for seed := range uint64(8) {
			ck := trained(t, net, seed)
			path := filepath.Join(t.TempDir(), "model.bnn")
			if _, err := Convert(t.Context(), ck, path, Options{}); err != nil {
				t.Errorf("%s: %v", tt.name, err)
				break
			}
			m, err := artifact.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			var kinds []string
			for i := range m.Ops {
				kinds = append(kinds, string(m.Ops[i].Kind))
			}
			if got := strings.Join(kinds, " "); got != tt.kinds {
				t.Errorf("%s: operations %s, want %s", tt.name, got, tt.kinds)
				break
			}
		}
	}
}
