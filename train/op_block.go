package train

import (
	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/train/model"
)

// block is hardtanh(batchnorm(tile(binconv(x))) + shortcut) as one operation, the shortcut optional: every layer of
// ReCU's ResNet-20, and the inner ones of its ResNet-18 and VGG-small. It computes what binConv, batchNorm, add and
// hardtanh compute one after the other, bit for bit, but image by image, so that what lies between them stays in cache
// and is never stored for the whole batch: kept for the gradient are the signs of x, the convolution's result, and the
// output. A shortcut that is x itself is no input of its own, so x has one consumer less and its gradient no sum.
//
// Inputs: x [B,H,W,C], w (quantised), gamma, delta, with alpha also alpha, and with a separate shortcut s of the output's
// shape. Alpha is batchNorm's; the convolution has none.
type block struct {
	m        *machine
	conv     *binConv
	bn       *batchNorm
	identity bool // the shortcut is x
	separate bool // the shortcut is an input
	y, s     []float32
	dx, ds   []float32
	dy       []float32
	narrow   [][]float32 // by worker: one image's gradient by the convolution
	wide     [][]float32 // by worker: one image's gradient behind the hardtanh
	count    func(worker, chunk int)
	apply    func(worker, chunk int)
	reduce   func(worker, chunk int)
	spread   func(worker, chunk int)
}

func newBlock(m *machine, conv *binConv, bn *batchNorm, identity, separate bool) *block {
	conv.plain = make([]float32, m.capacity*conv.g.OutLen())
	o := &block{m: m, conv: conv, bn: bn, identity: identity, separate: separate,
		narrow: m.workers.perWorker(conv.g.OutLen()), wide: m.workers.perWorker(conv.g.OutLen() * bn.factor)}
	o.count, o.apply, o.reduce, o.spread = o.countChunk, o.applyChunk, o.reduceChunk, o.spreadChunk
	return o
}

// convolved returns image i behind the convolution.
func (o *block) convolved(i int) []float32 { return o.m.rows(o.conv.plain, i, i+1) }

// params returns batchNorm's of the inputs or their gradients.
func (o *block) params(in [][]float32) [][]float32 {
	if o.separate {
		return in[2 : len(in)-1]
	}
	return in[2:]
}

func (o *block) forward(y []float32, in [][]float32) {
	o.conv.prepare(in)
	o.y = y
	switch {
	case o.separate:
		o.s = in[len(in)-1]
	case o.identity:
		o.s = in[0]
	}
	o.m.each(o.count)
	o.bn.normalise(o.params(in))
	o.m.each(o.apply)
}

func (o *block) countChunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	sums := o.bn.momentSums(chunk)
	for i := lo; i < hi; i++ {
		o.conv.count(worker, i)
		kernel.Moments(sums, o.convolved(i))
	}
}

func (o *block) applyChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		y := o.m.rows(o.y, i, i+1)
		kernel.BatchNorm(y, o.convolved(i), o.bn.scale, o.bn.bias, o.bn.factor, o.bn.interleave)
		if o.s != nil {
			kernel.Add(y, y, o.m.rows(o.s, i, i+1))
		}
		kernel.Hardtanh(y, y)
	}
}

func (o *block) backward(dx [][]float32, dy []float32, in [][]float32, y []float32) {
	o.conv.start(dx, in)
	o.dx, o.dy, o.y = dx[0], dy, y
	if o.separate {
		o.ds = dx[len(dx)-1]
	}
	o.m.each(o.reduce)
	o.bn.gradients(o.params(dx), in[2])
	o.m.each(o.spread)
	o.conv.finish(dx)
}

func (o *block) reduceChunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	sums := o.bn.gradSums(chunk)
	for i := lo; i < hi; i++ {
		g := o.wide[worker]
		kernel.HardtanhGrad(g, o.m.rows(o.dy, i, i+1), o.m.rows(o.y, i, i+1))
		kernel.BatchNormSums(sums, g, o.convolved(i), o.bn.factor, o.bn.interleave)
	}
}

func (o *block) spreadChunk(worker, chunk int) {
	o.conv.clearPartial(chunk)
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		g, d := o.wide[worker], o.narrow[worker]
		if o.ds != nil {
			g = o.m.rows(o.ds, i, i+1)
		}
		kernel.HardtanhGrad(g, o.m.rows(o.dy, i, i+1), o.m.rows(o.y, i, i+1))
		kernel.BatchNormGrad(d, g, o.convolved(i), o.bn.scale, o.bn.gradA, o.bn.gradB, o.bn.factor, o.bn.interleave)
		var dx []float32
		if o.dx != nil {
			dx = o.m.rows(o.dx, i, i+1)
		}
		o.conv.signGrad(worker, chunk, i, d, dx)
		if o.identity && dx != nil {
			kernel.Add(dx, dx, g)
		}
	}
}

// blockAt is the pattern of a block in a network, by layer; shortcut is -1 without one.
type blockAt struct {
	conv, norm, shortcut, end int
}

// blockPlan says where in a network blocks are.
type blockPlan struct {
	ending map[int]blockAt // the blocks by their last layer
	inside map[int]bool    // their other layers
}

// planBlocks finds the blocks of a network. Every layer of a block but the last has the next one as its only consumer.
func planBlocks(nodes []model.Node, consumers [][]int) blockPlan {
	plan := blockPlan{map[int]blockAt{}, map[int]bool{}}
	for i := range nodes {
		at, ok := blockFrom(i, nodes, consumers)
		if !ok {
			continue
		}
		plan.ending[at.end] = at
		for j := at.conv; j != at.end; j = consumers[j][0] {
			plan.inside[j] = true
		}
	}
	return plan
}

// blockFrom returns the block that begins with layer i.
func blockFrom(i int, nodes []model.Node, consumers [][]int) (b blockAt, ok bool) {
	next := func(at int, op model.Op) int {
		if at < 0 || len(consumers[at]) != 1 || nodes[consumers[at][0]].Op != op {
			return -1
		}
		return consumers[at][0]
	}
	if !nodes[i].Binary() {
		return b, false
	}
	b = blockAt{conv: i, shortcut: -1}
	before := i
	if tile := next(i, model.Tile); tile >= 0 {
		before = tile
	}
	b.norm = next(before, model.BatchNorm)
	b.end = next(b.norm, model.Hardtanh)
	if sum := next(b.norm, model.Add); sum >= 0 {
		b.end = next(sum, model.Hardtanh)
		b.shortcut = nodes[sum].From[0]
		if b.shortcut == b.norm {
			b.shortcut = nodes[sum].From[1]
		}
		if b.shortcut < 0 { // the image: it may have no gradient
			return b, false
		}
	}
	return b, b.norm >= 0 && b.end >= 0
}
