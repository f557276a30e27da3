package train

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// digitsOptions trains a small network on part of the digits: 3 epochs of 4 steps.
func digitsOptions(t testing.TB, dir string) Options {
	t.Helper()
	data, err := datasets.Open(context.Background(), datasets.Config{Name: datasets.Digits, LimitTrain: 110, LimitTest: 40}, datasets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	net, err := model.New("recu-resnet20", model.Options{Input: model.Shape{H: 8, W: 8, C: 1}, Width: 4, Blocks: 1})
	if err != nil {
		t.Fatal(err)
	}
	if net, err = reptran.Apply(net, reptran.Config{Beta: 2}); err != nil {
		t.Fatal(err)
	}
	c := Config{Epochs: 3, Batch: 32, Seed: 7, LR: 0.1, Momentum: 0.9, WeightDecay: 5e-4, WarmupEpochs: 5}.WithDefaults()
	return Options{Net: net, Config: c, Data: data, Augment: datasets.Augment{PadCrop: 1}, Preprocess: data.Preprocess, Dir: dir, Recipe: "recipe: test\n"}
}

func mustTrain(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Train(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func load(t *testing.T, path string) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sameTensors(t *testing.T, what string, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d tensors, want %d", what, len(got), len(want))
	}
	for name, v := range want {
		if !slices.Equal(got[name], v) {
			t.Errorf("%s: %s differs", what, name)
		}
	}
}

// withoutSeconds returns metrics.csv without its last column, which is time.
func withoutSeconds(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "metrics.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		b.WriteString(line[:strings.LastIndex(line, ",")] + "\n")
	}
	return b.String()
}

// TestResumeIsExact interrupts a training at every kind of place (inside an epoch, at its end, in the evaluation), with another
// number of threads each time: weights, solver and metrics equal those of an uninterrupted run bit for bit.
func TestResumeIsExact(t *testing.T) {
	whole := t.TempDir()
	want := mustTrain(t, digitsOptions(t, whole))
	for _, stopAt := range [][]int{{1}, {4}, {5}, {2, 3, 6}, {9, 1, 2}} {
		dir := t.TempDir()
		o := digitsOptions(t, dir)
		for i, stop := range append(stopAt, -1) {
			ctx, cancel := context.WithCancel(context.Background())
			calls := 0
			o.Progress = func(Progress) {
				if calls++; calls == stop {
					cancel()
				}
			}
			o.Threads, o.Resume = 1+i, i > 0
			_, err := Train(ctx, o)
			cancel()
			if stop > 0 && !errors.Is(err, ErrInterrupted) {
				t.Fatalf("stop %d of %v: error %v, want ErrInterrupted", i, stopAt, err)
			}
			if stop < 0 && err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"last.safetensors", "best.safetensors"} {
			got, full := load(t, filepath.Join(dir, name)), load(t, filepath.Join(whole, name))
			sameTensors(t, name, got.Weights, full.Weights)
			sameTensors(t, name+" solver", got.Solver, full.Solver)
			got.State.Seconds, full.State.Seconds = 0, 0
			if got.State != full.State {
				t.Errorf("stopped at %v: state of %s is %+v, want %+v", stopAt, name, got.State, full.State)
			}
		}
		if got, full := withoutSeconds(t, dir), withoutSeconds(t, whole); got != full {
			t.Errorf("stopped at %v: metrics\n%swant\n%s", stopAt, got, full)
		}
	}
	if want.Epochs != 3 || want.BestTop1 < want.LastTop1 {
		t.Errorf("result %+v", want)
	}
}

func TestRunFolderFaults(t *testing.T) {
	dir := t.TempDir()
	o := digitsOptions(t, dir)
	o.Config.Epochs, o.Config.LimitTrainBatches = 1, 1
	mustTrain(t, o)
	check := func(name, want string, change func(*Options)) {
		t.Helper()
		p := o
		change(&p)
		before, err := os.ReadFile(filepath.Join(dir, "last.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Train(context.Background(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", name, err, want)
		}
		if after, _ := os.ReadFile(filepath.Join(dir, "last.safetensors")); !bytes.Equal(after, before) {
			t.Errorf("%s: the checkpoint changed", name)
		}
	}
	check("run exists", "already holds a run", func(*Options) {})
	check("nothing to resume", "holds no run to resume", func(p *Options) { p.Resume, p.Dir = true, t.TempDir() })
	check("another recipe", "another recipe", func(p *Options) { p.Resume, p.Recipe = true, "other" })
	check("another network", "another network", func(p *Options) {
		p.Resume = true
		p.Net, _ = model.New("recu-resnet20", model.Options{Input: model.Shape{H: 8, W: 8, C: 1}, Width: 8, Blocks: 1})
	})
	check("another data set", "takes 8x8x1 images", func(p *Options) { p.Preprocess.H, p.Preprocess.W = 16, 16 })
	check("classes", "classes", func(p *Options) {
		d := *p.Data
		d.Classes = d.Classes[:9]
		p.Data = &d
	})
	check("bad config", "lr is -1", func(p *Options) { p.Config.LR = -1 })

	held, err := openRunFolder(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	check("two runs in one folder", "another process is training", func(p *Options) { p.Resume = true })
	held.close()

	last := filepath.Join(dir, "last.safetensors")
	data, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-5] ^= 1
	if err := os.WriteFile(last, data, 0o666); err != nil {
		t.Fatal(err)
	}
	check("flipped bit", "checksum", func(p *Options) { p.Resume = true })
}

// TestDivergence: a loss that is not a number ends the run with advice, and keeps what was saved.
func TestDivergence(t *testing.T) {
	o := digitsOptions(t, t.TempDir())
	o.Config.LR = 1e38
	if _, err := Train(context.Background(), o); err == nil || !strings.Contains(err.Error(), "diverged") {
		t.Errorf("error %v, want one that says the training diverged", err)
	}
}

// TestOverfit: binary networks, plain and replicated, learn 256 images by heart: the straight-through estimators work.
func TestOverfit(t *testing.T) {
	if testing.Short() {
		t.Skip("trains two networks")
	}
	for _, beta := range []int{1, 2} {
		data, err := datasets.Open(context.Background(), datasets.Config{Name: datasets.Digits, LimitTrain: 256, LimitTest: 100}, datasets.Options{})
		if err != nil {
			t.Fatal(err)
		}
		net, err := model.New("recu-resnet20", model.Options{Input: model.Shape{H: 8, W: 8, C: 1}, Width: 16, Blocks: 1})
		if err != nil {
			t.Fatal(err)
		}
		if net, err = reptran.Apply(net, reptran.Config{Beta: beta}); err != nil {
			t.Fatal(err)
		}
		c := Config{Epochs: 40, Batch: 64, Seed: 1, LR: 0.1, Momentum: 0.9, WarmupEpochs: 5}.WithDefaults()
		var last Metrics
		_, err = Train(context.Background(), Options{Net: net, Config: c, Data: data, Preprocess: data.Preprocess, Dir: t.TempDir(),
			EpochDone: func(m Metrics) { last = m }})
		if err != nil {
			t.Fatal(err)
		}
		if last.TrainTop1 < 95 {
			t.Errorf("beta %d: %.1f%% of the training images after 40 epochs, want at least 95%%", beta, last.TrainTop1)
		}
	}
}
