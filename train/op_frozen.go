package train

import (
	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/train/model"
)

// frozenLayer is the evaluation form of a layer with tensors: convolution, linear, batch norm, bias, PReLU. It reads
// them from the frozen network at each pass, and computes in the arithmetic of model.Frozen, bit for bit. It has no
// gradient.
type frozenLayer struct {
	m          *machine
	frozen     **model.Frozen // of the evaluator, replaced when the weights change
	layer      int
	g          kernel.Geometry // Conv
	factor     int             // BatchNorm: of the tile in front of it
	interleave bool
	hwi        []float32           // real Conv: filters as [K,R,S,C/G]
	patches    [][]float32         // by worker: scratch of a real Conv
	filters    *kernel.SignFilters // 1-bit Conv
	ones       []float32           // scale of a 1-bit Conv whose own one a batch norm has
	padded     [][]uint64
	bits       [][]uint64
	counts     [][]int32
	signs      [][]float32 // signs of the input for real filters
	x, y       []float32
	fn         func(worker, chunk int)
}

func newFrozenLayer(b *graphBuilder, n *model.Node, layer int) *frozenLayer {
	o := &frozenLayer{m: b.m, frozen: b.frozen, layer: layer, factor: 1}
	workers := b.m.workers.n
	if n.Op == model.Conv {
		o.g = geometry(n)
		if n.Binary() {
			o.filters, o.ones = kernel.NewSignFilters(o.g), make([]float32, o.g.K)
			for k := range o.ones {
				o.ones[k] = 1
			}
			o.bits, o.counts, o.padded = make([][]uint64, workers), make([][]int32, workers), make([][]uint64, workers)
			for i := range workers {
				o.bits[i], o.counts[i] = make([]uint64, o.g.InWords()), make([]int32, o.g.OutLen())
				o.padded[i] = make([]uint64, o.filters.Scratch())
			}
		} else {
			o.hwi, o.patches = make([]float32, o.g.FilterLen()), b.m.workers.perWorker(kernel.ConvScratch(o.g))
			if n.InputQuant != model.RealInput {
				o.signs = b.m.workers.perWorker(o.g.InLen())
			}
		}
	}
	if n.Op == model.BatchNorm {
		if from := n.From[0]; from >= 0 && b.absorbed(from) {
			o.factor, o.interleave = b.nodes[from].Factor, b.nodes[from].Interleave
		}
	}
	o.fn = o.chunk
	return o
}

func (o *frozenLayer) node() *model.FrozenNode { return &(*o.frozen).Nodes[o.layer] }

func (o *frozenLayer) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	switch {
	case o.filters != nil:
		o.filters.Pack(o.node().Filters)
	case o.hwi != nil:
		kernel.FiltersToHWI(o.hwi, o.node().Filters, o.g)
	}
	o.m.each(o.fn)
}

func (o *frozenLayer) chunk(worker, chunk int) {
	lo, hi := o.m.span(chunk)
	n := o.node()
	x, y := o.m.rows(o.x, lo, hi), o.m.rows(o.y, lo, hi)
	switch n.Op {
	case model.Conv:
		for i := range hi - lo {
			o.convolve(worker, n.Scale, x[i*o.g.InLen():(i+1)*o.g.InLen()], y[i*o.g.OutLen():(i+1)*o.g.OutLen()])
		}
	case model.Linear:
		in, out := n.In[0].C, n.Out
		for i := range hi - lo {
			kernel.Linear(y[i*out:(i+1)*out], x[i*in:(i+1)*in], n.Filters, n.Bias)
		}
	case model.BatchNorm:
		kernel.Affine(y, x, n.Scale, n.Bias, o.factor, o.interleave)
	case model.Bias:
		for p := 0; p < len(x); p += len(n.Bias) {
			kernel.Add(y[p:p+len(n.Bias)], x[p:p+len(n.Bias)], n.Bias)
		}
	case model.PReLU:
		kernel.PReLU(y, x, n.Slope)
	}
}

// convolve computes one image.
func (o *frozenLayer) convolve(worker int, scale, x, y []float32) {
	if o.filters != nil {
		bits, counts := o.bits[worker], o.counts[worker]
		kernel.PackSigns(bits, x, o.g.H*o.g.W*o.g.Groups, o.g.GroupC())
		o.filters.Convolve(counts, bits, o.padded[worker])
		if scale == nil {
			scale = o.ones
		}
		kernel.ScaleCounts(y, counts, scale)
		return
	}
	if o.signs != nil {
		for i, v := range x {
			o.signs[worker][i] = 1
			if v < 0 {
				o.signs[worker][i] = -1
			}
		}
		x = o.signs[worker]
	}
	kernel.Conv(y, x, o.hwi, o.patches[worker], o.g)
	if scale != nil {
		kernel.ScaleChannels(y, y, scale)
	}
}

func (o *frozenLayer) backward([][]float32, []float32, [][]float32, []float32) {
	panic("train: an evaluation graph has no gradients")
}
