package runtime_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// generator builds random valid models.
type generator struct {
	rng    *rand.Rand
	model  *artifact.Model
	values []genValue
}

type genValue struct {
	name    string
	kind    artifact.ValueKind
	h, w, c int
}

// channels straddle the borders of words.
var channels = []int{1, 2, 3, 8, 31, 33, 63, 64, 65, 70, 128}

// randomModel returns a valid model of about n operations, of all kinds, with inputs taken from anywhere before.
func randomModel(seed uint64, n int) *artifact.Model {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0)), model: &artifact.Model{Name: fmt.Sprint("random ", seed), Tensors: map[string]artifact.Tensor{}}}
	h, w, c := 1+g.rng.IntN(8), 1+g.rng.IntN(8), 1+2*g.rng.IntN(2)
	g.model.Input = [3]int{h, w, c}
	g.model.Preprocess = preprocess.Config{H: h, W: w, C: c, Mean: make([]float32, c), Std: fill(c, func() float32 { return 1 })}
	g.values = []genValue{{artifact.ImageInput, artifact.FloatValue, h, w, c}}
	for len(g.model.Ops) < n {
		g.step()
	}
	// The logits: every float value of the last few, flat, joined.
	var flat []genValue
	for _, x := range g.values[max(1, len(g.values)-5):] {
		if x.kind == artifact.BitsValue {
			x = g.binConv(x)
		}
		if x.kind == artifact.CountsValue {
			x = g.affine(x)
		}
		flat = append(flat, g.add(artifact.Op{Kind: artifact.Flatten}, artifact.FloatValue, 1, 1, x.h*x.w*x.c, x))
	}
	last := flat[0]
	if len(flat) > 1 {
		c := 0
		for _, x := range flat {
			c += x.c
		}
		last = g.add(artifact.Op{Kind: artifact.Concat}, artifact.FloatValue, 1, 1, c, flat...)
	}
	logits := g.linear(last, 1+g.rng.IntN(12))
	for i := range logits.c {
		g.model.Classes = append(g.model.Classes, fmt.Sprint("class ", i))
	}
	return g.model
}

func fill(n int, f func() float32) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = f()
	}
	return v
}

func (g *generator) normal() float32 { return float32(g.rng.NormFloat64()) }

func (g *generator) chance() bool { return g.rng.IntN(2) == 0 }

// add appends an operation over in and returns its value.
func (g *generator) add(op artifact.Op, kind artifact.ValueKind, h, w, c int, in ...genValue) genValue {
	op.Name = fmt.Sprintf("%s%d", op.Kind, len(g.model.Ops))
	for _, x := range in {
		op.Inputs = append(op.Inputs, x.name)
	}
	g.model.Ops = append(g.model.Ops, op)
	v := genValue{op.Name, kind, h, w, c}
	g.values = append(g.values, v)
	return v
}

// tensor adds a tensor and returns its name.
func (g *generator) tensor(t artifact.Tensor) string {
	name := fmt.Sprint("t", len(g.model.Tensors))
	g.model.Tensors[name] = t
	return name
}

func (g *generator) vector(n int) string {
	return g.tensor(artifact.F32([]int{n}, fill(n, g.normal)))
}

// bits returns random words of rows of n bits.
func (g *generator) bits(rows, n int) []uint64 {
	per := (n + 63) / 64
	words := make([]uint64, rows*per)
	for i := range words {
		words[i] = g.rng.Uint64()
		if i%per == per-1 && n%64 != 0 {
			words[i] &= 1<<(n%64) - 1
		}
	}
	return words
}

// step adds one random operation to a random value.
func (g *generator) step() {
	x := g.values[len(g.values)-1-g.rng.IntN(min(3, len(g.values)))]
	switch {
	case x.kind == artifact.BitsValue:
		g.binConv(x)
	case x.kind == artifact.CountsValue:
		switch g.rng.IntN(5) {
		case 0:
			g.binConv(x)
		case 1:
			g.pool(artifact.MaxPool, x)
		case 2:
			g.affine(x)
		default:
			g.threshold(x)
		}
	default:
		g.float(x)
	}
}

