package train

import "github.com/bnntool/bnntool/internal/kernel"

// conv is a convolution with float32 operands, optionally times a scale for each filter. Inputs: x [B,H,W,C], w
// [K,C/G,R,S], and with alpha also alpha [K,1,1].
type conv struct {
	convGrad
	hwi      []float32   // w as [K,R,S,C/G]
	patches  [][]float32 // by worker: scratch
	fwd, bwd func(worker, chunk int)
}

func newConv(m *machine, g kernel.Geometry, alpha bool) *conv {
	o := &conv{convGrad: newConvGrad(m, g, alpha), hwi: make([]float32, g.FilterLen()), patches: m.workers.perWorker(kernel.ConvScratch(g))}
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
	o.start(dx, in)
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
		o.image(worker, chunk, dy, dx, x)
	}
}

// convGrad is what the gradients of conv and binConv have in common: the gradient by the filters is summed within each
// chunk of images and then over the chunks; the gradient by the input is written image by image.
type convGrad struct {
	m                   *machine
	g                   kernel.Geometry
	hasAlpha            bool
	exactInput          bool // the filters are ±1: products in the gradient by the input are exact
	exactFilters        bool // the input is ±1: products in the gradient by the filters are exact
	x, y, alpha, dx, dy []float32
	plain               []float32   // conv results before alpha, for its gradient
	wt                  []float32   // w as [C,R,S,K/G]
	dw                  []float32   // [K,C/G,R,S]
	hwiSum              []float32   // dw as [K,R,S,C/G]
	alphaSums           []float64   // by chunk and filter
	inputScratch        [][]float32 // by worker
	filterScratch       [][]float32 // by worker
	scaled              [][]float32 // by worker: dy·alpha of one image
	imageSums           [][]float64 // by worker: sums of one image
	sum                 func(worker, filter int)
}

func newConvGrad(m *machine, g kernel.Geometry, alpha bool) convGrad {
	o := convGrad{m: m, g: g, hasAlpha: alpha}
	if alpha {
		o.plain = make([]float32, m.capacity*g.OutLen())
	}
	return o
}

func (o *convGrad) bind(in [][]float32) {
	o.x = in[0]
	if o.hasAlpha {
		o.alpha = in[2]
	}
}

// allocate makes what only the gradient needs, the first time.
func (o *convGrad) allocate() {
	if o.wt != nil {
		return
	}
	g := o.g
	o.wt, o.hwiSum = make([]float32, g.FilterLen()), make([]float32, g.FilterLen())
	o.alphaSums = make([]float64, chunksPerBatch*g.K)
	o.inputScratch = o.m.workers.perWorker(kernel.GradInputScratch(g))
	o.filterScratch = o.m.workers.perWorker(kernel.GradFiltersScratch(g))
	if o.hasAlpha {
		o.scaled = o.m.workers.perWorker(g.OutLen())
		o.imageSums = make([][]float64, o.m.workers.n)
		for i := range o.imageSums {
			o.imageSums[i] = make([]float64, 2*g.K)
		}
	}
	o.m.needPartial(g.FilterLen())
	o.sum = o.sumFilter
}

// start takes over the inputs of a backward pass.
func (o *convGrad) start(dx, in [][]float32) {
	o.allocate()
	o.bind(in)
	o.dw = dx[1]
	if dx[0] != nil {
		kernel.FiltersForGradInput(o.wt, in[1], o.g)
	}
}

func (o *convGrad) clearPartial(chunk int) {
	n := o.g.FilterLen()
	clear(o.m.partial[chunk*n : (chunk+1)*n])
	clear(o.alphaSums[chunk*o.g.K : (chunk+1)*o.g.K])
}

// sumAlpha adds Σ dy·plain of one image to the chunk's gradient by alpha.
func (o *convGrad) sumAlpha(worker, chunk int, dy, plain []float32) {
	sums := o.imageSums[worker]
	clear(sums)
	kernel.BatchNormSums(sums, dy, plain, 1, false)
	for k, v := range sums[o.g.K:] {
		o.alphaSums[chunk*o.g.K+k] += v
	}
}

// image adds one image, whose (quantised) input is x, to the chunk's gradient by the filters, and writes the gradient by
// its input to dx unless that is nil.
func (o *convGrad) image(worker, chunk int, dy, dx, x []float32) {
	if o.hasAlpha {
		scaled := o.scaled[worker]
		kernel.ScaleChannels(scaled, dy, o.alpha)
		dy = scaled
	}
	n := o.g.FilterLen()
	kernel.ConvGradFilters(o.m.partial[chunk*n:(chunk+1)*n], dy, x, o.filterScratch[worker], o.g, o.exactFilters)
	if dx != nil {
		kernel.ConvGradInput(dx, dy, o.wt, o.inputScratch[worker], o.g, o.exactInput)
	}
}

// finish sums the chunks.
func (o *convGrad) finish(dx [][]float32) {
	o.m.workers.run(o.g.K, o.sum)
	kernel.FiltersToOIHW(o.dw, o.hwiSum, o.g)
	if o.hasAlpha {
		sumChunks(dx[2], o.alphaSums, o.m.chunks())
	}
}

func (o *convGrad) sumFilter(_, k int) {
	size := o.g.FilterLen() / o.g.K
	sumPartial(o.hwiSum, o.m, o.g.FilterLen(), k*size, (k+1)*size)
}
