package convert

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// classes returns what e says of each image.
func classes(ctx context.Context, e *runtime.Engine, images [][]float32) ([]int, error) {
	n := len(e.Info().Classes)
	dst := make([]float32, n*len(images))
	if err := e.Infer(ctx, dst, slices.Concat(images...)); err != nil {
		return nil, err
	}
	var list []int
	for row := range slices.Chunk(dst, n) {
		list = append(list, slices.Index(row, slices.Max(row)))
	}
	return list, nil
}

// againstItself returns a score on n images whose labels are what ck's network says of them: with float32 leftovers all
// are right.
func againstItself(t testing.TB, ck *checkpoint.Checkpoint, n int) func(context.Context, *runtime.Engine) (int, int, error) {
	t.Helper()
	m, err := Lower(ck)
	if err != nil {
		t.Fatal(err)
	}
	e, err := runtime.New(m, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	images := randomImages(n, ck.Net.Input.Len())
	labels, err := classes(t.Context(), e, images)
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, e *runtime.Engine) (correct, total int, err error) {
		got, err := classes(ctx, e, images)
		for i := range got {
			if got[i] == labels[i] {
				correct++
			}
		}
		return correct, n, err
	}
}

// TestLeftovers converts with leftovers in 16 and 8 bits. Few images agree with themselves at first, so that tensors are widened
// until all do.
func TestLeftovers(t *testing.T) {
	nets := networks(t)
	for _, tt := range []struct {
		net       string
		leftovers Leftovers
		images    int
	}{
		{"recu-resnet20", Half, 60}, {"recu-resnet20", Byte, 60}, {"rep2-resnet20.json", Auto, 1000},
		{"recu-resnet18", Byte, 60}, {"reactnet-a", Half, 20},
	} {
		t.Run(tt.net+" "+string(tt.leftovers), func(t *testing.T) {
			ck := trained(t, nets[tt.net], 1)
			score := againstItself(t, ck, tt.images)
			path := filepath.Join(t.TempDir(), "model.bnn")
			r, err := Convert(t.Context(), ck, path, Options{Leftovers: tt.leftovers, Score: score})
			if err != nil {
				t.Fatal(err)
			}
			a := r.Accuracy
			if a == nil || a.Images != tt.images || a.Float32 != tt.images || math.Abs(a.Diff()) > MaxAccuracyDiff {
				t.Fatalf("accuracies %+v, want all of %d and a difference of at most %v points", a, tt.images, MaxAccuracyDiff)
			}
			e, err := runtime.Open(path, runtime.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := score(t.Context(), e); err != nil || got != a.Reduced {
				t.Errorf("the artifact has %d right, %v, the report says %d", got, err, a.Reduced)
			}
			m, err := artifact.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			var reduced, wide int
			for name := range m.Tensors {
				tensor := m.Tensors[name]
				switch c := tensor.Coding(); {
				case tensor.Float32 == nil:
				case c == artifact.AsFloat32 || tt.leftovers == Byte && c != artifact.AsInt8:
					wide++
				default:
					reduced++
				}
			}
			if reduced == 0 {
				t.Error("no tensor is reduced")
			}
			fallbacks := 0
			for i := range r.Layers {
				if r.Layers[i].Fallback != "" {
					fallbacks++
				}
			}
			if tt.leftovers != Auto && (wide > 0) != (fallbacks > 0) {
				t.Errorf("%d tensors are wider than asked for, %d layers have a fallback", wide, fallbacks)
			}
			if tt.leftovers == Auto && fallbacks > 0 {
				t.Errorf("%d layers have a fallback, want none with %s", fallbacks, Auto)
			}
		})
	}
}

// TestWidening makes only one tensor matter: a score that falls with the error of the classifier's weights. It alone is
// widened, as far as needed.
func TestWidening(t *testing.T) {
	ck := trained(t, networks(t)["recu-vggsmall"], 1)
	want := ck.Weights["fc.weight"]
	for _, tt := range []struct {
		worst float64 // error up to which all is well
		want  artifact.Coding
	}{{1, artifact.AsInt8}, {5e-3, artifact.AsFloat16}, {0, artifact.AsFloat32}} {
		_, _, m, err := build(ck)
		if err != nil {
			t.Fatal(err)
		}
		r := newReducer(t.Context(), m, &Options{Leftovers: Byte})
		r.score = func(m *artifact.Model) (int, int, error) {
			if _, d := furthest(m.Tensors["fc.weight"].Float32, want); d > tt.worst {
				return 1, 100, nil
			}
			return 90, 100, nil
		}
		a := &Accuracy{Images: 100, Float32: 90}
		got, err := r.reduce(t.Context(), a, randomImages(2, ck.Net.Input.Len()))
		if err != nil {
			t.Fatal(err)
		}
		fc := got.Tensors["fc.weight"]
		if fc.Coding() != tt.want || a.Reduced != 90 {
			t.Errorf("an error of %v allowed: fc.weight is %s, %d right, want %s and 90", tt.worst, fc.Coding(), a.Reduced, tt.want)
		}
		if wide := r.wide(Byte); slices.Contains(wide, "fc.weight") != (tt.want != artifact.AsInt8) {
			t.Errorf("an error of %v allowed: wide are %q", tt.worst, wide)
		}
	}
}

// TestRoundings lets only the third rounding to 8 bits be right: nothing is widened.
func TestRoundings(t *testing.T) {
	ck := trained(t, networks(t)["recu-vggsmall"], 1)
	_, _, m, err := build(ck)
	if err != nil {
		t.Fatal(err)
	}
	r := newReducer(t.Context(), m, &Options{Leftovers: Byte})
	tries := 0
	seen := make(map[float32]bool) // the first step of fc.weight
	r.score = func(m *artifact.Model) (int, int, error) {
		fc := m.Tensors["fc.weight"]
		seen[fc.Steps()[0]] = true
		if tries++; tries == 3 {
			return 90, 100, nil
		}
		return 1, 100, nil
	}
	if _, err := r.reduce(t.Context(), &Accuracy{Images: 100, Float32: 90}, nil); err != nil {
		t.Fatal(err)
	}
	if tries != 3 || len(seen) != 3 || len(r.wide(Byte)) != 0 {
		t.Errorf("%d tries with %d different steps, wide are %q, want 3, 3 and none", tries, len(seen), r.wide(Byte))
	}
}

func TestLeftoversThatStay(t *testing.T) {
	ck := trained(t, networks(t)["recu-vggsmall"], 1)
	path := filepath.Join(t.TempDir(), "model.bnn")
	score := func(images int) func(context.Context, *runtime.Engine) (int, int, error) {
		return func(context.Context, *runtime.Engine) (int, int, error) { return images / 2, images, nil }
	}
	failing := func(context.Context, *runtime.Engine) (int, int, error) { return 0, 0, errors.New("disk gone") }
	for _, tt := range []struct {
		name string
		o    Options
		note string
		err  string
	}{
		{"default", Options{Score: failing}, "", ""},
		{"strict", Options{Strict: true}, "", ""},
		{"auto without images", Options{Leftovers: Auto}, "there is no test set to verify the accuracy on", ""},
		{"auto with few", Options{Leftovers: Auto, Score: score(999)}, "999 test images are too few to measure 0.1 points", ""},
		{"strict auto with few", Options{Leftovers: Auto, Score: score(999), Strict: true}, "",
			"convert: strict: 999 test images are too few to measure 0.1 points"},
		{"no images", Options{Leftovers: Half, Score: score(0)}, "", "convert: the test set, which reduced leftovers are verified on, has no images"},
		{"failing", Options{Leftovers: Byte, Score: failing}, "", "convert: the accuracy with float32 leftovers: disk gone"},
		{"8 without images", Options{Leftovers: Byte}, "", "convert: leftovers in 8 bits need a test set to verify the accuracy on"},
		{"unknown", Options{Leftovers: "4"}, "", `convert: leftovers "4", want float32, 16, 8 or auto`},
	} {
		r, err := Convert(t.Context(), ck, path, tt.o)
		switch {
		case tt.err != "":
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: error %v, want %s", tt.name, err, tt.err)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case r.Note != tt.note || r.MaxDiff != 0 || r.Accuracy != nil:
			t.Errorf("%s: note %q, difference %v, accuracy %v, want %q, 0 and none", tt.name, r.Note, r.MaxDiff, r.Accuracy, tt.note)
		}
	}
}

func TestStrictNamesTheLayer(t *testing.T) {
	ck := trained(t, networks(t)["recu-vggsmall"], 1)
	_, err := Convert(t.Context(), ck, filepath.Join(t.TempDir(), "model.bnn"),
		Options{Leftovers: Byte, Score: againstItself(t, ck, 60), Strict: true})
	if want := `convert: strict: layer "`; err == nil || !strings.Contains(err.Error(), want) ||
		!strings.Contains(err.Error(), ": 8 bits cannot hold it, or the accuracy changes by more than 0.1 points") {
		t.Errorf("error %v, want one with %q", err, want)
	}
	bits := model.Layer{Op: model.Conv, WeightQuant: model.ReCUWeight, InputQuant: model.ReCUInput, Out: 4, Kernel: 3, Stride: 1, Pad: 1}
	named := func(l model.Layer, name string) model.Layer { l.Name = name; return l }
	for _, tt := range []struct {
		name   string
		layers []model.Layer
		change func(w model.Weights)
		want   string
	}{
		{"1-bit weights, real input", []model.Layer{
			{Name: "stem", Op: model.Conv, WeightQuant: model.ReCUWeight, Out: 4, Kernel: 3, Stride: 1}, {Name: "p", Op: model.GlobalAvgPool},
		}, nil, `convert: strict: layer "stem": its weights are 1-bit, but its input is real: both are floats on the device`},
		{"a sign that changes twice", []model.Layer{
			named(bits, "a"), {Name: "abs", Op: model.PReLU}, {Name: "shift", Op: model.Bias}, named(bits, "b"), {Name: "p", Op: model.GlobalAvgPool},
		}, func(w model.Weights) { w["abs.weight"][0], w["shift.bias"][0] = -1, -3 },
			`convert: strict: layer "shift": only its sign is used, of exact sums, but no integer threshold gives it: it is computed in floats`},
		{"a sign that changes once", []model.Layer{
			named(bits, "a"), {Name: "prelu", Op: model.PReLU}, named(bits, "b"), {Name: "p", Op: model.GlobalAvgPool},
		}, func(w model.Weights) { copy(w["prelu.weight"], []float32{0.25, 0.25, 0.25, 0.25}) }, ""},
	} {
		ck := trained(t, &model.Net{Name: tt.name, Beta: 1, Input: model.Shape{H: 4, W: 4, C: 3}, Layers: tt.layers}, 1)
		if tt.change != nil {
			tt.change(ck.Weights)
		}
		_, err := Convert(t.Context(), ck, filepath.Join(t.TempDir(), "model.bnn"), Options{Strict: true})
		if got := errorText(err); got != tt.want {
			t.Errorf("%s: error %q, want %q", tt.name, got, tt.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAccuracyAllowed(t *testing.T) {
	for _, tt := range []struct {
		a    Accuracy
		want bool
	}{
		{Accuracy{10000, 8700, 8710}, true}, {Accuracy{10000, 8700, 8690}, true},
		{Accuracy{10000, 8700, 8711}, false}, {Accuracy{10000, 8700, 8689}, false},
		{Accuracy{999, 500, 499}, false}, {Accuracy{999, 500, 500}, true}, {Accuracy{1000, 500, 499}, true},
	} {
		if got := tt.a.allowed(); got != tt.want {
			t.Errorf("%+v (%+.3f points): allowed is %v", tt.a, tt.a.Diff(), got)
		}
	}
}

// TestChoices: the 16-bit format is the one with the smaller error, and what cannot hold a tensor is no choice.
func TestChoices(t *testing.T) {
	for _, tt := range []struct {
		v    []float32
		l    Leftovers
		want []artifact.Coding
	}{
		{[]float32{0.1, 0.2}, Half, []artifact.Coding{artifact.AsFloat16, artifact.AsFloat32}},
		{[]float32{1e-9, 3e-9}, Half, []artifact.Coding{artifact.AsBFloat16, artifact.AsFloat32}},
		{[]float32{1e6, 1}, Byte, []artifact.Coding{artifact.AsInt8, artifact.AsBFloat16, artifact.AsFloat32}},
		{[]float32{math.MaxFloat32, 1}, Byte, []artifact.Coding{artifact.AsFloat32}},
	} {
		tensor := artifact.F32([]int{2}, tt.v)
		if got := choices(&tensor, tt.l); !slices.Equal(got, tt.want) {
			t.Errorf("%v with %s: choices %q, want %q", tt.v, tt.l, got, tt.want)
		}
	}
}

// TestCodedFilters: filters of few patterns are coded, and the artifact is still exact.
func TestCodedFilters(t *testing.T) {
	net, err := model.New("recu-vggsmall", model.Options{Input: model.Shape{H: 16, W: 16, C: 3}, Width: 32})
	if err != nil {
		t.Fatal(err)
	}
	ck := trained(t, net, 1)
	w := ck.Weights["conv5.weight"] // [128,128,3,3]
	for i := range w {
		if tap := i % 9; tap > 1 { // the first two taps are random
			w[i] = float32(tap%2) - 0.5
		}
	}
	path := filepath.Join(t.TempDir(), "model.bnn")
	r, err := Convert(t.Context(), ck, path, Options{})
	if err != nil || r.MaxDiff != 0 {
		t.Fatalf("error %v, or a difference", err)
	}
	m, err := artifact.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]artifact.Coding{"conv5.weight": artifact.AsPatterns, "conv4.weight": artifact.AsBits} {
		tensor := m.Tensors[name]
		if tensor.Coding() != want {
			t.Errorf("tensor %q is %s, want %s", name, tensor.Coding(), want)
		}
	}
	l := r.Layers[slices.IndexFunc(r.Layers, func(l LayerReport) bool { return l.Name == "conv5" })]
	if l.BytesReduced != 128*128*9/8 || l.BytesCoded > l.BytesReduced/2 || !slices.Equal(l.Codings, []artifact.Coding{artifact.AsPatterns}) {
		t.Errorf("conv5: %+v", l)
	}
}
