package train

import "github.com/bnntool/bnntool/internal/kernel"

// conv is a convolution with float32 operands, optionally times a scale for each filter. Inputs: x [B,H,W,C], w
// [K,C/G,R,S], and with alpha also alpha [K,1,1].
type conv struct {
	convGrad
	hwi           []float32   // w as [K,R,S,C/G]
	patches       [][]float32 // by worker: scratch
	wt            []float32   // w as kernel.FiltersForGradInput orders it
	inputScratch  [][]float32 // by worker
	filterScratch [][]float32 // by worker
	fwd, bwd      func(worker, chunk int)
}

func newConv(m *machine, g kernel.Geometry, alpha bool) *conv {
	o := &conv{convGrad: newConvGrad(m, g, alpha, g.FilterLen(), func(dw, sum []float32) { kernel.FiltersToOIHW(dw, sum, g) }),
		hwi: make([]float32, g.FilterLen()), patches: m.workers.perWorker(kernel.ConvScratch(g))}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *conv) forward(y []float32, in [][]float32) {
	o.bind(in)
	o.y = y
	kernel.FiltersToHWI(o.hwi, in[1], o.g)
	o.m.each(o.fwd)
}

func (o *conv) forwardChunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		y := o.m.rows(o.y, i, i+1)
		kernel.Conv(y, o.m.rows(o.x, i, i+1), o.hwi, o.patches[worker], o.g)
		if o.alpha != nil {
			copy(o.m.rows(o.plain, i, i+1), y)
			kernel.ScaleChannels(y, y, o.alpha)
		}
	}
}

func (o *conv) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	if o.wt == nil {
		o.wt = make([]float32, o.g.FilterLen())
		o.inputScratch = o.m.workers.perWorker(kernel.GradInputScratch(o.g))
		o.filterScratch = o.m.workers.perWorker(kernel.GradFiltersScratch(o.g))
	}
	o.start(dx, in)
	if dx[0] != nil {
		kernel.FiltersForGradInput(o.wt, in[1], o.g)
	}
	o.dx, o.dy = dx[0], dy
	o.m.each(o.bwd)
	o.finish(dx)
}

func (o *conv) backwardChunk(worker, chunk int) {
	o.clearPartial(chunk)
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		dy, x := o.m.rows(o.dy, i, i+1), o.m.rows(o.x, i, i+1)
		if o.alpha != nil {
			o.sumAlpha(worker, chunk, dy, o.m.rows(o.plain, i, i+1))
		}
		var dx []float32
		if o.dx != nil {
			dx = o.m.rows(o.dx, i, i+1)
		}
		dy = o.behindAlpha(worker, dy)
		kernel.ConvGradFilters(o.partial(chunk), dy, x, o.filterScratch[worker], o.g)
		if dx != nil {
			kernel.ConvGradInput(dx, dy, o.wt, o.inputScratch[worker], o.g)
		}
	}
}