func (g *generator) float(x genValue) {
	same := func(op artifact.Op, in ...genValue) { g.add(op, artifact.FloatValue, x.h, x.w, x.c, in...) }
	switch g.rng.IntN(18) {
	case 0:
		g.conv(x)
	case 1:
		g.affine(x)
	case 2:
		same(artifact.Op{Kind: artifact.Hardtanh}, x)
	case 3:
		same(artifact.Op{Kind: artifact.PReLU, Slope: g.vector(x.c)}, x)
	case 4:
		g.joined(x)
	case 5:
		factor := 1 + g.rng.IntN(3)
		g.add(artifact.Op{Kind: artifact.Tile, Factor: factor, Interleave: g.chance()}, artifact.FloatValue, x.h, x.w, x.c*factor, x)
	case 6:
		out := x.c + 2*g.rng.IntN(4)
		g.add(artifact.Op{Kind: artifact.PadChannels, Out: out}, artifact.FloatValue, x.h, x.w, out, x)
	case 7:
		out := 1 + g.rng.IntN(x.c)
		g.add(artifact.Op{Kind: artifact.TakeChannels, Out: out}, artifact.FloatValue, x.h, x.w, out, x)
	case 8:
		g.pool(artifact.AvgPool, x)
	case 9:
		g.pool(artifact.MaxPool, x)
	case 10:
		if g.rng.IntN(4) == 0 {
			g.add(artifact.Op{Kind: artifact.GlobalAvgPool}, artifact.FloatValue, 1, 1, x.c, x)
		}
	case 11, 12, 13:
		g.chain(x)
	default:
		g.binConv(x)
	}
}

// chain adds operations in an order that networks have, each or not: what may be computed in one step. Now and then
// something else takes a value in between, so that it may not.
func (g *generator) chain(x genValue) {
	same := func(kind artifact.Kind, in ...genValue) genValue {
		return g.add(artifact.Op{Kind: kind}, artifact.FloatValue, in[0].h, in[0].w, in[0].c, in...)
	}
	tap := func(x genValue) {
		if g.rng.IntN(8) == 0 {
			g.binConv(x)
		}
	}
	tile := func(x genValue) genValue {
		factor := 2 + g.rng.IntN(2)
		return g.add(artifact.Op{Kind: artifact.Tile, Factor: factor, Interleave: g.rng.IntN(3) == 0}, artifact.FloatValue, x.h, x.w, x.c*factor, x)
	}
	var y genValue
	switch g.rng.IntN(8) {
	case 0:
		if y = g.conv(x); g.chance() {
			y = g.affine(y)
		}
		if tap(y); g.chance() {
			y = same(artifact.Hardtanh, y)
		}
		if tap(y); g.chance() && y.c < 100 {
			y = tile(y)
		}
		if g.chance() { // its floats and its signs
			y = same(artifact.Add, g.branch(y), y)
		}
	case 1:
		if y = g.binConv(x); g.chance() {
			y = g.pool(artifact.MaxPool, y)
		}
		y = g.threshold(y)
	case 2:
		if x.h < 2 || x.w < 2 {
			return
		}
		y = g.pool(artifact.AvgPool, x)
		y = g.add(artifact.Op{Kind: artifact.PadChannels, Out: y.c + 4}, artifact.FloatValue, y.h, y.w, y.c+4, y)
	case 3:
		y = g.affine(g.binConv(x))
		if tap(y); g.chance() {
			y = same(artifact.Hardtanh, y)
		}
	case 4, 5:
		if y = x; g.chance() {
			y = g.add(artifact.Op{Kind: artifact.Concat}, artifact.FloatValue, x.h, x.w, 2*x.c, x, x)
		}
		bias := func(y genValue) genValue {
			return g.add(artifact.Op{Kind: artifact.Affine, Bias: g.vector(y.c)}, artifact.FloatValue, y.h, y.w, y.c, y)
		}
		if tap(y); g.chance() {
			y = bias(y)
		}
		y = g.add(artifact.Op{Kind: artifact.PReLU, Slope: g.vector(y.c)}, artifact.FloatValue, y.h, y.w, y.c, y)
		if tap(y); g.chance() {
			y = bias(y)
		}
		if tap(y); g.chance() {
			g.binConv(bias(y))
			return
		}
	default:
		shortcut := x
		y = g.branch(x)
		if g.chance() {
			shortcut = g.branch(x)
		}
		if tap(y); g.chance() {
			y, shortcut = shortcut, y
		}
		y = same(artifact.Add, y, shortcut)
		if tap(y); g.chance() {
			y = same(artifact.Hardtanh, y)
		}
	}
	if y.kind != artifact.BitsValue {
		tap(y)
	}
	g.binConv(y)
}

// joined adds x to, or joins it with, another value of its extent if there is one, else itself.
func (g *generator) joined(x genValue) {
	for _, y := range g.values {
		if y.kind == artifact.FloatValue && y.h == x.h && y.w == x.w && g.chance() {
			if y.c == x.c && g.chance() {
				g.add(artifact.Op{Kind: artifact.Add}, artifact.FloatValue, x.h, x.w, x.c, x, y)
				return
			}
			g.add(artifact.Op{Kind: artifact.Concat}, artifact.FloatValue, x.h, x.w, x.c+y.c, y, x)
			return
		}
	}
	g.add(artifact.Op{Kind: artifact.Add}, artifact.FloatValue, x.h, x.w, x.c, x, x)
}

