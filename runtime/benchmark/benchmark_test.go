package benchmark

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// model writes a small network of float and 1-bit layers and returns its path.
func model(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.bnn")
	err := artifact.Write(path, &artifact.Model{
		Name: "small", Input: [3]int{8, 8, 3}, Classes: []string{"a", "b"},
		Preprocess: preprocess.Config{H: 8, W: 8, C: 3, Mean: make([]float32, 3), Std: []float32{1, 1, 1}},
		Ops: []artifact.Op{
			{Name: "conv", Kind: artifact.BinConv, Inputs: []string{artifact.ImageInput}, Out: 2, Kernel: 3, Stride: 1, Pad: 1, Weights: "w"},
			{Name: "scaled", Kind: artifact.Affine, Inputs: []string{"conv"}, Scale: "s"},
			{Name: "logits", Kind: artifact.GlobalAvgPool, Inputs: []string{"scaled"}},
		},
		Tensors: map[string]artifact.Tensor{
			"w": artifact.Bits([]int{2, 3, 3, 3}, make([]uint64, 18)),
			"s": artifact.F32([]int{2}, []float32{1, 2}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestModel(t *testing.T) {
	r, err := Model(context.Background(), model(t), Options{Threads: []int{2, 1}, Batches: []int{3, 1}, Time: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if tier, _ := kernel.Tier(); r.Tier != tier || r.Info.Name != "small" || r.Info.FileBytes == 0 {
		t.Errorf("the result is of %q, %d bytes, on %s kernels", r.Info.Name, r.Info.FileBytes, r.Tier)
	}
	var got [][2]int
	for _, l := range r.Latencies {
		got = append(got, [2]int{l.Threads, l.Batch})
		if len(l.Samples) < MinSamples || l.Min() <= 0 || l.Min() > l.Median() || l.Median() > l.P99() || l.ImagesPerSecond() <= 0 {
			t.Errorf("%d threads, %d images: %d samples, min %v, median %v, p99 %v", l.Threads, l.Batch, len(l.Samples), l.Min(), l.Median(), l.P99())
		}
	}
	if want := [][2]int{{2, 3}, {2, 1}, {1, 3}, {1, 1}}; !slices.Equal(got, want) {
		t.Errorf("measured %v, want %v", got, want)
	}
	if len(r.Layers) != len(r.Info.Layers) {
		t.Fatalf("%d layers, want %d", len(r.Layers), len(r.Info.Layers))
	}
	share, macs := 0.0, int64(0)
	for i, l := range r.Layers {
		if l.Name != r.Info.Layers[i].Name || len(l.Samples) < MinSamples || l.GMACs() < 0 {
			t.Errorf("layer %d is %q with %d samples, want %q", i, l.Name, len(l.Samples), r.Info.Layers[i].Name)
		}
		share, macs = share+l.Share, macs+l.MACs
	}
	if share < 0.999 || share > 1.001 || macs == 0 {
		t.Errorf("the layers' shares are %v in all, their multiplications %d", share, macs)
	}
}

func TestModelErrors(t *testing.T) {
	path := model(t)
	for _, tt := range []struct {
		name string
		path string
		o    Options
	}{
		{"no file", path + "x", Options{}},
		{"no threads", path, Options{Threads: []int{1, 0}}},
		{"no images", path, Options{Batches: []int{0}}},
		{"no time", path, Options{Time: -1}},
	} {
		if _, err := Model(context.Background(), tt.path, tt.o); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Model(ctx, path, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error is %v, want context.Canceled", err)
	}
}

func TestKernels(t *testing.T) {
	list, err := Kernels(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range list {
		if want := kernelShapes[i]; [3]int{k.H, k.Cin, k.Cout} != want || k.W != k.H || k.Name == "" {
			t.Errorf("kernel %d is %dx%d, %d to %d channels by %q, want %v", i, k.H, k.W, k.Cin, k.Cout, k.Name, want)
		}
		if len(k.Samples) != MinSamples || k.Min() <= 0 || k.Min() > k.Median() || k.GMACs() <= 0 {
			t.Errorf("%dx%dx%d: %d samples, min %v, median %v", k.H, k.W, k.Cin, len(k.Samples), k.Min(), k.Median())
		}
	}
	if len(list) != len(kernelShapes) {
		t.Errorf("%d kernels, want %d", len(list), len(kernelShapes))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Kernels(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error is %v, want context.Canceled", err)
	}
}

func TestSamples(t *testing.T) {
	upTo := func(n int) Samples {
		times := make([]time.Duration, n)
		for i := range times {
			times[i] = time.Duration(n - i)
		}
		return sampled(times)
	}
	for _, tt := range []struct {
		n, median, p99 int
	}{{1, 1, 1}, {2, 2, 2}, {31, 16, 31}, {99, 50, 99}, {100, 51, 99}, {101, 51, 100}, {1000, 501, 990}} {
		s := upTo(tt.n)
		if s.Min() != 1 || int(s.Median()) != tt.median || int(s.P99()) != tt.p99 {
			t.Errorf("1 to %d: min %d, median %d, p99 %d, want 1, %d, %d", tt.n, s.Min(), s.Median(), s.P99(), tt.median, tt.p99)
		}
	}
}
