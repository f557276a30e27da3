package train

import "github.com/bnntool/bnntool/internal/kernel"

// convGrad is what the gradients of conv and binConv have in common: the gradient by the filters is summed within each
// chunk of images and then over the chunks, in an order of elements that its kernel chooses; alpha is behind the
// products.
type convGrad struct {
	m                   *machine
	g                   kernel.Geometry
	hasAlpha            bool
	x, y, alpha, dx, dy []float32
	plain               []float32 // conv results before alpha, for its gradient
	dw                  []float32 // [K,C/G,R,S]
	length              int       // elements of the gradient by the filters in the kernel's order
	toOIHW              func(dw, sum []float32)
	total               []float32   // the chunks' sum, in the kernel's order
	alphaSums           []float64   // by chunk and filter
	scaled              [][]float32 // by worker: dy·alpha of one image
	imageSums           [][]float64 // by worker: sums of one image
	sum                 func(worker, part int)
}

// newConvGrad takes the length of the gradient by the filters as its kernel lays it out, and what reorders it to
// [K,C/G,R,S].
func newConvGrad(m *machine, g kernel.Geometry, alpha bool, length int, toOIHW func(dw, sum []float32)) convGrad {
	o := convGrad{m: m, g: g, hasAlpha: alpha, length: length, toOIHW: toOIHW}
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
	if o.total != nil {
		return
	}
	o.total = make([]float32, o.length)
	o.alphaSums = make([]float64, chunksPerBatch*o.g.K)
	if o.hasAlpha {
		o.scaled = o.m.workers.perWorker(o.g.OutLen())
		o.imageSums = make([][]float64, o.m.workers.n)
		for i := range o.imageSums {
			o.imageSums[i] = make([]float64, 2*o.g.K)
		}
	}
	o.m.needPartial(o.length)
	o.sum = o.sumPart
}

// start takes over the inputs of a backward pass.
func (o *convGrad) start(dx, in [][]float32) {
	o.allocate()
	o.bind(in)
	o.dw = dx[1]
}

// partial returns a chunk's gradient by the filters.
func (o *convGrad) partial(chunk int) []float32 {
	return o.m.partial[chunk*o.length : (chunk+1)*o.length]
}

func (o *convGrad) clearPartial(chunk int) {
	clear(o.partial(chunk))
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

// behindAlpha returns the gradient by the convolution's result before alpha for that of one image behind it.
func (o *convGrad) behindAlpha(worker int, dy []float32) []float32 {
	if !o.hasAlpha {
		return dy
	}
	scaled := o.scaled[worker]
	kernel.ScaleChannels(scaled, dy, o.alpha)
	return scaled
}

// finish sums the chunks.
func (o *convGrad) finish(dx [][]float32) {
	o.m.workers.run(o.parts(), o.sum)
	o.toOIHW(o.dw, o.total)
	if o.hasAlpha {
		sumChunks(dx[2], o.alphaSums, o.m.chunks())
	}
}

// partElements are the elements that one item of the final sum covers.
const partElements = 1024

func (o *convGrad) parts() int { return (o.length + partElements - 1) / partElements }

func (o *convGrad) sumPart(_, part int) {
	sumPartial(o.total, o.m, o.length, part*partElements, min((part+1)*partElements, o.length))
}
