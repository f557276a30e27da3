package train

import "github.com/bnntool/bnntool/internal/kernel"

// linear is y = x·Wᵀ + b. Inputs: x [B,1,1,In], W [Out,In], b [Out].
type linear struct {
	m                  *machine
	in, out            int
	x, y, w, b, dx, dy []float32
	biasSums           []float64
	fwd, bwd, sum      func(worker, chunk int)
	dw                 []float32
}

func newLinear(m *machine, in, out int) *linear {
	o := &linear{m: m, in: in, out: out, biasSums: make([]float64, chunksPerBatch*out)}
	m.needPartial(in * out)
	o.fwd, o.bwd, o.sum = o.forwardChunk, o.backwardChunk, o.sumRow
	return o
}

func (o *linear) forward(y []float32, in [][]float32) {
	o.x, o.w, o.b, o.y = in[0], in[1], in[2], y
	o.m.each(o.fwd)
}

func (o *linear) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		kernel.Linear(o.m.rows(o.y, i, i+1), o.m.rows(o.x, i, i+1), o.w, o.b)
	}
}

func (o *linear) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.x, o.w, o.dx, o.dw, o.dy = in[0], in[1], dx[0], dx[1], dy
	o.m.each(o.bwd)
	o.m.workers.run(o.out, o.sum)
	sumChunks(dx[2], o.biasSums, o.m.chunks())
}

func (o *linear) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	n := o.in * o.out
	dw, db := o.m.partial[chunk*n:(chunk+1)*n], o.biasSums[chunk*o.out:(chunk+1)*o.out]
	clear(dw)
	clear(db)
	for i := lo; i < hi; i++ {
		x, dy := o.m.rows(o.x, i, i+1), o.m.rows(o.dy, i, i+1)
		for k, g := range dy {
			db[k] += float64(g)
			row := dw[k*o.in:][:len(x)]
			for j, v := range x {
				row[j] += float32(g * v)
			}
		}
		if o.dx == nil {
			continue
		}
		dx := o.m.rows(o.dx, i, i+1)
		clear(dx)
		for k, g := range dy {
			row := o.w[k*o.in:][:len(dx)]
			for j, v := range row {
				dx[j] += float32(g * v)
			}
		}
	}
}

// sumRow adds up the chunks' gradients of one row of the weights.
func (o *linear) sumRow(_, row int) {
	sumPartial(o.dw, o.m, o.in*o.out, row*o.in, (row+1)*o.in)
}

// sumPartial writes to dst[lo:hi] the sums over the chunks of the machine's partial sums, n in each chunk.
func sumPartial(dst []float32, m *machine, n, lo, hi int) {
	out := dst[lo:hi]
	clear(out)
	for c := range m.chunks() {
		part := m.partial[c*n+lo : c*n+hi][:len(out)]
		for i, v := range part {
			out[i] += v
		}
	}
}
