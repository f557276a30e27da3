package reptran

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bnntool/bnntool/train/model"
)

// randomWeights returns weights of n in which nothing is trivially 0 or 1.
func randomWeights(t rapid.TB, n *model.Net, seed uint64) model.Weights {
	t.Helper()
	tensors, err := n.Tensors()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	w := model.Weights{}
	for _, x := range tensors {
		v := make([]float32, x.Len())
		for i := range v {
			v[i] = float32(rng.NormFloat64())
			if x.Role == model.RunningVar {
				v[i] = float32(math.Abs(float64(v[i])) + 0.1)
			}
		}
		w[x.Name] = v
	}
	return w
}

func randomImage(s model.Shape, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 2))
	v := make([]float32, s.Len())
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func forward(t rapid.TB, n *model.Net, w model.Weights, image []float32) []float32 {
	t.Helper()
	f, err := model.Freeze(n, w)
	if err != nil {
		t.Fatal(err)
	}
	y, err := f.Forward(image)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// dense returns rep without the tiles behind its convolutions: each computes the copies itself, with copies of its filters. A
// grouped convolution keeps its tile, since its filters' places decide which channels they read.
func dense(t rapid.TB, rep *model.Net, w model.Weights) (*model.Net, model.Weights) {
	t.Helper()
	nodes, err := rep.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	n := &model.Net{Name: rep.Name, Beta: 1, Input: rep.Input}
	copies := model.Weights{}
	for name, v := range w {
		copies[name] = v
	}
	renamed := map[string]string{}
	at := map[string]int{}
	for i := range nodes {
		nd := &nodes[i]
		if nd.Op == model.Tile {
			conv := nd.From[0]
			for conv > 0 && (nodes[conv].Op == model.MaxPool || nodes[conv].Op == model.AvgPool) {
				conv = nodes[conv].From[0]
			}
			if c := &nodes[conv]; conv > 0 && c.Op == model.Conv && c.GroupCount() == 1 {
				n.Layers[at[c.Name]].Out *= nd.Factor
				copies[c.Name+".weight"] = repeat(w[c.Name+".weight"], c.Out, nd.Factor, nd.Interleave)
				if c.Alpha {
					copies[c.Name+".alpha"] = repeat(w[c.Name+".alpha"], c.Out, nd.Factor, nd.Interleave)
				}
				renamed[nd.Name] = nodes[nd.From[0]].Name
				continue
			}
		}
		l := nd.Layer
		l.Inputs = nil
		for _, from := range nd.From {
			name := model.ImageInput
			if from >= 0 {
				name = nodes[from].Name
			}
			if r, ok := renamed[name]; ok {
				name = r
			}
			l.Inputs = append(l.Inputs, name)
		}
		at[l.Name] = len(n.Layers)
		n.Layers = append(n.Layers, l)
	}
	return n, copies
}

// repeat copies the rows of v, [rows,...], as a tile copies channels.
func repeat(v []float32, rows, factor int, interleave bool) []float32 {
	size := len(v) / rows
	var r []float32
	for j := range rows * factor {
		k := j % rows
		if interleave {
			k = j / factor
		}
		r = append(r, v[k*size:(k+1)*size]...)
	}
	return r
}

// TestDenseEquivalence: a replicated convolution is a convolution with copied filters, to the last bit of the logits.
func TestDenseEquivalence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rep, err := Apply(drawNet(t), drawConfig(t))
		if err != nil {
			t.Fatal(err)
		}
		seed := rapid.Uint64().Draw(t, "seed")
		w, image := randomWeights(t, rep, seed), randomImage(rep.Input, seed)
		n, copies := dense(t, rep, w)
		got, want := forward(t, rep, w, image), forward(t, n, copies, image)
		if !slices.Equal(got, want) {
			t.Errorf("logits %v, with copied filters %v", got, want)
		}
	})
}

