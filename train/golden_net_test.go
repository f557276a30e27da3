package train

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/golden"
	"github.com/bnntool/bnntool/train/model"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// goldenSGD returns the solver of the goldens: lr 0.1, momentum 0.9, weight decay 1e-4 on every parameter.
func goldenSGD(t *testing.T, params []*parameter) Solver {
	t.Helper()
	s, err := NewSolver(Config{Optimizer: OptimizerSGD, Momentum: 0.9, WeightDecay: 1e-4}, sizesOf(params))
	if err != nil {
		t.Fatal(err)
	}
	s.SetLearnRate(0.1)
	return s
}

func sizesOf(params []*parameter) map[string]int {
	sizes := map[string]int{}
	for _, p := range params {
		sizes[p.Name()] = len(p.data())
	}
	return sizes
}

func solverInput(params []*parameter) []G.ValueGrad {
	list := make([]G.ValueGrad, len(params))
	for i, p := range params {
		list[i] = p
	}
	return list
}

func cloneWeights(w map[string][]float32) model.Weights {
	c := model.Weights{}
	for name, v := range w {
		c[name] = slices.Clone(v)
	}
	return c
}

// compareWeights holds parameters or statistics against the golden tensors prefix.NAME; a file has all of a kind or none.
func compareWeights(t *testing.T, f *golden.File, prefix string, got map[string][]float32, tol float64) {
	t.Helper()
	n := 0
	for _, name := range slices.Sorted(maps.Keys(got)) {
		file := prefix + name
		if _, ok := f.Tensors[file]; !ok {
			file += "s" // ReActNet's flat weights
		}
		if _, ok := f.Tensors[file]; ok {
			f.Compare(t, file, got[name], tol)
			n++
		}
	}
	if n != 0 && n != len(got) {
		t.Errorf("%d tensors %sNAME in the file, want %d or none", n, prefix, len(got))
	}
}

func split(w model.Weights, params []*parameter) (learned, buffers map[string][]float32) {
	learned, buffers = map[string][]float32{}, maps.Clone(w)
	for _, p := range params {
		learned[p.Name()] = p.data()
		delete(buffers, p.Name())
	}
	return learned, buffers
}

func gradients(params []*parameter) map[string][]float32 {
	g := map[string][]float32{}
	for _, p := range params {
		g[p.Name()] = p.grad.Float32s()
	}
	return g
}

// evalLogits runs the evaluation graph over images [N,H,W,C].
func evalLogits(t *testing.T, net *model.Net, w model.Weights, images []float32) []float32 {
	t.Helper()
	e, err := NewEvaluator(net, w, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	logits, err := e.Logits(images)
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

// TestGoldenNet trains the reference networks: first logits, activations, gradients and statistics, then five updates on
// one batch.
func TestGoldenNet(t *testing.T) {
	golden.Each(t, "net_*", func(t *testing.T, f *golden.File) {
		net := f.Net(t)
		w := cloneWeights(f.With("param.", "buffer."))
		images := f.NHWC(t, "input")
		f.Compare(t, "out.eval_init", evalLogits(t, net, w, images), golden.NetTol)
		if _, ok := f.Tensors["out.train"]; !ok {
			return // an evaluation-only file
		}
		pool := newWorkers(2)
		defer pool.close()
		batch := f.Shapes["input"][0]
		g, err := newTrainGraph(net, w, graphOptions{batch: batch}, pool)
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		g.m.tau = metaFloat(t, f, "tau")
		copy(g.images, images)
		compareActivations(t, f, net, cloneWeights(w), images)
		for i, v := range f.Ints["target"] {
			g.labels[i] = float32(v)
		}
		solver := goldenSGD(t, g.params)
		losses := make([]float32, 5)
		for i := range losses {
			loss, err := g.step(batch)
			if err != nil {
				t.Fatal(err)
			}
			losses[i] = float32(loss)
			if i == 0 {
				_, buffers := split(w, g.params)
				f.Compare(t, "out.train", g.logits, golden.NetTol)
				compareWeights(t, f, "grad.", gradients(g.params), golden.NetTol)
				compareWeights(t, f, "buffer_after1.", buffers, golden.NetTol)
			}
			if err := solver.Step(solverInput(g.params)); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				learned, _ := split(w, g.params)
				compareWeights(t, f, "param_after1.", learned, golden.NetTol)
			}
		}
		if d := losses[0] - f.Tensor(t, "losses")[0]; d > 1e-4 || d < -1e-4 {
			t.Errorf("first loss is %v, want %v", losses[0], f.Tensor(t, "losses")[0])
		}
		f.Compare(t, "losses", losses, golden.After5Tol)
		learned, buffers := split(w, g.params)
		compareWeights(t, f, "param_after5.", learned, golden.After5Tol)
		compareWeights(t, f, "buffer_after5.", buffers, golden.After5Tol)
		f.Compare(t, "out.eval_after5", evalLogits(t, net, w, images), golden.After5Tol)
	})
}

// compareActivations holds the first image's activations of a training pass against act0.NAME: the stem's batch norm and each
// block's output. The graph is of one operation a layer, which others are held against bit for bit.
func compareActivations(t *testing.T, f *golden.File, net *model.Net, w model.Weights, images []float32) {
	t.Helper()
	pool := newWorkers(2)
	defer pool.close()
	g, err := newTrainGraph(net, w, graphOptions{batch: f.Shapes["input"][0], composed: true}, pool)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	copy(g.images, images)
	if _, err := g.step(g.m.capacity); err != nil {
		t.Fatal(err)
	}
	for name, shape := range f.Shapes {
		layer, ok := strings.CutPrefix(name, "act0.")
		if !ok {
			continue
		}
		if layer == "stem_bn" {
			layer = "bn1"
		} else {
			layer += ".hardtanh2"
		}
		out, ok := g.output[layer]
		if !ok {
			t.Fatalf("the graph has no layer %q", layer)
		}
		first := golden.ToNCHW(out[:len(out)/g.m.capacity], 1, shape[0], shape[1], shape[2])
		f.Compare(t, name, first, golden.NetTol)
	}
}

// TestGoldenBlock trains ReActNet's blocks, plain and replicated: the operations of Bias, PReLU, Concat and scaled signs.
func TestGoldenBlock(t *testing.T) {
	golden.Each(t, "block_*", func(t *testing.T, f *golden.File) {
		batch, input := imageShape(f, "input")
		net := f.Net(t)
		w := cloneWeights(f.With("param.", "buffer."))
		weight := f.NHWC(t, "loss_weight")
		p := newProbe(t, net, w, graphOptions{batch: batch, imageGradient: true}, weight, 1/float64(len(weight)))
		images := f.NHWC(t, "input")

		frozen, err := model.Freeze(net, w)
		if err != nil {
			t.Fatal(err)
		}
		var eval []float32
		for i := range batch {
			y, err := frozen.Forward(images[i*input.Len() : (i+1)*input.Len()])
			if err != nil {
				t.Fatal(err)
			}
			eval = append(eval, y...)
		}
		compareNCHW(t, f, "out.eval_init", eval, golden.BlockTol)

		solver := goldenSGD(t, p.b.order)
		losses := make([]float32, 5)
		for i := range losses {
			p.run(t, images)
			losses[i] = p.b.tape.steps[len(p.b.tape.steps)-1].op.y[0]
			if i == 0 {
				compareNCHW(t, f, "out.train", p.y, golden.BlockTol)
				compareNCHW(t, f, "grad.input", p.dx, golden.BlockTol)
				compareWeights(t, f, "grad.", gradients(p.b.order), golden.BlockTol)
				_, buffers := split(w, p.b.order)
				compareWeights(t, f, "buffer_after1.", buffers, golden.BlockTol)
			}
			if err := solver.Step(solverInput(p.b.order)); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				learned, _ := split(w, p.b.order)
				compareWeights(t, f, "param_after1.", learned, golden.BlockTol)
			}
		}
		learned, buffers := split(w, p.b.order)
		f.Compare(t, "losses", losses, golden.BlockTol)
		compareWeights(t, f, "param_after5.", learned, golden.BlockTol)
		compareWeights(t, f, "buffer_after5.", buffers, golden.BlockTol)
	})
}

