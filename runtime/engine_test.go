package runtime_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// mustNew returns an engine of m.
func mustNew(t testing.TB, m *artifact.Model, o runtime.Options) *runtime.Engine {
	t.Helper()
	e, err := runtime.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// images returns n images for m, with zeros of both signs among their values.
func images(m *artifact.Model, n int) []float32 {
	rng := rand.New(rand.NewPCG(7, 7))
	return fill(n*m.Input[0]*m.Input[1]*m.Input[2], func() float32 {
		switch rng.IntN(10) {
		case 0:
			return 0
		case 1:
			var zero float32
			return -zero
		}
		return float32(rng.NormFloat64())
	})
}

// infer returns the logits of images.
func infer(t testing.TB, e *runtime.Engine, src []float32) []float32 {
	t.Helper()
	info := e.Info()
	dst := make([]float32, len(src)/(info.H*info.W*info.C)*len(info.Classes))
	if err := e.Infer(context.Background(), dst, src); err != nil {
		t.Fatal(err)
	}
	return dst
}

// TestRandomModels compares every value of random graphs with the formulas.
func TestRandomModels(t *testing.T) {
	models := 400
	if testing.Short() {
		models = 120
	}
	kinds := map[artifact.Kind]int{}
	for seed := range uint64(models) {
		m := randomModel(seed, 3+int(seed%20))
		e := mustNew(t, m, runtime.Options{Threads: 1})
		src := images(m, 1)
		want := reference(m, src)
		err := e.Trace(context.Background(), src, func(v runtime.Traced) error {
			if got, want := v.Values, want[v.Op].v; !slices.Equal(got, want) {
				t.Fatalf("model %d: op %q: got %v, want %v", seed, v.Op, got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("model %d: %v", seed, err)
		}
		logits := m.Ops[len(m.Ops)-1].Name
		if got := infer(t, e, src); !slices.Equal(got, want[logits].v) {
			t.Fatalf("model %d: logits are %v, want %v", seed, got, want[logits].v)
		}
		for _, l := range e.Info().Layers {
			kinds[l.Kind]++
		}
	}
	for _, k := range []artifact.Kind{artifact.Conv, artifact.BinConv, artifact.MaxPool, artifact.Affine, artifact.Threshold, artifact.Hardtanh,
		artifact.PReLU, artifact.Add, artifact.Concat, artifact.Tile, artifact.PadChannels, artifact.TakeChannels, artifact.AvgPool,
		artifact.GlobalAvgPool, artifact.Flatten, artifact.Linear} {
		if kinds[k] == 0 {
			t.Errorf("no random model has a %s", k)
		}
	}
}

// fusedForms are what is computed in one step, and why something is not: the kinds of the operations and what the step makes.
var fusedForms = []string{
	"binconv affine float", "binconv affine bits", "binconv affine float+bits", "binconv affine hardtanh float",
	"binconv affine add float", "binconv affine add bits", "binconv affine add hardtanh float",
	"binconv affine add hardtanh float+bits", "binconv affine add hardtanh bits",
	"binconv threshold bits", "binconv maxpool threshold bits", "binconv counts",
	"conv affine float", "conv affine hardtanh tile bits", "conv hardtanh tile float+bits", "conv affine tile float+bits", "conv float",
	"avgpool padchannels ", "concat affine prelu affine affine float+bits", "affine prelu affine float", "prelu affine float",
	"concat prelu float+bits", "prelu float+bits",
	"operations take its counts", "takes its counts", "takes its bits in groups", "no threshold alone", "in groups have no kernel",
}

// TestFused draws random models until each form has occurred; that the steps compute what their operations do is what
// Trace compares.
func TestFused(t *testing.T) {
	missing := map[string]bool{}
	for _, form := range fusedForms {
		missing[form] = true
	}
	for seed := uint64(0); seed < 5000 && len(missing) > 0; seed++ {
		m := randomModel(seed, 3+int(seed%20))
		e, found := mustNew(t, m, runtime.Options{}), false
		for _, l := range e.Info().Layers {
			form := string(l.Kind)
			for _, name := range l.Fused {
				form += " " + strings.TrimRight(name, "0123456789")
			}
			_, result, _ := strings.Cut(l.Kernel, "->")
			if len(l.Fused) > 0 != strings.HasPrefix(l.Why, "fused with ") {
				t.Errorf("model %d: %q computes %q as well, because %q", seed, l.Name, l.Fused, l.Why)
			}
			for want := range missing {
				if want == form+" "+result || strings.HasPrefix(l.Why, "not fused: ") && strings.Contains(l.Why, want) {
					delete(missing, want)
					found = true
				}
			}
		}
		if found {
			if err := e.Trace(context.Background(), images(m, 1), func(runtime.Traced) error { return nil }); err != nil {
				t.Errorf("model %d: %v", seed, err)
			}
		}
	}
	for form := range missing {
		t.Errorf("no random model has %q", form)
	}
}

// TestArenaIsShared checks that the working memory follows the longest-lived values, not the number of layers.
func TestArenaIsShared(t *testing.T) {
	deep := func(layers int) *artifact.Model {
		g := &generator{rng: rand.New(rand.NewPCG(1, 1)), model: &artifact.Model{Input: [3]int{8, 8, 3}, Tensors: map[string]artifact.Tensor{}}}
		g.model.Preprocess = randomModel(0, 1).Preprocess
		g.model.Preprocess.H, g.model.Preprocess.W, g.model.Preprocess.C = 8, 8, 3
		g.model.Preprocess.Mean, g.model.Preprocess.Std = make([]float32, 3), []float32{1, 1, 1}
		x := genValue{artifact.ImageInput, artifact.FloatValue, 8, 8, 3}
		for range layers {
			x = g.add(artifact.Op{Kind: artifact.Affine, Bias: g.vector(3)}, artifact.FloatValue, 8, 8, 3, x)
			x = g.add(artifact.Op{Kind: artifact.BinConv, Out: 3, Kernel: 3, Stride: 1, Pad: 1,
				Weights: g.tensor(artifact.Bits([]int{3, 3, 3, 3}, g.bits(27, 3)))}, artifact.CountsValue, 8, 8, 3, x)
		}
		x = g.affine(x)
		g.add(artifact.Op{Kind: artifact.GlobalAvgPool}, artifact.FloatValue, 1, 1, x.c, x)
		for range x.c {
			g.model.Classes = append(g.model.Classes, "a class")
		}
		return g.model
	}
	two := mustNew(t, deep(2), runtime.Options{}).Info().ArenaBytes
	fifty := mustNew(t, deep(50), runtime.Options{}).Info().ArenaBytes
	if fifty > two {
		t.Errorf("50 layers need %d bytes, 2 layers %d: want the same", fifty, two)
	}
}

func TestInfo(t *testing.T) {
	m := randomModel(3, 12)
	m.Source = map[string]string{"epoch": "7"}
	info := mustNew(t, m, runtime.Options{}).Info()
	if info.Name != m.Name || [3]int{info.H, info.W, info.C} != m.Input || !slices.Equal(info.Classes, m.Classes) || info.Source["epoch"] != "7" {
		t.Errorf("Info() = %+v, does not describe %+v", info, m)
	}
	var bytes, macs int64
	for _, l := range info.Layers {
		bytes, macs = bytes+l.WeightBytes, macs+l.MACs
		if l.Kernel == "" || l.H*l.W*l.C == 0 {
			t.Errorf("layer %+v lacks its kernel or shape", l)
		}
	}
	if bytes != info.WeightBytes || macs != info.MACs {
		t.Errorf("the layers have %d bytes and %d MACs, Info says %d and %d", bytes, macs, info.WeightBytes, info.MACs)
	}
}

func TestOptions(t *testing.T) {
	if _, err := runtime.New(randomModel(1, 3), runtime.Options{Threads: -1}); err == nil {
		t.Error("Threads -1: no error")
	}
}
