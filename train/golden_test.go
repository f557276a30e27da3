package train

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/golden"
	"github.com/bnntool/bnntool/train/model"
	G "gorgonia.org/gorgonia"
)

// probe is a graph of a network whose loss is Σ weight·output, so that the gradient of the output is the given weight. It
// is how the goldens' primitives and blocks are run through Gorgonia.
type probe struct {
	b     *graphBuilder
	vm    G.VM
	x, dx []float32
	y     []float32
	loss  *weightedSum
}

// weightedSum is Σ scale·weight·x over a whole batch.
type weightedSum struct {
	weight []float32
	scale  float64
}

func (o *weightedSum) forward(y []float32, in [][]float32) {
	var s float64
	for i, v := range in[0] {
		s += float64(v) * float64(o.weight[i])
	}
	y[0] = float32(s * o.scale)
}

func (o *weightedSum) backward(dx [][]float32, dy []float32, _ [][]float32, _ []float32) {
	for i, v := range o.weight {
		dx[0][i] = dy[0] * float32(o.scale) * v
	}
}

func newProbe(t *testing.T, net *model.Net, w model.Weights, o graphOptions, weight []float32, scale float64) *probe {
	t.Helper()
	pool := newWorkers(2)
	t.Cleanup(pool.close)
	b, err := newGraphBuilder(net, w, o, pool)
	if err != nil {
		t.Fatal(err)
	}
	p := &probe{b: b, x: make([]float32, o.batch*net.Input.Len()), loss: &weightedSum{weight, scale}}
	if err := b.layers(p.x); err != nil {
		t.Fatal(err)
	}
	out := b.values[len(b.values)-1]
	loss, err := b.tape.apply("loss", p.loss, nil, []bool{true}, out)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.differentiate(loss); err != nil {
		t.Fatal(err)
	}
	p.y = out.Op().(*graphOp).y
	if o.imageGradient {
		p.dx = b.imageGrad
	}
	p.vm = G.NewTapeMachine(b.g)
	t.Cleanup(func() { p.vm.Close() })
	return p
}

func (p *probe) run(t *testing.T, x []float32) {
	t.Helper()
	copy(p.x, x)
	p.vm.Reset()
	if err := p.vm.RunAll(); err != nil {
		t.Fatal(err)
	}
}

func (p *probe) grad(name string) []float32 { return p.b.params[name].grad.Float32s() }

// compareNCHW holds a map [N,H,W,C] against a golden tensor [N,C,H,W].
func compareNCHW(t *testing.T, f *golden.File, name string, got []float32, tol float64) {
	t.Helper()
	if s := f.Shapes[name]; len(s) == 4 {
		got = golden.ToNCHW(got, s[0], s[1], s[2], s[3])
	}
	f.Compare(t, name, got, tol)
}

// imageShape returns the batch size and the image of a golden tensor [N,C,H,W] or [N,C].
func imageShape(f *golden.File, name string) (batch int, s model.Shape) {
	d := f.Shapes[name]
	if len(d) == 2 {
		return d[0], model.Shape{H: 1, W: 1, C: d[1]}
	}
	return d[0], model.Shape{H: d[2], W: d[3], C: d[1]}
}

// primitive runs the layers over the file's input, and compares output, input gradient and the gradients of the
// parameters: params maps the names of the layers' tensors to those of the file.
func primitive(t *testing.T, f *golden.File, prefix string, layers []model.Layer, params map[string]string, o graphOptions, tau float64) *probe {
	t.Helper()
	batch, shape := imageShape(f, prefix+"input")
	net := &model.Net{Name: "primitive", Beta: 1, Input: shape, Layers: layers}
	w := model.Weights{}
	for ours, theirs := range params {
		w[ours] = append([]float32(nil), f.Tensor(t, prefix+theirs)...)
	}
	o.batch, o.imageGradient = batch, true
	p := newProbe(t, net, w, o, f.NHWC(t, prefix+"grad_output"), 1)
	p.b.m.tau = tau
	p.run(t, f.NHWC(t, prefix+"input"))
	compareNCHW(t, f, prefix+"output", p.y, golden.PrimTol)
	compareNCHW(t, f, prefix+"grad_input", p.dx, golden.PrimTol)
	for ours, theirs := range params {
		if _, ok := f.Tensors[prefix+"grad_"+theirs]; ok {
			f.Compare(t, prefix+"grad_"+theirs, p.grad(ours), golden.PrimTol)
		}
	}
	return p
}