func (g *generator) pool(kind artifact.Kind, x genValue) genValue {
	op := artifact.Op{Kind: kind, Kernel: 1 + g.rng.IntN(min(3, x.h, x.w)), Stride: 1 + g.rng.IntN(2)}
	return g.add(op, x.kind, (x.h-op.Kernel)/op.Stride+1, (x.w-op.Kernel)/op.Stride+1, x.c, x)
}

// window returns a random convolution of x without weights, and its extent.
func (g *generator) window(kind artifact.Kind, x genValue) (op artifact.Op, h, w int) {
	op = artifact.Op{Kind: kind, Out: channels[g.rng.IntN(len(channels))], Stride: 1 + g.rng.IntN(2)}
	op.Kernel = []int{1, 3, 3, 2}[g.rng.IntN(4)]
	op.Pad = g.rng.IntN(op.Kernel)
	if op.Kernel > min(x.h, x.w)+2*op.Pad {
		op.Kernel, op.Pad = 1, 0
	}
	if groups := 2 + g.rng.IntN(3); x.c%groups == 0 && g.chance() {
		op.Groups, op.Out = groups, groups*(1+g.rng.IntN(9))
	}
	return op, (x.h+2*op.Pad-op.Kernel)/op.Stride + 1, (x.w+2*op.Pad-op.Kernel)/op.Stride + 1
}

// branch adds a 1-bit convolution and what scales its counts, with a result of x's extent.
func (g *generator) branch(x genValue) genValue {
	op := artifact.Op{Kind: artifact.BinConv, Out: x.c, Kernel: 3, Stride: 1, Pad: 1}
	op.Weights = g.tensor(artifact.Bits([]int{x.c, x.c, 3, 3}, g.bits(x.c*9, x.c)))
	y := g.add(op, artifact.CountsValue, x.h, x.w, x.c, x)
	return g.add(artifact.Op{Kind: artifact.Affine, Scale: g.vector(x.c), Bias: g.vector(x.c)}, artifact.FloatValue, x.h, x.w, x.c, y)
}

func (g *generator) conv(x genValue) genValue {
	op, h, w := g.window(artifact.Conv, x)
	shape := []int{op.Out, x.c / op.GroupCount(), op.Kernel, op.Kernel}
	op.Weights = g.tensor(artifact.F32(shape, fill(shape[0]*shape[1]*shape[2]*shape[3], g.normal)))
	if g.chance() {
		op.Scale = g.vector(op.Out)
	}
	return g.add(op, artifact.FloatValue, h, w, op.Out, x)
}

func (g *generator) binConv(x genValue) genValue {
	op, h, w := g.window(artifact.BinConv, x)
	shape := []int{op.Out, x.c / op.GroupCount(), op.Kernel, op.Kernel}
	op.Weights = g.tensor(artifact.Bits(shape, g.bits(op.Out*op.Kernel*op.Kernel, shape[1])))
	return g.add(op, artifact.CountsValue, h, w, op.Out, x)
}

// factor returns a random Factor for n channels.
func (g *generator) factor(n int) int {
	if n > 100 {
		return 0
	}
	return []int{0, 0, 1, 2, 4}[g.rng.IntN(5)]
}

func (g *generator) affine(x genValue) genValue {
	op := artifact.Op{Kind: artifact.Affine, Factor: g.factor(x.c), Interleave: g.chance()}
	n := x.c * op.FactorCount()
	if g.rng.IntN(4) > 0 {
		op.Scale = g.vector(n)
	}
	if g.rng.IntN(4) > 0 {
		op.Bias = g.vector(n)
	}
	return g.add(op, artifact.FloatValue, x.h, x.w, n, x)
}

func (g *generator) threshold(x genValue) genValue {
	op := artifact.Op{Kind: artifact.Threshold, Factor: g.factor(x.c), Interleave: g.chance()}
	n := x.c * op.FactorCount()
	limits := make([]int32, n)
	for i := range limits {
		switch limits[i] = int32(g.rng.IntN(21) - 10); g.rng.IntN(9) {
		case 0:
			limits[i] = artifact.NeverBelow
		case 1:
			limits[i] = 1<<31 - 1
		}
	}
	op.Threshold = g.tensor(artifact.I32([]int{n}, limits))
	if g.chance() {
		op.Flip = g.tensor(artifact.Bits([]int{n}, g.bits(1, n)))
	}
	return g.add(op, artifact.BitsValue, x.h, x.w, n, x)
}

func (g *generator) linear(x genValue, out int) genValue {
	op := artifact.Op{Kind: artifact.Linear, Out: out}
	op.Weights = g.tensor(artifact.F32([]int{out, x.c}, fill(out*x.c, g.normal)))
	if g.chance() {
		op.Bias = g.vector(out)
	}
	return g.add(op, artifact.FloatValue, 1, 1, out, x)
}
