package train

import "math"

// recuWeight is ReCU's weight quantiser (arXiv 2103.12369, sections 3.2 and 3.3). For each filter of n weights
//
//	w0 = w - mean(w),  w1 = 2√2·w0 / √(var(w0) + 1e-5)      var divides by n-1
//	y  = sign(clamp(w1, -Q, Q)),  Q = -mean|w1|·ln(2 - 2τ)   mean over the whole tensor
//
// The gradient passes through sign unchanged and through the clamp where |w1| ≤ Q; Q itself carries none. Forward, the
// clamp changes nothing. Input: w [K,C,R,S]; y has its shape, values ±1.
type recuWeight struct {
	m        *machine
	filters  int
	w, y     []float32
	dw, dy   []float32
	mean     []float64 // by filter
	std      []float64 // √(var + 1e-5), by filter
	abs      []float64 // Σ|w1|, by filter
	limit    float64   // Q
	fwd, bwd func(worker, filter int)
}

// recuScale is the standard deviation that the weights are brought to: that of a Laplace distribution of scale 2.
var recuScale = 2 * math.Sqrt2

func newReCUWeight(m *machine, filters int) *recuWeight {
	o := &recuWeight{m: m, filters: filters, mean: make([]float64, filters), std: make([]float64, filters), abs: make([]float64, filters)}
	o.fwd, o.bwd = o.forwardFilter, o.backwardFilter
	return o
}

func (o *recuWeight) forward(y []float32, in [][]float32) {
	o.w, o.y = in[0], y
	o.m.workers.run(o.filters, o.fwd)
	var sum float64
	for _, a := range o.abs {
		sum += a
	}
	// τ = 1 gives ln 0: no clamp.
	o.limit = -sum / float64(len(o.w)) * math.Log(2-2*o.m.tau)
}

func (o *recuWeight) forwardFilter(_, k int) {
	n := len(o.w) / o.filters
	w, y := o.w[k*n:(k+1)*n], o.y[k*n : (k+1)*n][:n]
	var sum float64
	for _, v := range w {
		sum += float64(v)
	}
	mean := sum / float64(n)
	var squares, abs float64
	for i, v := range w {
		d := float64(v) - mean
		squares += float64(d * d)
		abs += math.Abs(d)
		sign := uint32(bitsOne) // signs are random: no branch
		if d < 0 {
			sign = bitsMinusOne
		}
		y[i] = math.Float32frombits(sign)
	}
	variance := 0.0
	if n > 1 {
		variance = squares / float64(n-1)
	}
	o.mean[k], o.std[k] = mean, math.Sqrt(variance+1e-5)
	o.abs[k] = abs * recuScale / o.std[k]
}

const (
	bitsOne      = 0x3f800000 // 1 as float32
	bitsMinusOne = 0xbf800000
)

func (o *recuWeight) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.w, o.dw, o.dy = in[0], dx[0], dy
	o.m.workers.run(o.filters, o.bwd)
}

// backwardFilter is, with g the gradient by w1 and s the filter's std,
//
//	dw0_i = (2√2/s)·(g_i - w0_i·Σ(g·w0) / ((n-1)·s²)),  dw = dw0 - mean(dw0)
func (o *recuWeight) backwardFilter(_, k int) {
	n := len(o.w) / o.filters
	w, dw, dy := o.w[k*n:(k+1)*n], o.dw[k*n : (k+1)*n][:n], o.dy[k*n : (k+1)*n][:n]
	mean, std := o.mean[k], o.std[k]
	var dot float64
	for i, v := range w { // dw holds g for now
		w0 := float64(v) - mean
		g := math.Float32bits(dy[i])
		if !(math.Abs(w0*recuScale/std) <= o.limit) { // of many weights: no branch
			g = 0
		}
		dw[i] = math.Float32frombits(g)
		dot += float64(float64(dw[i]) * w0)
	}
	slope := 0.0
	if n > 1 {
		slope = dot / (float64(n-1) * std * std)
	}
	scale := recuScale / std
	var sum float64
	for i, v := range w {
		w0 := float64(v) - mean
		g := (float64(dw[i]) - float64(w0*slope)) * scale
		sum += g
		dw[i] = float32(g)
	}
	shift := sum / float64(n)
	for i := range dw {
		dw[i] = float32(float64(dw[i]) - shift)
	}
}

// scaledSignWeight is y = mean|w|·sign(w) with the mean of each filter, the weight quantiser of Bi-Real Net and
// ReActNet. The gradient passes unchanged, without the scale, where |w| ≤ 1. Input: w [K,C,R,S].
type scaledSignWeight struct {
	m       *machine
	filters int
	w, y    []float32
	fwd     func(worker, filter int)
}

func newScaledSignWeight(m *machine, filters int) *scaledSignWeight {
	o := &scaledSignWeight{m: m, filters: filters}
	o.fwd = o.forwardFilter
	return o
}

func (o *scaledSignWeight) forward(y []float32, in [][]float32) {
	o.w, o.y = in[0], y
	o.m.workers.run(o.filters, o.fwd)
}

func (o *scaledSignWeight) forwardFilter(_, k int) {
	n := len(o.w) / o.filters
	w, y := o.w[k*n:(k+1)*n], o.y[k*n:(k+1)*n]
	var sum float64
	for _, v := range w {
		sum += math.Abs(float64(v))
	}
	scale := float32(sum / float64(n))
	for i, v := range w {
		y[i] = scale
		if v < 0 {
			y[i] = -scale
		}
	}
}

func (o *scaledSignWeight) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	for i, v := range in[0] {
		g := dy[i]
		if !(v >= -1 && v <= 1) {
			g = 0
		}
		dx[0][i] = g
	}
}
