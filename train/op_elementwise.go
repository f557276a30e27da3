package train

import "github.com/bnntool/bnntool/internal/kernel"

// rows returns the images [lo,hi) of a batch buffer.
func (m *machine) rows(b []float32, lo, hi int) []float32 {
	n := len(b) / m.capacity
	return b[lo*n : hi*n]
}

// imagesOf returns image i of a buffer that holds something for each image of a batch.
func imagesOf[T any](m *machine, b []T, i int) []T {
	n := len(b) / m.capacity
	return b[i*n : (i+1)*n]
}

// add is y = a + b; both gradients are the gradient of y. It is also the sum of gradients at a fan-out.
type add struct {
	m       *machine
	a, b, y []float32
	fn      func(worker, chunk int)
}

func newAdd(m *machine) *add {
	o := &add{m: m}
	o.fn = o.chunk
	return o
}

func (o *add) forward(y []float32, in [][]float32) {
	o.a, o.b, o.y = in[0], in[1], y
	o.m.each(o.fn)
}

func (o *add) chunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.Add(o.m.rows(o.y, lo, hi), o.m.rows(o.a, lo, hi), o.m.rows(o.b, lo, hi))
}

func (o *add) backward([][]float32, []float32, [][]float32, []float32) {
	panic("train: add has no gradient of its own")
}

func (o *add) sharesGradient() bool { return true }

// hardtanh is y = min(1, max(-1, x)); the gradient passes where -1 < x < 1.
type hardtanh struct {
	m        *machine
	x, y     []float32
	dx, dy   []float32
	fwd, bwd func(worker, chunk int)
}

func newHardtanh(m *machine) *hardtanh {
	o := &hardtanh{m: m}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *hardtanh) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	o.m.each(o.fwd)
}

func (o *hardtanh) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.Hardtanh(o.m.rows(o.y, lo, hi), o.m.rows(o.x, lo, hi))
}

func (o *hardtanh) backward(dx [][]float32, dy []float32, _ [][]float32, y []float32) {
	o.dx, o.dy, o.y = dx[0], dy, y
	o.m.each(o.bwd)
}

func (o *hardtanh) replacesGradient() bool { return true }

func (o *hardtanh) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.HardtanhGrad(o.m.rows(o.dx, lo, hi), o.m.rows(o.dy, lo, hi), o.m.rows(o.y, lo, hi))
}
