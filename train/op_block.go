package train

import "github.com/bnntool/bnntool/internal/kernel"

// block is hardtanh(batchnorm(tile(binconv(x))) + shortcut) as one operation, the shortcut optional: every layer of
// ReCU's ResNet-20, and the inner ones of its ResNet-18 and VGG-small. It computes what binConv, batchNorm, add and
// hardtanh compute one after the other, bit for bit, but image by image, so that what lies between them stays in cache
// and is never stored for the whole batch. Kept for the gradient are the signs of x, the counts, and one bit an element of
// the output. A shortcut that is x itself is no input of its own, so x has one consumer less and its gradient no sum.
//
// Inputs: x [B,H,W,C], w (quantised, ±1), gamma, delta, with alpha also alpha, and with a separate shortcut s of the
// output's shape. Alpha is batchNorm's; the convolution has none.
type block struct {
	m        *machine
	conv     *binConv
	bn       *batchNorm
	pass     kernel.Block
	identity bool     // the shortcut is x
	separate bool     // the shortcut is an input
	counts   []int16  // [B,OutLen]: the convolution's result
	mask     []uint16 // [B,MaskWords]: where the hardtanh passes the gradient
	signs    *signs   // of the output
	y, s     []float32
	dx, ds   []float32
	dy       []float32
	narrow   [][]float32         // by worker: one image's gradient by the counts
	wide     [][]float32         // by worker: one image's gradient by the signs of x
	images   []kernel.BlockImage // by worker: scratch
	sums     []kernel.CountSums  // by worker: scratch
	count    func(worker, chunk int)
	apply    func(worker, chunk int)
	reduce   func(worker, chunk int)
	spread   func(worker, chunk int)
}

func newBlock(m *machine, conv *binConv, bn *batchNorm, identity, separate bool) *block {
	g := conv.g
	pass := kernel.Block{Pixels: g.OutH() * g.OutW(), N: g.K, Factor: bn.factor, Interleave: bn.interleave}
	wide := g.OutLen() * bn.factor
	o := &block{m: m, conv: conv, bn: bn, pass: pass, identity: identity, separate: separate,
		counts: kernel.Make[int16](m.capacity * g.OutLen()), mask: kernel.Make[uint16](m.capacity * kernel.MaskWords(wide)),
		signs:  newSigns(m, pass.Pixels, g.K*bn.factor),
		narrow: m.workers.perWorker(g.OutLen()), images: make([]kernel.BlockImage, m.workers.n), sums: make([]kernel.CountSums, m.workers.n)}
	if identity {
		o.wide = m.workers.perWorker(wide)
	}
	o.count, o.apply, o.reduce, o.spread = o.countChunk, o.applyChunk, o.reduceChunk, o.spreadChunk
	return o
}

func (o *block) outputSigns() *signs { return o.signs }

// convolved returns the counts of image i.
func (o *block) convolved(i int) []int16 { return imagesOf(o.m, o.counts, i) }

// passes returns the mask of image i.
func (o *block) passes(i int) []uint16 { return imagesOf(o.m, o.mask, i) }

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
	sums, limit := o.bn.momentSums(chunk), o.conv.g.FilterLen()/o.conv.g.K
	for i := lo; i < hi; i++ {
		kernel.CountMoments(o.convolved(i), o.conv.tally(worker, i), sums, limit, &o.sums[worker])
	}
}

func (o *block) applyChunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	im := &o.images[worker]
	for i := lo; i < hi; i++ {
		*im = kernel.BlockImage{Counts: o.convolved(i), Y: o.m.rows(o.y, i, i+1), Mask: o.passes(i), Signs: o.signs.image(i)}
		if o.s != nil {
			im.Shortcut = o.m.rows(o.s, i, i+1)
		}
		sum, squares := o.pass.Forward(im, o.bn.scale, o.bn.bias, &o.signs.q.room[i])
		o.signs.q.keep(i, sum, squares, len(im.Y))
	}
}

func (o *block) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.conv.startGrad(dx, in)
	o.dx, o.dy = dx[0], dy
	if o.separate {
		o.ds = dx[len(dx)-1]
	}
	o.m.each(o.reduce)
	o.bn.gradients(o.params(dx), in[2])
	o.m.each(o.spread)
	o.conv.finish(dx)
}

func (o *block) reduceChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	sums := o.bn.gradSums(chunk)
	for i := lo; i < hi; i++ {
		o.pass.Reduce(sums, o.m.rows(o.dy, i, i+1), o.passes(i), o.convolved(i))
	}
}

func (o *block) spreadChunk(worker, chunk int) {
	o.conv.clearPartial(chunk)
	lo, hi := o.m.span(chunk)
	d := o.narrow[worker]
	for i := lo; i < hi; i++ {
		dy, mask := o.m.rows(o.dy, i, i+1), o.passes(i)
		if o.ds != nil {
			kernel.MaskGrad(o.m.rows(o.ds, i, i+1), dy, mask)
		}
		o.pass.Spread(d, dy, mask, o.convolved(i), o.bn.scale, o.bn.gradA, o.bn.gradB)
		if o.dx == nil {
			o.conv.products(worker, chunk, i, d, nil)
			continue
		}
		dx, x := o.m.rows(o.dx, i, i+1), o.m.rows(o.conv.x, i, i+1)
		if !o.identity {
			o.conv.products(worker, chunk, i, d, dx)
			o.conv.q.backward(i, dx, x)
			continue
		}
		du := o.wide[worker] // dx may be dy, which is needed once more
		o.conv.products(worker, chunk, i, d, du)
		inv, slope, shift := o.conv.q.derive(i, du, x)
		kernel.CombineMasked(dx, du, x, inv, slope, shift, dy, mask)
	}
}

// replacesGradient: where the shortcut is x, dx has the size of dy, and an image of dy is not read behind that of dx.
func (o *block) replacesGradient() bool { return o.identity }
