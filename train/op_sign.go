package train

import (
	"math"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/train/model"
)

// quantizer turns the input of a convolution into signs, and gradients by signs into gradients by the input. It
// works on one image at a time; only the images' deviations are kept.
//
//	ReCUInput        sign(x/S), S = √(var + 1e-5), var over the image, divided by n-1, the mean not subtracted; S = 1 in
//	                 evaluation. Gradient by u = x/S: g·max(0, 2-2|u|); then exactly through S.
//	ApproxSignInput  sign(x), gradient g·max(0, 2-2|x|)
//
// The derivative is that of Bi-Real Net's piecewise quadratic approximation of sign (arXiv 1808.00278, section 3.3).
type quantizer struct {
	kind     model.InputQuant
	training bool
	mean     []float64     // by image
	std      []float64     // by image: S
	room     []kernel.Sums // by image: scratch
}

func newQuantizer(kind model.InputQuant, training bool, capacity int) quantizer {
	return quantizer{kind: kind, training: training, mean: make([]float64, capacity), std: make([]float64, capacity), room: make([]kernel.Sums, capacity)}
}

// scaled reports whether inputs are divided by their deviation.
func (q *quantizer) scaled() bool { return q.kind == model.ReCUInput && q.training }

// measure finds the deviation of image i. The sign of x/S is the sign of x.
func (q *quantizer) measure(i int, x []float32) {
	if !q.scaled() {
		return
	}
	sum, squares := kernel.SumSquares(x, &q.room[i])
	q.keep(i, sum, squares, len(x))
}

// keep takes over the sum of the n elements of image i and of their squares.
func (q *quantizer) keep(i int, sum, squares float64, n int) {
	mean := sum / float64(n)
	variance := 0.0
	if n > 1 {
		variance = max(0, (squares-float64(sum*mean))/float64(n-1))
	}
	q.mean[i], q.std[i] = mean, math.Sqrt(variance+1e-5)
}

// backward turns d, the gradient by the signs of image i, into the gradient by x, in place.
func (q *quantizer) backward(i int, d, x []float32) {
	inv, slope, shift := q.derive(i, d, x)
	if q.scaled() {
		kernel.Combine(d, x, inv, slope, shift)
	}
}

// derive turns d, the gradient by the signs of image i, into the gradient by u, in place, and returns what turns that into
// the gradient by x: inv·d + (slope·x + shift).
func (q *quantizer) derive(i int, d, x []float32) (inv, slope, shift float64) {
	if !q.scaled() {
		kernel.SignGrad(d, x, 1, &q.room[i])
		return 1, 0, 0
	}
	inv = 1 / q.std[i]
	dot := kernel.SignGrad(d, x, inv, &q.room[i])
	if len(x) < 2 {
		dot = 0
	}
	// dx = (g - (x - mean)·Σ(g·x)/((n-1)·S²)) / S
	down := dot / (float64(max(1, len(x)-1)) * q.std[i] * q.std[i]) * inv
	return inv, -down, q.mean[i] * down
}

// makesSigns marks an operation that makes the signs of its result.
type makesSigns interface{ outputSigns() *signs }

// signs are the packed signs of an operation's result, and the deviations of its images, for the convolutions behind it.
type signs struct {
	q    quantizer
	bits []uint64 // [B,pixels,Words(C)]
}

func newSigns(m *machine, pixels, channels int) *signs {
	return &signs{q: newQuantizer(model.ReCUInput, true, m.capacity), bits: kernel.Make[uint64](m.capacity * pixels * kernel.Words(channels))}
}

// image returns the signs of image i.
func (s *signs) image(i int) []uint64 {
	n := len(s.bits) / len(s.q.mean)
	return s.bits[i*n : (i+1)*n]
}

func abs32(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

// signInput is a quantizer as an operation of its own: y = ±1 as float32. It serves convolutions whose weights are
// real, and is the composed form that binConv is held against.
type signInput struct {
	m        *machine
	q        quantizer
	x, y     []float32
	dx, dy   []float32
	fwd, bwd func(worker, chunk int)
}

func newSignInput(m *machine, kind model.InputQuant, training bool) *signInput {
	o := &signInput{m: m, q: newQuantizer(kind, training, m.capacity)}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *signInput) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	o.m.each(o.fwd)
}

func (o *signInput) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		x, y := o.m.rows(o.x, i, i+1), o.m.rows(o.y, i, i+1)
		o.q.measure(i, x)
		for j, v := range x {
			y[j] = 1
			if v < 0 {
				y[j] = -1
			}
		}
	}
}

func (o *signInput) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.x, o.dx, o.dy = in[0], dx[0], dy
	o.m.each(o.bwd)
}

func (o *signInput) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	for i := lo; i < hi; i++ {
		d := o.m.rows(o.dx, i, i+1)
		copy(d, o.m.rows(o.dy, i, i+1))
		o.q.backward(i, d, o.m.rows(o.x, i, i+1))
	}
}
