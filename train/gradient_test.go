package train

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/model"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// smallNet is a ReCU ResNet-20 with few and narrow layers: every operation of the real one, quick to run.
func smallNet(t testing.TB, beta int) *model.Net {
	t.Helper()
	net, err := model.New("recu-resnet20", model.Options{Input: model.Shape{H: 8, W: 8, C: 3}, Width: 4, Blocks: 1})
	if err != nil {
		t.Fatal(err)
	}
	if net, err = reptran.Apply(net, reptran.Config{Beta: beta}); err != nil {
		t.Fatal(err)
	}
	return net
}

func initWeights(t testing.TB, net *model.Net, seed uint64) model.Weights {
	t.Helper()
	w, err := net.InitWeights(seed)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func fill(rng *rand.Rand, v []float32) {
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
}

// smallGraph is a training graph over random images and labels.
func smallGraph(t testing.TB, net *model.Net, w model.Weights, batch, images, threads int) *trainGraph {
	t.Helper()
	pool := newWorkers(threads)
	t.Cleanup(pool.close)
	g, err := newTrainGraph(net, w, graphOptions{batch: batch}, pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.close() })
	g.m.tau = 0.9
	rng := rand.New(rand.NewPCG(11, 12))
	fill(rng, g.images)
	for i := range g.labels {
		g.labels[i] = float32(rng.IntN(10))
	}
	if _, err := g.step(images); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestTapeEqualsGrad holds this package's reverse walk against gorgonia.Grad, on a network with shortcuts.
func TestTapeEqualsGrad(t *testing.T) {
	net := smallNet(t, 2)
	w := initWeights(t, net, 1)
	ours := smallGraph(t, net, cloneWeights(w), 6, 6, 2)

	pool := newWorkers(2)
	defer pool.close()
	b, err := newGraphBuilder(net, w, graphOptions{batch: 6}, pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.layers(ours.images); err != nil {
		t.Fatal(err)
	}
	labels := G.NewVector(b.g, tensor.Float32, G.WithName("labels"), G.WithShape(6), G.WithValue(tensor.New(tensor.WithShape(6), tensor.WithBacking(ours.labels))))
	loss, err := b.tape.apply("loss", newCrossEntropy(b.m, 10, 0), nil, []bool{true, false}, b.values[len(b.values)-1], labels)
	if err != nil {
		t.Fatal(err)
	}
	var params G.Nodes
	for _, p := range b.order {
		params = append(params, p.node)
	}
	grads, err := G.Grad(loss, params...)
	if err != nil {
		t.Fatal(err)
	}
	b.m.tau = 0.9
	vm := G.NewTapeMachine(b.g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i, p := range ours.params {
		want := gradientOf(grads[i]).Float32s()
		if got := p.grad.Float32s(); !slices.Equal(got, want) {
			t.Errorf("gradient by %s differs from gorgonia.Grad's", p.Name())
		}
	}
}

// TestThreadsDoNotMatter: loss, gradients and statistics are bit-equal for any number of threads, also on a batch that
// does not fill the graph.
func TestThreadsDoNotMatter(t *testing.T) {
	for _, beta := range []int{1, 2} {
		net := smallNet(t, beta)
		w := initWeights(t, net, 2)
		first := cloneWeights(w)
		want := smallGraph(t, net, first, 40, 37, 1)
		for _, threads := range []int{2, 3, 16} {
			again := cloneWeights(w)
			got := smallGraph(t, net, again, 40, 37, threads)
			if got.value.y[0] != want.value.y[0] {
				t.Errorf("beta %d, %d threads: loss %v, want %v", beta, threads, got.value.y[0], want.value.y[0])
			}
			for i, p := range got.params {
				if !slices.Equal(p.grad.Float32s(), want.params[i].grad.Float32s()) {
					t.Errorf("beta %d, %d threads: gradient by %s differs", beta, threads, p.Name())
				}
			}
			for name, v := range again {
				if !slices.Equal(v, first[name]) {
					t.Errorf("beta %d, %d threads: %s differs after the pass", beta, threads, name)
				}
			}
		}
	}
}

// TestPartialBatchEqualsFullGraph: a batch that does not fill its graph gives what a graph of its size gives.
func TestPartialBatchEqualsFullGraph(t *testing.T) {
	net := smallNet(t, 2)
	w := initWeights(t, net, 3)
	part := smallGraph(t, net, cloneWeights(w), 32, 5, 2)
	whole := smallGraph(t, net, cloneWeights(w), 5, 5, 2)
	copy(whole.images, part.images)
	copy(whole.labels, part.labels)
	if _, err := whole.step(5); err != nil {
		t.Fatal(err)
	}
	for i, p := range part.params {
		got, want := p.grad.Float32s(), whole.params[i].grad.Float32s()
		for j := range want {
			if d := math.Abs(float64(got[j] - want[j])); d > 1e-5*math.Max(1, math.Abs(float64(want[j]))) {
				t.Fatalf("gradient %d by %s is %v, want %v", j, p.Name(), got[j], want[j])
			}
		}
	}
}

// TestTiledBatchNorm: batch norm over the computed maps is batch norm over the tiled ones: output, gradients, statistics.
func TestTiledBatchNorm(t *testing.T) {
	const n, factor, batch = 3, 4, 5
	rng := rand.New(rand.NewPCG(21, 22))
	for _, interleave := range []bool{false, true} {
		for _, evaluation := range []bool{false, true} {
			pool := newWorkers(2)
			defer pool.close()
			m := newMachine(batch, pool)
			x := make([]float32, batch*4*n)
			dy := make([]float32, len(x)*factor)
			gamma, delta := make([]float32, n*factor), make([]float32, n*factor)
			for _, v := range [][]float32{x, dy, gamma, delta} {
				fill(rng, v)
			}
			type result struct{ y, dx, dgamma, ddelta, mean, vari []float32 }
			run := func(tiled bool) result {
				r := result{y: make([]float32, len(dy)), dx: make([]float32, len(x)), dgamma: make([]float32, n*factor),
					ddelta: make([]float32, n*factor), mean: make([]float32, n*factor), vari: make([]float32, n*factor)}
				for j := range r.vari {
					r.mean[j], r.vari[j] = 0.1, 2
				}
				if tiled {
					o := newBatchNorm(m, 4, n, factor, interleave, !evaluation, r.mean, r.vari)
					o.forward(r.y, [][]float32{x, gamma, delta})
					o.backward([][]float32{r.dx, r.dgamma, r.ddelta}, dy, [][]float32{x, gamma, delta}, r.y)
					return r
				}
				tile := newTile(m, n, factor, interleave)
				wide, dwide := make([]float32, len(dy)), make([]float32, len(dy))
				tile.forward(wide, [][]float32{x})
				o := newBatchNorm(m, 4, n*factor, 1, false, !evaluation, r.mean, r.vari)
				o.forward(r.y, [][]float32{wide, gamma, delta})
				o.backward([][]float32{dwide, r.dgamma, r.ddelta}, dy, [][]float32{wide, gamma, delta}, r.y)
				tile.backward([][]float32{r.dx}, dwide, nil, nil)
				return r
			}
			got, want := run(true), run(false)
			for _, c := range []struct {
				name      string
				got, want []float32
			}{{"y", got.y, want.y}, {"dx", got.dx, want.dx}, {"dgamma", got.dgamma, want.dgamma}, {"ddelta", got.ddelta, want.ddelta},
				{"running mean", got.mean, want.mean}, {"running variance", got.vari, want.vari}} {
				for i := range c.want {
					if d := math.Abs(float64(c.got[i] - c.want[i])); d > 1e-5 {
						t.Fatalf("interleave %v, evaluation %v: %s[%d] = %v, want %v", interleave, evaluation, c.name, i, c.got[i], c.want[i])
					}
				}
			}
		}
	}
}

// TestEvaluatorEqualsOracle: the evaluation graph gives the oracle's logits bit for bit.
func TestEvaluatorEqualsOracle(t *testing.T) {
	for _, name := range []string{"recu-resnet20", "recu-resnet18", "recu-vggsmall"} {
		for _, beta := range []int{1, 2} {
			net, err := model.New(name, model.Options{Width: 4, Input: model.Shape{H: 16, W: 16, C: 3}})
			if err != nil {
				t.Fatal(err)
			}
			if net, err = reptran.Apply(net, reptran.Config{Beta: beta}); err != nil {
				t.Fatal(err)
			}
			w := initWeights(t, net, 5)
			rng := rand.New(rand.NewPCG(5, 6))
			for name, v := range w { // statistics and scales as after some training
				for i := range v {
					v[i] += 0.1 * float32(rng.NormFloat64())
					if len(name) > 11 && name[len(name)-11:] == "running_var" {
						v[i] = 0.5 + rng.Float32()
					}
				}
			}
			images := make([]float32, 7*net.Input.Len())
			fill(rng, images)
			got := evalLogits(t, net, w, images)
			frozen, err := model.Freeze(net, w)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 7 {
				want, err := frozen.Forward(images[i*net.Input.Len() : (i+1)*net.Input.Len()])
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got[i*10:(i+1)*10], want) {
					t.Errorf("%s, beta %d, image %d: logits %v, want %v", name, beta, i, got[i*10:(i+1)*10], want)
				}
			}
		}
	}
}

// TestStepAllocations: operations allocate nothing in a step; what is left is the tape machine's own bookkeeping, some
// small objects for each node.
func TestStepAllocations(t *testing.T) {
	net := smallNet(t, 2)
	for _, composed := range []bool{false, true} {
		w := initWeights(t, net, 1)
		pool := newWorkers(2)
		defer pool.close()
		g, err := newTrainGraph(net, w, graphOptions{batch: 32, composed: composed}, pool)
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		step := func() {
			if _, err := g.step(32); err != nil {
				t.Fatal(err)
			}
		}
		step()
		nodes := float64(g.nodes)
		if got := testing.AllocsPerRun(20, step); got > 4*nodes {
			t.Errorf("composed %v: %.0f allocations a step for %.0f nodes, want at most 4 a node", composed, got, nodes)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 20 {
			step()
		}
		runtime.ReadMemStats(&after)
		if got := float64(after.TotalAlloc-before.TotalAlloc) / 20 / nodes; got > 150 {
			t.Errorf("composed %v: %.0f bytes allocated a step and node, want at most 150", composed, got)
		}
	}
}

// TestBatchNormTakesAlpha: batch norm of alpha·x with alpha taken over is that of the scaled maps: output, statistics, and
// gradients, alpha's against central differences of the loss.
func TestBatchNormTakesAlpha(t *testing.T) {
	const n, factor, batch, pixels = 3, 4, 5, 4
	pool := newWorkers(2)
	defer pool.close()
	m := newMachine(batch, pool)
	rng := rand.New(rand.NewPCG(31, 32))
	x, dy := make([]float32, batch*pixels*n), make([]float32, batch*pixels*n*factor)
	gamma, delta, alpha := make([]float32, n*factor), make([]float32, n*factor), []float32{0.7, -1.3, 0.02}
	for _, v := range [][]float32{x, dy, gamma, delta} {
		fill(rng, v)
	}
	for _, training := range []bool{true, false} {
		// forward returns Σ dy·y, for the given alpha taken over or applied before.
		forward := func(alpha []float32, taken bool) (o *batchNorm, y []float32, loss float64) {
			mean, vari := make([]float32, n*factor), make([]float32, n*factor)
			for j := range vari {
				mean[j], vari[j] = 0.1, 2
			}
			o = newBatchNorm(m, pixels, n, factor, false, training, mean, vari)
			y = make([]float32, len(dy))
			in := [][]float32{x, gamma, delta, alpha}
			if !taken {
				scaled := slices.Clone(x)
				for i := range scaled {
					scaled[i] *= alpha[i%n]
				}
				in = [][]float32{scaled, gamma, delta}
			}
			o.forward(y, in)
			for i, v := range y {
				loss += float64(v) * float64(dy[i])
			}
			return o, y, loss
		}
		taken, y, _ := forward(alpha, true)
		before, want, _ := forward(alpha, false)
		dx, dgamma, ddelta, dalpha := make([]float32, len(x)), make([]float32, n*factor), make([]float32, n*factor), make([]float32, n)
		taken.backward([][]float32{dx, dgamma, ddelta, dalpha}, dy, [][]float32{x, gamma, delta, alpha}, y)
		scaled := slices.Clone(x)
		for i := range scaled {
			scaled[i] *= alpha[i%n]
		}
		wantX, wantGamma, wantDelta := make([]float32, len(x)), make([]float32, n*factor), make([]float32, n*factor)
		before.backward([][]float32{wantX, wantGamma, wantDelta}, dy, [][]float32{scaled, gamma, delta}, want)
		for i := range wantX {
			wantX[i] *= alpha[i%n]
		}
		for _, c := range []struct {
			name      string
			got, want []float32
		}{{"y", y, want}, {"mean", taken.mean, before.mean}, {"variance", taken.vari, before.vari}, {"dx", dx, wantX},
			{"dgamma", dgamma, wantGamma}, {"ddelta", ddelta, wantDelta}} {
			for i := range c.want {
				if d := math.Abs(float64(c.got[i] - c.want[i])); d > 2e-5 {
					t.Fatalf("training %v: %s[%d] = %v, want %v", training, c.name, i, c.got[i], c.want[i])
				}
			}
		}
		for i := range alpha {
			const h = 1e-2
			up, down := slices.Clone(alpha), slices.Clone(alpha)
			up[i] *= 1 + h
			down[i] *= 1 - h
			_, _, high := forward(up, true)
			_, _, low := forward(down, true)
			slope := (high - low) / (float64(up[i]) - float64(down[i]))
			if d := math.Abs(slope - float64(dalpha[i])); d > 1e-2*math.Max(1, math.Abs(slope)) {
				t.Errorf("training %v: dalpha[%d] = %v, central difference %v", training, i, dalpha[i], slope)
			}
		}
	}
}
