package train

import "github.com/bnntool/bnntool/internal/kernel"

// normTanh is tile(hardtanh(batchnorm(x))) as one operation, the tile optional: what follows the first convolution of
// ReCU's networks, and pooling in its VGG-small. Like block it works image by image, keeps one bit an element of the
// output for the gradient, and makes the signs for the convolution behind it.
//
// Inputs: x [B,H,W,n] and batchNorm's parameters.
type normTanh struct {
	m           *machine
	bn          *batchNorm
	pass        kernel.Block // of the tiled map
	mask        []uint16     // [B,MaskWords]
	signs       *signs
	scale, bias []float64 // bn's, by tiled channel
	y           []float32
	dx, dy      []float32
	wide        [][]float32         // by worker: one tiled image's gradient behind the hardtanh
	images      []kernel.BlockImage // by worker: scratch
	apply       func(worker, chunk int)
	reduce      func(worker, chunk int)
	spread      func(worker, chunk int)
}

// newNormTanh makes the operation of a batch norm without a tile in front of it.
func newNormTanh(m *machine, bn *batchNorm, factor int, interleave bool) *normTanh {
	pass := kernel.Block{Pixels: bn.pixels, N: bn.n, Factor: factor, Interleave: interleave}
	wide := bn.n * factor
	o := &normTanh{m: m, bn: bn, pass: pass, scale: make([]float64, wide), bias: make([]float64, wide),
		mask: kernel.Make[uint16](m.capacity * kernel.MaskWords(bn.pixels*wide)), signs: newSigns(m, bn.pixels, wide),
		wide: m.workers.perWorker(bn.pixels * wide), images: make([]kernel.BlockImage, m.workers.n)}
	o.apply, o.reduce, o.spread = o.applyChunk, o.reduceChunk, o.spreadChunk
	return o
}

func (o *normTanh) outputSigns() *signs { return o.signs }

func (o *normTanh) forward(y []float32, in [][]float32) {
	o.bn.x, o.y = in[0], y
	o.m.each(o.bn.stats)
	o.bn.normalise(in[1:])
	kernel.Tile(o.scale, o.bn.scale, o.pass.N, o.pass.Factor, o.pass.Interleave)
	kernel.Tile(o.bias, o.bn.bias, o.pass.N, o.pass.Factor, o.pass.Interleave)
	o.m.each(o.apply)
}

func (o *normTanh) applyChunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	im := &o.images[worker]
	for i := lo; i < hi; i++ {
		*im = kernel.BlockImage{Floats: o.m.rows(o.bn.x, i, i+1), Y: o.m.rows(o.y, i, i+1), Mask: imagesOf(o.m, o.mask, i), Signs: o.signs.image(i)}
		sum, squares := o.pass.Forward(im, o.scale, o.bias, &o.signs.q.room[i])
		o.signs.q.keep(i, sum, squares, len(im.Y))
	}
}

func (o *normTanh) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.bn.x, o.dx, o.dy = in[0], dx[0], dy
	o.m.each(o.reduce)
	o.bn.gradients(dx[1:], in[1])
	o.m.each(o.spread)
}

// reduceChunk leaves the gradient behind the hardtanh, before the tile, in dx.
func (o *normTanh) reduceChunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	sums := o.bn.gradSums(chunk)
	for i := lo; i < hi; i++ {
		g, dx := o.wide[worker], o.m.rows(o.dx, i, i+1)
		kernel.MaskGrad(g, o.m.rows(o.dy, i, i+1), imagesOf(o.m, o.mask, i))
		kernel.TileGrad(dx, g, o.pass.N, o.pass.Factor, o.pass.Interleave)
		kernel.BatchNormSums(sums, dx, o.m.rows(o.bn.x, i, i+1), 1, false)
	}
}

func (o *normTanh) spreadChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	dx := o.m.rows(o.dx, lo, hi)
	kernel.BatchNormGrad(dx, dx, o.m.rows(o.bn.x, lo, hi), o.bn.scale, o.bn.gradA, o.bn.gradB, 1, false)
}
