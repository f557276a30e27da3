package reptran

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/bnntool/bnntool/train/model"
)

// drawNet draws a network of the kind that Apply is for: a stem with or without batch norm and activation, then
// convolutions, real or 1-bit, grouped or not, with pools, shortcuts, shifts and branches, then a classifier. Every
// convolution behind the stem has a multiple of 8 filters and of its groups times 8.
func drawNet(t *rapid.T) *model.Net {
	n := &model.Net{Name: "drawn", Beta: 1, Input: model.Shape{H: 8, W: 8, C: 3}}
	add := func(l model.Layer, inputs ...string) string {
		l.Name, l.Inputs = fmt.Sprintf("%d.%s", len(n.Layers), l.Op), inputs
		n.Layers = append(n.Layers, l)
		return l.Name
	}
	yes := func(label string) bool { return rapid.Bool().Draw(t, label) }
	size, c := 8, 8*rapid.IntRange(1, 2).Draw(t, "stem")
	x := add(model.Layer{Op: model.Conv, Out: c, Kernel: 3, Stride: 1, Pad: 1})
	for _, op := range []model.Op{model.BatchNorm, model.Hardtanh} {
		if yes(string(op) + " in the stem") {
			x = add(model.Layer{Op: op}, x)
		}
	}
	for range rapid.IntRange(1, 4).Draw(t, "blocks") {
		if yes("shift") {
			x = add(model.Layer{Op: model.Bias}, x)
		}
		out := c * rapid.SampledFrom([]int{1, 2}).Draw(t, "widening")
		conv := model.Layer{Op: model.Conv, Out: out, Kernel: 1 + 2*rapid.IntRange(0, 1).Draw(t, "kernel"), Stride: 1, Alpha: yes("alpha")}
		conv.Pad = conv.Kernel / 2
		if yes("groups") && out%16 == 0 {
			conv.Groups = 2
		}
		if yes("1-bit weights") {
			conv.WeightQuant = rapid.SampledFrom([]model.WeightQuant{model.ReCUWeight, model.ScaledSignWeight}).Draw(t, "weights")
		}
		if yes("1-bit inputs") {
			conv.InputQuant = model.ApproxSignInput
		}
		y := add(conv, x)
		pool := model.Layer{Op: rapid.SampledFrom([]model.Op{model.MaxPool, model.AvgPool}).Draw(t, "pool"), Kernel: 2, Stride: 2}
		pooled := size > 2 && yes("pooled")
		if pooled {
			y, size = add(pool, y), size/2
		}
		if yes("norm") {
			y = add(model.Layer{Op: model.BatchNorm}, y)
		}
		if yes("shortcut") {
			s := x
			if pooled {
				pool.Op = model.AvgPool
				s = add(pool, s)
			}
			if out != c {
				s = add(model.Layer{Op: model.PadChannels, Out: out}, s)
			}
			y = add(model.Layer{Op: model.Add}, y, s)
		}
		if yes("prelu") {
			y = add(model.Layer{Op: model.PReLU}, y)
		}
		if out < 64 && yes("branches") {
			y = add(model.Layer{Op: model.Concat}, y, add(model.Layer{Op: model.Hardtanh}, y))
			out *= 2
		}
		x, c = y, out
	}
	x = add(model.Layer{Op: rapid.SampledFrom([]model.Op{model.GlobalAvgPool, model.Flatten}).Draw(t, "head")}, x)
	add(model.Layer{Op: model.Linear, Out: 5}, x)
	return n
}

func drawConfig(t *rapid.T) Config {
	return Config{
		Beta:       rapid.SampledFrom([]int{1, 2, 4, 8}).Draw(t, "beta"),
		StemOrder:  rapid.SampledFrom([]StemOrder{"", BatchNormThenTile, TileThenBatchNorm}).Draw(t, "stem order"),
		FC:         rapid.SampledFrom([]FC{"", FCWide, FCFirst}).Draw(t, "fc"),
		Interleave: rapid.Bool().Draw(t, "interleave"),
	}
}

// TestInvariants: replication keeps the weights and operations of every convolution, the classes, and every layer; each layer
// behind the stem is beta times wider.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, c := drawNet(t), drawConfig(t)
		rep, err := Apply(base, c)
		if err != nil {
			t.Fatal(err)
		}
		before, err := base.Count()
		if err != nil {
			t.Fatal(err)
		}
		after, err := rep.Count()
		if err != nil {
			t.Fatal(err)
		}
		if before.Total.Params1 != after.Total.Params1 || before.Total.BOPs != after.Total.BOPs {
			t.Errorf("1-bit parameters and BOPs %d, %d, want %d, %d", after.Total.Params1, after.Total.BOPs, before.Total.Params1, before.Total.BOPs)
		}
		classifier := before.Layers[len(before.Layers)-1].FLOPs
		factor := int64(c.Beta)
		if c.FC == FCFirst {
			factor = 1
		}
		if want := before.Total.FLOPs + (factor-1)*classifier; after.Total.FLOPs != want {
			t.Errorf("FLOPs %d, want %d", after.Total.FLOPs, want)
		}
		checkWidths(t, base, rep)
	})
}

// checkWidths compares the outputs of the layers that a network and its replicated form share.
func checkWidths(t *rapid.T, base, rep *model.Net) {
	m := layers(t, rep)
	inStem := true // until the first convolution behind it
	for name, want := range inOrder(t, base) {
		got := m[name].Shape
		if got.H != want.Shape.H || got.W != want.Shape.W {
			t.Errorf("%s: %v, want height and width of %v", name, got, want.Shape)
		}
		var ok bool
		switch c := want.Shape.C; want.Op {
		case model.Conv:
			inStem = inStem && want.From[0] < 0
			ok = inStem && got.C == c || !inStem && got.C*rep.Beta == c
		case model.MaxPool, model.AvgPool: // on their own, or before the tile of a convolution
			ok = got.C == c*rep.Beta || got.C == c || got.C*rep.Beta == c
		case model.Linear:
			ok = got.C == c
		default:
			ok = got.C == c*rep.Beta || inStem && got.C == c
		}
		if !ok {
			t.Errorf("%s: %d channels, base %d, beta %d", name, got.C, want.Shape.C, rep.Beta)
		}
	}
}

// inOrder iterates over the nodes of n.
func inOrder(t rapid.TB, n *model.Net) func(yield func(string, model.Node) bool) {
	nodes, err := n.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, model.Node) bool) {
		for _, nd := range nodes {
			if !yield(nd.Name, nd) {
				return
			}
		}
	}
}