// TestGoldenSolvers runs both solvers over the file's gradients.
func TestGoldenSolvers(t *testing.T) {
	golden.Each(t, "prim_optimizers*", func(t *testing.T, f *golden.File) {
		n := len(f.Tensor(t, "param"))
		for _, c := range []struct {
			name string
			Config
		}{
			{"sgd", Config{Optimizer: OptimizerSGD, LR: 0.1, Momentum: 0.9, WeightDecay: 1e-4}},
			{"adam", Config{Optimizer: OptimizerAdam, LR: 1.25e-3, WeightDecay: 5e-6}},
		} {
			s, err := NewSolver(c.Config, map[string]int{"p": n})
			if err != nil {
				t.Fatal(err)
			}
			s.SetLearnRate(c.LR)
			value := slices.Clone(f.Tensor(t, "param"))
			grads := f.Tensor(t, "grads")
			for i := range len(grads) / n {
				if err := s.Step([]G.ValueGrad{plainParam("p", value, grads[i*n:(i+1)*n])}); err != nil {
					t.Fatal(err)
				}
				f.Compare(t, c.name+".param_after"+strconv.Itoa(i+1), value, golden.PrimTol)
			}
		}
	})
}

// TestGoldenSchedules compares learning rates and τ epoch by epoch.
func TestGoldenSchedules(t *testing.T) {
	golden.Each(t, "prim_schedules*", func(t *testing.T, f *golden.File) {
		for name, want := range f.Tensors {
			kind, length, ok := cutLast(name, "_")
			epochs, err := strconv.Atoi(length)
			if !ok || err != nil {
				t.Fatalf("tensor %q: want NAME_EPOCHS", name)
			}
			recu := Config{Epochs: epochs, LR: 0.1, WarmupEpochs: 5}.WithDefaults()
			rate := map[string]func(int) float64{"tau": recu.Tau, "recu_lr": recu.LearnRate,
				"rep_adambnn_lr": Config{Epochs: epochs, LR: 1.25e-3, Schedule: ScheduleLinear}.LearnRate}[kind]
			if rate == nil {
				t.Fatalf("tensor %q: unknown schedule", name)
			}
			got := make([]float32, len(want))
			for e := range got {
				got[e] = float32(rate(e))
			}
			f.Compare(t, name, got, golden.PrimTol)
		}
	})
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// plainParam is a parameter with a gradient, outside any graph.
func plainParam(name string, value, grad []float32) *parameter {
	dense := func(v []float32) *tensor.Dense { return tensor.New(tensor.WithShape(len(v)), tensor.WithBacking(v)) }
	return &parameter{info: model.Tensor{Name: name, Shape: []int{len(value)}}, value: dense(value), grad: dense(slices.Clone(grad))}
}
