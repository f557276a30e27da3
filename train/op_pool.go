package train

import "github.com/bnntool/bnntool/internal/kernel"

// pool is average or maximum pooling of each image, without padding.
type pool struct {
	m        *machine
	p        kernel.Pool
	max      bool
	x, y     []float32
	dx, dy   []float32
	fwd, bwd func(worker, chunk int)
}

func newPool(m *machine, p kernel.Pool, max bool) *pool {
	o := &pool{m: m, p: p, max: max}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *pool) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	o.m.each(o.fwd)
}

func (o *pool) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		x, y := o.m.rows(o.x, i, i+1), o.m.rows(o.y, i, i+1)
		if o.max {
			kernel.MaxPool(y, x, o.p)
		} else {
			kernel.AvgPool(y, x, o.p)
		}
	}
}

func (o *pool) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.x, o.dx, o.dy = in[0], dx[0], dy
	o.m.each(o.bwd)
}

func (o *pool) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		dx, dy := o.m.rows(o.dx, i, i+1), o.m.rows(o.dy, i, i+1)
		if o.max {
			kernel.MaxPoolGrad(dx, dy, o.m.rows(o.x, i, i+1), o.p)
		} else {
			kernel.AvgPoolGrad(dx, dy, o.p)
		}
	}
}

// pooledShortcut is average pooling and then channels of zeros on both sides, the shortcut of ReCU's ResNets between two
// stages. Its gradient can be added to another by the same input.
type pooledShortcut struct {
	m           *machine
	p           kernel.Pool
	wide, first int // channels of the result, and the first that is pooled
	x, y        []float32
	dx, dy      []float32
	add         bool
	fwd, bwd    func(worker, chunk int)
}

func newPooledShortcut(m *machine, p kernel.Pool, wide int) *pooledShortcut {
	o := &pooledShortcut{m: m, p: p, wide: wide, first: (wide - p.C) / 2}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *pooledShortcut) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	o.m.each(o.fwd)
}

func (o *pooledShortcut) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		kernel.AvgPoolPadded(o.m.rows(o.y, i, i+1), o.m.rows(o.x, i, i+1), o.p, o.wide, o.first)
	}
}

func (o *pooledShortcut) backward(dx [][]float32, dy []float32, _ [][]float32, _ []float32) {
	o.dx, o.dy, o.add = dx[0], dy, false
	o.m.each(o.bwd)
}

// addsGradient: each element of x is in one window at most, so that it is one sum in either form.
func (o *pooledShortcut) addsGradient() bool { return o.p.Kernel <= o.p.Stride }

func (o *pooledShortcut) backwardAdd(dx []float32, dy []float32) {
	o.dx, o.dy, o.add = dx, dy, true
	o.m.each(o.bwd)
}

func (o *pooledShortcut) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		dx := o.m.rows(o.dx, i, i+1)
		if !o.add {
			clear(dx)
		}
		kernel.AddAvgPoolGrad(dx, o.m.rows(o.dy, i, i+1), o.p, o.wide, o.first)
	}
}

// globalAvgPool is the mean of each channel over the image; the result is flat.
type globalAvgPool struct {
	m        *machine
	x, y     []float32
	dx, dy   []float32
	fwd, bwd func(worker, chunk int)
}

func newGlobalAvgPool(m *machine) *globalAvgPool {
	o := &globalAvgPool{m: m}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *globalAvgPool) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	o.m.each(o.fwd)
}

func (o *globalAvgPool) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		kernel.GlobalAvgPool(o.m.rows(o.y, i, i+1), o.m.rows(o.x, i, i+1))
	}
}

func (o *globalAvgPool) backward(dx [][]float32, dy []float32, _ [][]float32, _ []float32) {
	o.dx, o.dy = dx[0], dy
	o.m.each(o.bwd)
}

func (o *globalAvgPool) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		dx, dy := o.m.rows(o.dx, i, i+1), o.m.rows(o.dy, i, i+1)
		scale := 1 / float32(len(dx)/len(dy))
		for p := 0; p < len(dx); p += len(dy) {
			for c, g := range dy {
				dx[p+c] = scale * g
			}
		}
	}
}

// flatten makes each image flat in PyTorch's order: channel, row, column.
type flatten struct {
	m        *machine
	hw       int
	x, y     []float32
	fwd, bwd func(worker, chunk int)
}

func newFlatten(m *machine, hw int) *flatten {
	o := &flatten{m: m, hw: hw}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *flatten) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	o.m.each(o.fwd)
}

func (o *flatten) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		kernel.Flatten(o.m.rows(o.y, i, i+1), o.m.rows(o.x, i, i+1), o.hw)
	}
}

func (o *flatten) backward(dx [][]float32, dy []float32, _ [][]float32, _ []float32) {
	o.x, o.y = dx[0], dy
	o.m.each(o.bwd)
}

func (o *flatten) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		kernel.Unflatten(o.m.rows(o.x, i, i+1), o.m.rows(o.y, i, i+1), o.hw)
	}
}