func TestGoldenElementwise(t *testing.T) {
	golden.Each(t, "prim_hardtanh*", func(t *testing.T, f *golden.File) {
		primitive(t, f, "", []model.Layer{{Name: "l", Op: model.Hardtanh}}, nil, graphOptions{}, 1)
	})
	golden.Each(t, "prim_global_avgpool*", func(t *testing.T, f *golden.File) {
		primitive(t, f, "", []model.Layer{{Name: "l", Op: model.GlobalAvgPool}}, nil, graphOptions{}, 1)
	})
	golden.Each(t, "prim_shortcut_avgpool_pad*", func(t *testing.T, f *golden.File) {
		primitive(t, f, "", []model.Layer{{Name: "p", Op: model.AvgPool, Kernel: 2, Stride: 2},
			{Name: "l", Op: model.PadChannels, Out: f.Shapes["output"][1]}}, nil, graphOptions{}, 1)
	})
	golden.Each(t, "prim_rprelu*", func(t *testing.T, f *golden.File) {
		primitive(t, f, "", []model.Layer{{Name: "in", Op: model.Bias}, {Name: "p", Op: model.PReLU}, {Name: "out", Op: model.Bias}},
			map[string]string{"in.bias": "bias_in", "p.weight": "slope", "out.bias": "bias_out"}, graphOptions{}, 1)
	})
	golden.Each(t, "prim_linear*", func(t *testing.T, f *golden.File) {
		primitive(t, f, "", []model.Layer{{Name: "l", Op: model.Linear, Out: f.Shapes["output"][1]}},
			map[string]string{"l.weight": "weight", "l.bias": "bias"}, graphOptions{}, 1)
	})
}

func TestGoldenBatchNorm(t *testing.T) {
	golden.Each(t, "prim_batchnorm*", func(t *testing.T, f *golden.File) {
		p := primitive(t, f, "", []model.Layer{{Name: "l", Op: model.BatchNorm}},
			map[string]string{"l.weight": "weight", "l.bias": "bias", "l.running_mean": "running_mean", "l.running_var": "running_var"},
			graphOptions{evaluation: f.Meta["training"] == "False"}, 1)
		f.Compare(t, "running_mean_after", p.b.weights["l.running_mean"], golden.PrimTol)
		f.Compare(t, "running_var_after", p.b.weights["l.running_var"], golden.PrimTol)
	})
}

// TestGoldenSign runs the signs of activations. sign(0) is 0 in the goldens and +1 here: where the input is 0 only the
// gradient is compared.
func TestGoldenSign(t *testing.T) {
	for pattern, kind := range map[string]model.InputQuant{
		"prim_sign_recu_act*": model.ApproxSignInput, "prim_sign_approx*": model.ApproxSignInput,
		"prim_act_std_sign_recu*": model.ReCUInput, "prim_rsign*": model.ApproxSignInput,
	} {
		golden.Each(t, pattern, func(t *testing.T, f *golden.File) {
			batch, shape := imageShape(f, "input")
			net := &model.Net{Name: "sign", Beta: 1, Input: shape}
			w := model.Weights{}
			if bias, ok := f.Tensors["bias"]; ok {
				net.Layers = append(net.Layers, model.Layer{Name: "shift", Op: model.Bias})
				w["shift.bias"] = bias
			}
			// A 1x1 convolution with the identity as its weights hands the signs on as they are.
			net.Layers = append(net.Layers, model.Layer{Name: "l", Op: model.Conv, Out: shape.C, Kernel: 1, Stride: 1, InputQuant: kind})
			w["l.weight"] = make([]float32, shape.C*shape.C)
			for c := range shape.C {
				w["l.weight"][c*shape.C+c] = 1
			}
			p := newProbe(t, net, w, graphOptions{batch: batch, imageGradient: true}, f.NHWC(t, "grad_output"), 1)
			p.run(t, f.NHWC(t, "input"))
			out := golden.ToNCHW(p.y, batch, shape.C, shape.H, shape.W)
			for i, want := range f.Tensor(t, "output") {
				if want == 0 {
					want = 1
				}
				if out[i] != want {
					t.Fatalf("sign %d is %v, want %v", i, out[i], want)
				}
			}
			compareNCHW(t, f, "grad_input", p.dx, golden.PrimTol)
			if _, ok := f.Tensors["grad_bias"]; ok {
				f.Compare(t, "grad_bias", p.grad("shift.bias"), golden.PrimTol)
			}
		})
	}
}

func metaFloat(t *testing.T, f *golden.File, key string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(f.Meta[key], 64)
	if err != nil {
		t.Fatalf("%s: metadata %q is %q, want a number", f.Path, key, f.Meta[key])
	}
	return v
}

