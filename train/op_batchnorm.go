package train

import (
	"math"

	"github.com/bnntool/bnntool/internal/kernel"
)

// Batch norm's constants, PyTorch's defaults.
const (
	batchNormEps      = 1e-5
	batchNormMomentum = 0.1
)

// batchNorm normalises channels, also of the copies that a channel tile in front of it makes, without making them: the
// statistics are those of the n computed maps, gamma and delta belong to each of the factor·n copies.
//
//	yhat_i = (x_i - mean_i) / √(var_i + eps)             i = 0..n-1
//	y_j    = gamma_j·yhat_i + delta_j                    j = 0..factor·n-1, i = j mod n (or j / factor)
//
// Inputs: x [B,H,W,n], gamma and delta [factor·n]. In training mean and var are the batch's (var biased) and the running
// ones, [factor·n], take up a tenth of them (var unbiased); otherwise the running ones are used.
//
// With alpha [n,1,1] as a fourth input, x stands for alpha_i·x_i: the scale of the convolution in front of it, which
// goes into the coefficients of the passes instead of being a pass of its own.
type batchNorm struct {
	m           *machine
	pixels      int // of one image
	n, factor   int
	interleave  bool
	training    bool
	mean, vari  []float32 // running statistics, updated in place
	alpha       []float32 // nil without
	sumX, sumXX []float64 // of x and its squares over the batch, by channel
	x, y        []float32
	dx, dy      []float32
	scale, bias []float64 // y_j = scale_j·x_i + bias_j
	mu, istd    []float64 // by copy j
	sums        []float64 // by chunk: two sums for each channel or copy, the first ones in front
	gradA       []float64 // dx_i = Σ scale_j·dy_j + gradA_i + gradB_i·x_i
	gradB       []float64
	alphaGrad   []float64
	stats       func(worker, chunk int)
	apply       func(worker, chunk int)
	reduce      func(worker, chunk int)
	spread      func(worker, chunk int)
}

func newBatchNorm(m *machine, pixels, n, factor int, interleave, training bool, mean, vari []float32) *batchNorm {
	wide := n * factor
	o := &batchNorm{m: m, pixels: pixels, n: n, factor: factor, interleave: interleave, training: training, mean: mean, vari: vari,
		scale: make([]float64, wide), bias: make([]float64, wide), mu: make([]float64, wide), istd: make([]float64, wide),
		sums: make([]float64, chunksPerBatch*2*wide), gradA: make([]float64, n), gradB: make([]float64, n),
		sumX: make([]float64, n), sumXX: make([]float64, n), alphaGrad: make([]float64, n)}
	o.stats, o.apply, o.reduce, o.spread = o.statsChunk, o.applyChunk, o.reduceChunk, o.spreadChunk
	return o
}

// source returns the computed channel of copy j.
func (o *batchNorm) source(j int) int {
	if o.interleave {
		return j / o.factor
	}
	return j % o.n
}

// momentSums returns a chunk's sums of the forward pass, set to 0.
func (o *batchNorm) momentSums(chunk int) []float64 {
	s := o.sums[2*chunk*o.n : 2*(chunk+1)*o.n]
	clear(s)
	return s
}

// gradSums returns a chunk's sums of the backward pass, set to 0.
func (o *batchNorm) gradSums(chunk int) []float64 {
	wide := o.n * o.factor
	s := o.sums[2*chunk*wide : 2*(chunk+1)*wide]
	clear(s)
	return s
}

func (o *batchNorm) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	if o.training {
		o.m.each(o.stats)
	}
	o.normalise(in[1:])
	o.m.each(o.apply)
}

// scaleOf returns alpha of channel i.
func (o *batchNorm) scaleOf(i int) float64 {
	if o.alpha == nil {
		return 1
	}
	return float64(o.alpha[i])
}

// normalise makes scale and bias of gamma, delta and, if there is one, alpha; in training after the chunks' sums are
// there.
func (o *batchNorm) normalise(params [][]float32) {
	gamma, delta := params[0], params[1]
	if len(params) > 2 {
		o.alpha = params[2]
	}
	if o.training {
		o.batchStatistics()
	} else {
		for j := range o.mu {
			o.mu[j], o.istd[j] = float64(o.mean[j]), 1/math.Sqrt(float64(o.vari[j])+batchNormEps)
		}
	}
	for j := range o.scale {
		s := float64(gamma[j]) * o.istd[j]
		o.scale[j], o.bias[j] = s*o.scaleOf(o.source(j)), float64(delta[j])-float64(o.mu[j]*s)
	}
}

