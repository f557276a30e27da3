package train

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/internal/golden"
	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/model"
)

// curveLine is one line of a golden training curve.
type curveLine struct {
	kind              string
	epoch             int
	lr, tau, loss, ok float64
}

// readCurve reads a golden curve: the mean of the training lines of each epoch, and its test line.
func readCurve(t *testing.T, path string) (train, test []curveLine) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	steps := 0
	for s := bufio.NewScanner(file); s.Scan(); {
		var l curveLine
		fields := strings.Split(s.Text(), ",")
		if len(fields) != 7 || fields[0] == "kind" {
			continue
		}
		if _, err := fmt.Sscan(strings.Join([]string{fields[0], fields[1], fields[3], fields[4], fields[5], fields[6]}, " "),
			&l.kind, &l.epoch, &l.lr, &l.tau, &l.loss, &l.ok); err != nil {
			t.Fatalf("%s: %q: %v", path, s.Text(), err)
		}
		if l.kind == "test" {
			last := &train[len(train)-1]
			last.loss, last.ok = last.loss/float64(steps), last.ok/float64(steps)
			test, steps = append(test, l), 0
			continue
		}
		if len(train) == l.epoch {
			train = append(train, curveLine{kind: l.kind, epoch: l.epoch, lr: l.lr, tau: l.tau})
		}
		train[l.epoch].loss += l.loss
		train[l.epoch].ok += l.ok
		steps++
	}
	if len(test) == 0 || len(test) != len(train) {
		t.Fatalf("%s: %d epochs of training, %d tests", path, len(train), len(test))
	}
	return train, test
}

// TestGoldenCurve trains on real pictures from the golden start: the reference's four epochs over the first 10,000
// CIFAR-10 images, in order, without augmentation. Flips of single signs let two right programs drift apart like two
// seeds, so means over an epoch are held against the band of the reference's two runs, the second of which has another
// start.
func TestGoldenCurve(t *testing.T) {
	cifar := os.Getenv("BNNTOOL_CIFAR10")
	if testing.Short() || cifar == "" {
		t.Skip("BNNTOOL_CIFAR10 does not name the folder of the real CIFAR-10, or the tests are short: this one trains for a minute")
	}
	dir, subset := golden.Dir(t)
	if subset {
		t.Skip("the subset in testdata has no curve")
	}
	train, test := readCurve(t, filepath.Join(dir, "bnn", "curve_recu_resnet20_from_golden_init.csv"))
	other, _ := readCurve(t, filepath.Join(dir, "bnn", "curve_recu_resnet20_seed2.csv"))
	f := golden.Load(t, filepath.Join(dir, "bnn", "net_recu_resnet20_w16_tau085.safetensors"))
	data, err := datasets.Open(context.Background(), datasets.Config{Name: datasets.CIFAR10, Dir: cifar, LimitTrain: 10000}, datasets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := preprocess.Config{H: 32, W: 32, C: 3, Mean: []float32{.485, .456, .406}, Std: []float32{.229, .224, .225}}
	net, err := model.New("recu-resnet20", model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := cloneWeights(f.With("param.", "buffer."))
	pool := newWorkers(2)
	defer pool.close()
	g, err := newTrainGraph(net, w, graphOptions{batch: 256}, pool)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	eval, err := newEvaluator(net, w, 64, pool)
	if err != nil {
		t.Fatal(err)
	}
	defer eval.Close()
	solver := newSGD(0.9, 5e-4, g.sizes())
	batches := datasets.NewLoader(data.Train, p, datasets.LoaderConfig{Batch: 256, DropLast: true})
	tests := datasets.NewLoader(data.Test, p, datasets.LoaderConfig{Batch: 64})
	for e, want := range train {
		solver.SetLearnRate(want.lr)
		g.m.tau = want.tau
		stream := batches.Epoch(context.Background(), e, 0)
		loss, correct := 0.0, 0
		for range batches.Batches() {
			b, err := stream.Next()
			if err != nil {
				t.Fatal(err)
			}
			copy(g.images, b.Images)
			for i, label := range b.Labels {
				g.labels[i] = float32(label)
			}
			l, err := g.step(256)
			if err != nil {
				t.Fatal(err)
			}
			loss += l / float64(batches.Batches())
			correct += g.loss.correct
			if err := solver.Step(g.values()); err != nil {
				t.Fatal(err)
			}
		}
		stream.Close()
		if err := eval.Update(w); err != nil {
			t.Fatal(err)
		}
		acc, err := eval.Evaluate(context.Background(), tests, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("epoch %d: loss %.4f, reference %.4f; test loss %.4f, %.2f %%, reference %.4f, %.2f %%", e, loss, want.loss,
			acc.Loss, acc.Top1, test[e].loss, 100*test[e].ok)
		inBand(t, fmt.Sprintf("epoch %d: mean training loss", e), loss, want.loss, other[e].loss, 0.05)
		inBand(t, fmt.Sprintf("epoch %d: training accuracy", e), float64(correct)/float64(256*batches.Batches()), want.ok, other[e].ok, 0.03)
	}
}

// inBand fails unless got lies between a and b or no more than margin outside.
func inBand(t *testing.T, what string, got, a, b, margin float64) {
	t.Helper()
	if got < min(a, b)-margin || got > max(a, b)+margin {
		t.Errorf("%s %.4f, reference runs %.4f and %.4f", what, got, a, b)
	}
}