// TestGoldenReCUWeight runs the weight quantiser whole; prim_sign_recu_weight, the sign at its end alone, is part of it.
func TestGoldenReCUWeight(t *testing.T) {
	golden.Each(t, "prim_recu_weight_*", func(t *testing.T, f *golden.File) {
		pool := newWorkers(2)
		defer pool.close()
		m := newMachine(1, pool)
		m.tau = metaFloat(t, f, "tau")
		w := f.Tensor(t, "weight")
		filters := f.Shapes["weight"][0]
		o := newReCUWeight(m, filters)
		y, dw := make([]float32, len(w)), make([]float32, len(w))
		o.forward(y, [][]float32{w})
		o.backward([][]float32{dw}, f.Tensor(t, "grad_w_binary"), [][]float32{w}, y)
		f.Compare(t, "w_binary", y, 0)
		f.Compare(t, "grad_weight", dw, golden.PrimTol)
		mean, std := make([]float32, filters), make([]float32, filters)
		for k := range filters {
			mean[k], std[k] = float32(o.mean[k]), float32(o.std[k])
		}
		f.Compare(t, "mean", mean, golden.PrimTol)
		f.Compare(t, "std", std, golden.PrimTol)
		if !math.IsInf(o.limit, 1) {
			f.Compare(t, "Q_tau", []float32{float32(o.limit)}, golden.PrimTol)
		} else if f.Tensor(t, "Q_tau")[0] < 3e38 {
			t.Errorf("Q is +Inf, want %v", f.Tensor(t, "Q_tau")[0])
		}
	})
}

func TestGoldenConv(t *testing.T) {
	golden.Each(t, "prim_conv2d_*", func(t *testing.T, f *golden.File) {
		cases := 0
		for name := range f.Tensors {
			prefix, ok := strings.CutSuffix(name, "input")
			if !ok || strings.Contains(name, "grad") {
				continue
			}
			cases++
			stride, err := strconv.Atoi(strings.Trim(prefix, "s."))
			if err != nil {
				t.Fatalf("tensor %q: the prefix names no stride", name)
			}
			w := f.Shapes[prefix+"weight"]
			primitive(t, f, prefix, []model.Layer{{Name: "l", Op: model.Conv, Out: w[0], Kernel: w[2], Stride: stride, Pad: f.Int(t, "padding")}},
				map[string]string{"l.weight": "weight"}, graphOptions{}, 1)
		}
		if cases == 0 {
			t.Fatal("no case in the file")
		}
	})
}

func TestGoldenBinConv(t *testing.T) {
	layers := func(t *testing.T, f *golden.File, weights model.WeightQuant, input model.InputQuant) []model.Layer {
		conv := model.Layer{Name: "l", Op: model.Conv, Out: f.Shapes["weight"][0], Kernel: f.Int(t, "kernel"), Stride: f.Int(t, "stride"),
			Pad: f.Int(t, "padding"), WeightQuant: weights, InputQuant: input, Alpha: weights == model.ReCUWeight}
		if tile := f.Int(t, "tile_after_conv"); tile > 1 {
			return []model.Layer{conv, {Name: "tile", Op: model.Tile, Factor: tile}}
		}
		return []model.Layer{conv}
	}
	golden.Each(t, "prim_*conv_recu_*", func(t *testing.T, f *golden.File) {
		primitive(t, f, "", layers(t, f, model.ReCUWeight, model.ReCUInput),
			map[string]string{"l.weight": "weight", "l.alpha": "alpha"},
			graphOptions{evaluation: f.Meta["training"] == "False"}, metaFloat(t, f, "tau"))
	})
	// The inputs of these are ±1 already and the gradient stops at them: real inputs, quantised weights.
	golden.Each(t, "prim_*conv_react_*", func(t *testing.T, f *golden.File) {
		primitive(t, f, "", layers(t, f, model.ScaledSignWeight, model.RealInput),
			map[string]string{"l.weight": "weight"}, graphOptions{}, 1)
	})
}

func TestGoldenLosses(t *testing.T) {
	golden.Each(t, "prim_losses*", func(t *testing.T, f *golden.File) {
		shape := f.Shapes["student_logits"]
		pool := newWorkers(1)
		defer pool.close()
		labels := make([]float32, shape[0])
		for i, v := range f.Ints["target"] {
			labels[i] = float32(v)
		}
		for name, smoothing := range map[string]float64{"ce": 0, "ce_smooth": metaFloat(t, f, "label_smoothing")} {
			o := newCrossEntropy(newMachine(shape[0], pool), shape[1], smoothing)
			in := [][]float32{f.Tensor(t, "student_logits"), labels}
			y, dx := make([]float32, 1), make([]float32, shape[0]*shape[1])
			o.forward(y, in)
			o.backward([][]float32{dx, nil}, []float32{1}, in, y)
			f.Compare(t, name+".loss", y, golden.PrimTol)
			f.Compare(t, name+".grad_student_logits", dx, golden.PrimTol)
		}
	})
}
