package train

import (
	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/train/model"
)

// binConv is a 1-bit convolution: it takes the signs of its input by a quantizer, packs them, and counts.
//
//	y = scale_k·Σ sign(x)·sign(w),  scale_k = |w_k|·alpha_k
//
// Inputs: x [B,H,W,C], w [K,C/G,R,S] from a weight quantiser, so that all weights of a filter have one magnitude, and
// with alpha also alpha [K,1,1]. Zero padding is exact: a tap outside the image contributes 0.
type binConv struct {
	convGrad
	q        quantizer
	bits     []uint64 // [B, InWords]: the signs of x
	filters  *kernel.SignFilters
	counts   [][]int32  // by worker
	padded   [][]uint32 // by worker: scratch
	size     []float32  // |w_k|
	scale    []float32
	signs    [][]float32 // by worker: one image's signs as ±1
	fwd, bwd func(worker, chunk int)
}

func newBinConv(m *machine, g kernel.Geometry, n *model.Node, training bool) *binConv {
	o := &binConv{convGrad: newConvGrad(m, g, n.Alpha), q: newQuantizer(n.InputQuant, training, m.capacity),
		bits: make([]uint64, m.capacity*g.InWords()), filters: kernel.NewSignFilters(g),
		size: make([]float32, g.K), scale: make([]float32, g.K)}
	o.exactFilters, o.exactInput = true, n.WeightQuant == model.ReCUWeight
	o.counts, o.padded = make([][]int32, m.workers.n), make([][]uint32, m.workers.n)
	for i := range o.counts {
		o.counts[i] = make([]int32, g.OutLen(), g.OutLen()+16)
		o.padded[i] = make([]uint32, kernel.SignScratch(g))
	}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *binConv) forward(y []float32, in [][]float32) {
	o.bind(in)
	o.y = y
	o.filters.Pack(in[1])
	n := o.g.FilterLen() / o.g.K
	for k := range o.scale {
		o.size[k] = abs32(in[1][k*n])
		o.scale[k] = o.size[k]
		if o.hasAlpha {
			o.scale[k] *= o.alpha[k]
		}
	}
	o.m.each(o.fwd)
}

func (o *binConv) forwardChunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	counts := o.counts[worker]
	for i := lo; i < hi; i++ {
		x, y := o.m.rows(o.x, i, i+1), o.m.rows(o.y, i, i+1)
		bits := o.bits[i*o.g.InWords() : (i+1)*o.g.InWords()]
		o.q.measure(i, x)
		kernel.PackSigns(bits, x, o.g.H*o.g.W*o.g.Groups, o.g.GroupC())
		o.filters.Convolve(counts, bits, o.padded[worker])
		if o.hasAlpha {
			kernel.ScaleCounts(o.m.rows(o.plain, i, i+1), counts, o.size)
		}
		kernel.ScaleCounts(y, counts, o.scale)
	}
}

func (o *binConv) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	if o.signs == nil {
		o.signs = o.m.workers.perWorker(o.g.InLen())
	}
	o.start(dx, dy, in)
	o.m.each(o.bwd)
	o.finish(dx)
}

func (o *binConv) backwardChunk(worker, chunk int) {
	o.clearPartial(chunk)
	lo, hi := o.m.span(chunk)
	signs := o.signs[worker]
	for i := lo; i < hi; i++ {
		if o.hasAlpha {
			o.sumAlpha(worker, chunk, o.m.rows(o.dy, i, i+1), o.m.rows(o.plain, i, i+1))
		}
		kernel.UnpackSigns(signs, o.bits[i*o.g.InWords():(i+1)*o.g.InWords()], o.g.H*o.g.W*o.g.Groups, o.g.GroupC())
		o.image(worker, chunk, i, signs)
		if o.dx != nil {
			o.q.backward(i, o.m.rows(o.dx, i, i+1), o.m.rows(o.x, i, i+1))
		}
	}
}
