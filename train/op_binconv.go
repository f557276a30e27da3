package train

import (
	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/train/model"
)

// binConv is a 1-bit convolution: it takes the signs of its input by a quantizer, packs them, and counts.
//
//	y = alpha_k·|w_k|·Σ sign(x)·sign(w)
//
// Inputs: x [B,H,W,C], w [K,C/G,R,S] from a weight quantiser, so that all weights of a filter have one magnitude, and
// with alpha also alpha [K,1,1]. Zero padding is exact: a tap outside the image contributes 0.
type binConv struct {
	convGrad
	q        quantizer
	bits     []uint64 // [B, InWords]: the signs of x
	given    bool     // bits and deviations come with x
	filters  *kernel.SignFilters
	size     []float32  // |w_k|
	counts   [][]int32  // by worker
	padded   [][]uint64 // by worker: scratch
	grads    *kernel.SignGradients
	scratch  []*kernel.SignGradScratch // by worker
	sized    [][]float32               // by worker: dy·|w_k| of one image, where a |w_k| is not 1
	fwd, bwd func(worker, chunk int)
}

func newBinConv(m *machine, g kernel.Geometry, n *model.Node, training, alpha bool) *binConv {
	grads := kernel.NewSignGradients(g)
	o := &binConv{convGrad: newConvGrad(m, g, alpha, grads.FiltersLen(), grads.ToOIHW), grads: grads, q: newQuantizer(n.InputQuant, training, m.capacity),
		filters: kernel.NewSignFilters(g), size: make([]float32, g.K)}
	if n.WeightQuant != model.ReCUWeight {
		o.sized = m.workers.perWorker(g.OutLen())
	}
	o.counts, o.padded = make([][]int32, m.workers.n), make([][]uint64, m.workers.n)
	for i := range o.counts {
		o.counts[i] = make([]int32, g.OutLen())
		o.padded[i] = make([]uint64, o.filters.Scratch())
	}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *binConv) forward(y []float32, in [][]float32) {
	o.y = y
	if !o.hasAlpha {
		o.plain = y
	}
	o.prepare(in)
	o.m.each(o.fwd)
}

// prepare takes over the inputs of a forward pass.
func (o *binConv) prepare(in [][]float32) {
	o.bind(in)
	if o.bits == nil {
		o.bits = kernel.Make[uint64](o.m.capacity * o.g.InWords())
	}
	o.filters.Pack(in[1])
	n := o.g.FilterLen() / o.g.K
	for k := range o.size {
		o.size[k] = abs32(in[1][k*n])
	}
}

func (o *binConv) forwardChunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		o.count(worker, i)
		if o.hasAlpha {
			kernel.ScaleChannels(o.m.rows(o.y, i, i+1), o.m.rows(o.plain, i, i+1), o.alpha)
		}
	}
}

// count computes image i before alpha.
func (o *binConv) count(worker, i int) {
	kernel.ScaleCounts(o.m.rows(o.plain, i, i+1), o.tally(worker, i), o.size)
}

// tally returns the counts of image i, the worker's until its next call.
func (o *binConv) tally(worker, i int) []int32 {
	bits, counts := o.packed(i), o.counts[worker]
	if !o.given {
		x := o.m.rows(o.x, i, i+1)
		o.q.measure(i, x)
		kernel.PackSigns(bits, x, o.g.H*o.g.W*o.g.Groups, o.g.GroupC())
	}
	o.filters.Convolve(counts, bits, o.padded[worker])
	return counts
}

// packed returns the signs of image i.
func (o *binConv) packed(i int) []uint64 { return o.bits[i*o.g.InWords() : (i+1)*o.g.InWords()] }

// take lets the convolution use signs and deviations that the operation in front of it makes.
func (o *binConv) take(s *signs) {
	o.bits, o.q.mean, o.q.std, o.given = s.bits, s.q.mean, s.q.std, true
}

func (o *binConv) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.startGrad(dx, in)
	o.dx, o.dy = dx[0], dy
	o.m.each(o.bwd)
	o.finish(dx)
}

func (o *binConv) backwardChunk(worker, chunk int) {
	o.clearPartial(chunk)
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		var dx []float32
		if o.dx != nil {
			dx = o.m.rows(o.dx, i, i+1)
		}
		o.signGrad(worker, chunk, i, o.m.rows(o.dy, i, i+1), dx)
	}
}

// signGrad adds image i to the chunk's gradients, and writes the gradient by its input to dx unless that is nil.
func (o *binConv) signGrad(worker, chunk, i int, dy, dx []float32) {
	if o.hasAlpha {
		o.sumAlpha(worker, chunk, dy, o.m.rows(o.plain, i, i+1))
	}
	o.products(worker, chunk, i, dy, dx)
	if dx != nil {
		o.q.backward(i, dx, o.m.rows(o.x, i, i+1))
	}
}

// startGrad takes over the inputs of a backward pass.
func (o *binConv) startGrad(dx, in [][]float32) {
	if o.scratch == nil {
		for range o.m.workers.n {
			o.scratch = append(o.scratch, o.grads.NewScratch())
		}
	}
	o.start(dx, in)
	if dx[0] != nil {
		o.grads.Pack(in[1])
	}
}

// products adds image i to the chunk's gradient by the filters, and writes the gradient by its signs to dx unless that is
// nil.
func (o *binConv) products(worker, chunk, i int, dy, dx []float32) {
	dy = o.behindAlpha(worker, dy)
	o.grads.Filters(o.partial(chunk), dy, o.packed(i), o.scratch[worker])
	if dx == nil {
		return
	}
	if o.sized != nil {
		kernel.ScaleChannels(o.sized[worker], dy, o.size)
		dy = o.sized[worker]
	}
	o.grads.Input(dx, dy, o.scratch[worker])
}