// batchStatistics turns the chunks' sums into mean and variance, and lets the running ones follow.
func (o *batchNorm) batchStatistics() {
	count := float64(o.m.images * o.pixels)
	for i := range o.sumX {
		o.sumX[i], o.sumXX[i] = 0, 0
		for c := range o.m.chunks() {
			o.sumX[i] += o.sums[2*c*o.n+i]
			o.sumXX[i] += o.sums[(2*c+1)*o.n+i]
		}
	}
	for j := range o.mu {
		i := o.source(j)
		a, mu := o.scaleOf(i), o.sumX[i]/count
		biased := max(0, o.sumXX[i]/count-float64(mu*mu)) * a * a
		mu *= a
		o.mu[j], o.istd[j] = mu, 1/math.Sqrt(biased+batchNormEps)
		unbiased := biased
		if count > 1 {
			unbiased *= count / (count - 1)
		}
		o.mean[j] = float32(float64((1-batchNormMomentum)*float64(o.mean[j])) + float64(batchNormMomentum*mu))
		o.vari[j] = float32(float64((1-batchNormMomentum)*float64(o.vari[j])) + float64(batchNormMomentum*unbiased))
	}
}

func (o *batchNorm) statsChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.Moments(o.momentSums(chunk), o.m.rows(o.x, lo, hi))
}

func (o *batchNorm) applyChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.BatchNorm(o.m.rows(o.y, lo, hi), o.m.rows(o.x, lo, hi), o.scale, o.bias, o.factor, o.interleave)
}

// backward is, with S1 and S2 the sums over the batch of dy_j and of dy_j·yhat_i,
//
//	dgamma_j = S2_j,  ddelta_j = S1_j
//	dx_i     = istd_i·(Σ_j gamma_j·dy_j - mean(Σ_j gamma_j·dy_j) - yhat_i·mean(Σ_j gamma_j·dy_j·yhat_i))
//
// over the copies j of i; without batch statistics dx_i is the first term alone.
func (o *batchNorm) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.x, o.dx, o.dy = in[0], dx[0], dy
	o.m.each(o.reduce)
	o.gradients(dx[1:], in[1])
	o.m.each(o.spread)
}

// gradients makes the gradients by the parameters, and the coefficients of that by the input, of the chunks' sums. That by
// alpha is Σ dv·x with dv the gradient by alpha·x, which is a sum of sums that are known.
func (o *batchNorm) gradients(dparams [][]float32, gamma []float32) {
	count := float64(o.m.images * o.pixels)
	clear(o.gradA)
	clear(o.gradB)
	var dalpha []float32
	if o.alpha != nil {
		dalpha = dparams[2]
		clear(o.alphaGrad)
	}
	wide := o.n * o.factor
	for j := range wide {
		var s1, s2 float64
		for c := range o.m.chunks() {
			s1 += o.sums[2*c*wide+j]
			s2 += o.sums[(2*c+1)*wide+j]
		}
		i := o.source(j)
		g := float64(gamma[j]) * o.istd[j]
		if dalpha != nil {
			o.alphaGrad[i] += float64(g * s2)
		}
		s2 = (float64(o.scaleOf(i)*s2) - float64(o.mu[j]*s1)) * o.istd[j] // Σ dy·x -> Σ dy·yhat
		dparams[0][j], dparams[1][j] = float32(s2), float32(s1)
		if o.training {
			b := float64(g * s2 * o.istd[j] / count)
			o.gradB[i] -= b
			o.gradA[i] -= float64(g*s1/count) - float64(b*o.mu[j])
		}
	}
	if o.alpha == nil {
		return
	}
	for i := range dalpha {
		a := o.scaleOf(i)
		dalpha[i] = float32(o.alphaGrad[i] + float64(o.gradA[i]*o.sumX[i]) + float64(o.gradB[i]*a*o.sumXX[i]))
		o.gradA[i] *= a
		o.gradB[i] *= a * a
	}
}

func (o *batchNorm) reduceChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.BatchNormSums(o.gradSums(chunk), o.m.rows(o.dy, lo, hi), o.m.rows(o.x, lo, hi), o.factor, o.interleave)
}

func (o *batchNorm) spreadChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.BatchNormGrad(o.m.rows(o.dx, lo, hi), o.m.rows(o.dy, lo, hi), o.m.rows(o.x, lo, hi), o.scale, o.gradA, o.gradB, o.factor, o.interleave)
}