// TestInputFolding: a 1-bit convolution of beta copies of u is a convolution of u with the sum of the weights for each copy.
func TestInputFolding(t *testing.T) {
	for _, beta := range []int{2, 4} {
		const c, k = 5, 3
		input := model.Shape{H: 4, W: 5, C: c}
		conv := model.Layer{Name: "conv", Op: model.Conv, Out: k, Kernel: 3, Stride: 1, Pad: 1,
			WeightQuant: model.ReCUWeight, InputQuant: model.ApproxSignInput}
		tiled := &model.Net{Name: "tiled", Beta: 1, Input: input, Layers: []model.Layer{{Name: "tile", Op: model.Tile, Factor: beta}, conv}}
		conv.WeightQuant = model.RealWeight
		folded := &model.Net{Name: "folded", Beta: 1, Input: input, Layers: []model.Layer{conv}}

		f, err := model.Freeze(tiled, randomWeights(t, tiled, 3))
		if err != nil {
			t.Fatal(err)
		}
		signs := f.Nodes[1].Filters // [k, beta·c, 3, 3]
		sums := make([]float32, k*c*9)
		for i, s := range signs {
			filter, channel, tap := i/(beta*c*9), i/9%(beta*c), i%9
			sums[(filter*c+channel%c)*9+tap] += s
		}
		image := randomImage(input, 4)
		want, err := f.Forward(image)
		if err != nil {
			t.Fatal(err)
		}
		if got := forward(t, folded, model.Weights{"conv.weight": sums}, image); !slices.Equal(got, want) {
			t.Errorf("beta %d: folded %v, want %v", beta, got, want)
		}
	}
}

// TestBatchNormOnUntiled: a batch norm behind a tile can be computed from the maps before it, each channel from the map that it
// copies; and the copies have one mean and variance.
func TestBatchNormOnUntiled(t *testing.T) {
	for _, interleave := range []bool{false, true} {
		rep := mustApply(t, mustNew(t, "recu-vggsmall", model.Options{Input: model.Shape{H: 8, W: 8, C: 3}, Width: 8}),
			Config{Beta: 2, Interleave: interleave})
		f, err := model.Freeze(rep, randomWeights(t, rep, 5))
		if err != nil {
			t.Fatal(err)
		}
		outs := make([][]float32, len(f.Nodes))
		if err := f.Trace(randomImage(rep.Input, 6), func(i int, out []float32) { outs[i] = out }); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for i := range f.Nodes {
			bn := &f.Nodes[i]
			if bn.Op != model.BatchNorm || f.Nodes[bn.From[0]].Op != model.Tile {
				continue
			}
			seen++
			tile := &f.Nodes[bn.From[0]]
			narrow := outs[tile.From[0]]
			n, wide := tile.In[0].C, tile.Shape.C
			for p := range len(narrow) / n {
				for j := range wide {
					source := j % n
					if interleave {
						source = j / 4
					}
					want := float32(bn.Scale[j]*narrow[p*n+source]) + bn.Bias[j]
					if got := outs[i][p*wide+j]; got != want {
						t.Fatalf("%s: pixel %d channel %d is %v, from the untiled map %v", bn.Name, p, j, got, want)
					}
				}
			}
		}
		if seen != 5 {
			t.Errorf("%d batch norms behind a tile, want 5", seen)
		}
	}
}

// TestCopiesAtStart: before any training the channels of a map repeat after as many as the base network has, and no
// sooner; the zero channels of a shortcut break the repetition.
func TestCopiesAtStart(t *testing.T) {
	rep := mustApply(t, mustNew(t, "recu-resnet20", model.Options{Input: model.Shape{H: 8, W: 8, C: 3}}), Config{Beta: 2})
	w, err := rep.InitWeights(1)
	if err != nil {
		t.Fatal(err)
	}
	f, err := model.Freeze(rep, w)
	if err != nil {
		t.Fatal(err)
	}
	outs := map[string][]float32{}
	if err := f.Trace(randomImage(rep.Input, 1), func(i int, out []float32) { outs[f.Nodes[i].Name] = out }); err != nil {
		t.Fatal(err)
	}
	repeats := func(v []float32, c, period int) bool {
		for i := range v {
			if i%c >= period && v[i] != v[i-period] {
				return false
			}
		}
		return true
	}
	for _, tt := range []struct {
		layer     string
		c, period int
		want      bool
	}{
		{"hardtanh1.tile", 32, 16, true},
		{"layer1.0.conv1.tile", 32, 8, true},
		{"layer1.0.add1", 32, 16, true},
		{"layer1.0.add1", 32, 8, false},
		{"layer2.0.add1", 64, 32, false},
	} {
		if got := repeats(outs[tt.layer], tt.c, tt.period); got != tt.want {
			t.Errorf("%s repeats after %d channels: %t, want %t", tt.layer, tt.period, got, tt.want)
		}
	}
}
