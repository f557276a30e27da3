package kernel

// The passes of batch norm and of the quantisers in training. They compute in float64 and round once, when they store:
// a network's gradients go through dozens of them, and signs turn small differences into large ones.

// Moments adds to sums, [2,c], the pixels of x, [n,c], one after the other, and their squares.
func Moments(sums []float64, x []float32) {
	c := len(sums) / 2
	checkLen("Moments", "x", len(x)%c, 0)
	s, q := sums[:c], sums[c:][:c]
	if k := wideFor(c); k != nil && len(x) > 0 {
		for i := 0; i < c; i += k.half {
			k.moments(&s[i], &q[i], &x[i], len(x)/c, c)
		}
		return
	}
	for p := 0; p < len(x); p += c {
		for i, v := range x[p : p+c] {
			f := float64(v)
			s[i] += f
			q[i] += float64(f * f)
		}
	}
}

// BatchNorm is y[p,j] = scale[j]·x[p,i] + bias[j] over the pixels p of a map, where x has n channels, y has len(scale) =
// factor·n, and the input channel of j is i = j mod n, or j/factor with interleave.
func BatchNorm(y, x []float32, scale, bias []float64, factor int, interleave bool) {
	wide := len(scale)
	n := wide / factor
	checkLen("BatchNorm", "bias", len(bias), wide)
	checkLen("BatchNorm", "y", len(y), len(x)*factor)
	if k := wideFor(n); k != nil && !interleave && len(x) > 0 {
		for j := 0; j < wide; j += k.half {
			k.batchNorm(&y[j], &x[j%n], &scale[j], &bias[j], len(x)/n, wide, n)
		}
		return
	}
	for p := 0; p*n < len(x); p++ {
		in, out := x[p*n:(p+1)*n], y[p*wide:(p+1)*wide]
		if interleave {
			for j := range out {
				out[j] = float32(float64(scale[j]*float64(in[j/factor])) + bias[j])
			}
			continue
		}
		for r := 0; r < wide; r += n {
			o, s, b := out[r:r+n], scale[r:][:n], bias[r:][:n]
			for i, v := range in {
				o[i] = float32(float64(s[i]*float64(v)) + b[i])
			}
		}
	}
}

// BatchNormSums adds to sums, [2,factor·n], the pixels of dy, [p,factor·n], one after the other, and dy times x, [p,n].
func BatchNormSums(sums []float64, dy, x []float32, factor int, interleave bool) {
	wide := len(sums) / 2
	n := wide / factor
	checkLen("BatchNormSums", "dy", len(dy), len(x)*factor)
	s, q := sums[:wide], sums[wide:][:wide]
	if k := wideFor(n); k != nil && !interleave && len(x) > 0 {
		for j := 0; j < wide; j += k.half {
			k.batchNormSums(&s[j], &q[j], &dy[j], &x[j%n], len(x)/n, wide, n)
		}
		return
	}
	for p := 0; p*n < len(x); p++ {
		in, g := x[p*n:(p+1)*n], dy[p*wide:(p+1)*wide]
		if interleave {
			for j, v := range g {
				s[j] += float64(v)
				q[j] += float64(float64(v) * float64(in[j/factor]))
			}
			continue
		}
		for r := 0; r < wide; r += n {
			s, q := s[r:][:n], q[r:][:n]
			for i, v := range g[r : r+n] {
				f := float64(v)
				s[i] += f
				q[i] += float64(f * float64(in[i]))
			}
		}
	}
}

// BatchNormGrad is dx[p,i] = a[i] + b[i]·x[p,i] + Σ_j scale[j]·dy[p,j] over the copies j of channel i, in ascending order.
// dx may be dy if factor is 1.
func BatchNormGrad(dx, dy, x []float32, scale, a, b []float64, factor int, interleave bool) {
	wide := len(scale)
	n := wide / factor
	checkLen("BatchNormGrad", "a", len(a), n)
	checkLen("BatchNormGrad", "b", len(b), n)
	checkLen("BatchNormGrad", "dx", len(dx), len(x))
	checkLen("BatchNormGrad", "dy", len(dy), len(x)*factor)
	if k := wideFor(n); k != nil && !interleave && len(x) > 0 {
		for i := 0; i < n; i += k.half {
			k.batchNormGrad(&dx[i], &dy[i], &x[i], &scale[i], &a[i], &b[i], len(x)/n, factor, wide, n)
		}
		return
	}
	first, step := 1, n // copies of channel i: i·first + r·step
	if interleave {
		first, step = factor, 1
	}
	for p := 0; p*n < len(x); p++ {
		in, out, g := x[p*n:(p+1)*n], dx[p*n:(p+1)*n], dy[p*wide:(p+1)*wide]
		for i, v := range in {
			acc := a[i] + float64(b[i]*float64(v))
			for r := range factor {
				j := i*first + r*step
				acc += float64(scale[j] * float64(g[j]))
			}
			out[i] = float32(acc)
		}
	}
}

// reductionLanes is the number of interleaved partial sums that a sum over a whole map is made of, so that it is the
// same on every tier: element i goes to partial sum i mod 16, and these are added pairwise.
const reductionLanes = 16

// Sums is room for the partial sums of one reduction. Callers keep it, since assembly that is called by way of a
// variable moves what it points to to the heap.
type Sums [2 * reductionLanes]float64

// total adds up partial sums pairwise, in place.
func total(s []float64) float64 {
	for n := len(s) / 2; n > 0; n /= 2 {
		for i := range n {
			s[i] += s[i+n]
		}
	}
	return s[0]
}

// steps returns the kernels for n elements in steps of reductionLanes, and the number of elements that they take; nil
// and 0 without such kernels.
func steps(n int) (*wideKernels, int) {
	if k := wideFor(reductionLanes); k != nil && n >= reductionLanes {
		return k, n / reductionLanes * reductionLanes
	}
	return nil, 0
}

// SumSquares returns the sum of x and of its squares, each in interleaved partial sums.
func SumSquares(x []float32, room *Sums) (sum, squares float64) {
	clear(room[:])
	s, q := room[:reductionLanes], room[reductionLanes:]
	if k, n := steps(len(x)); k != nil {
		k.sumSquares(&s[0], &q[0], &x[0], n/reductionLanes)
		x = x[n:]
	}
	for i, v := range x {
		f := float64(v)
		s[i%reductionLanes] += f
		q[i%reductionLanes] += float64(f * f)
	}
	return total(s), total(q)
}

// SignGrad multiplies d by the derivative of the sign's approximation at x·inv, max(0, 2 - 2·|x·inv|), and returns the sum
// of d·x after that, in interleaved partial sums.
func SignGrad(d, x []float32, inv float64, room *Sums) float64 {
	checkLen("SignGrad", "x", len(x), len(d))
	s := room[:reductionLanes]
	clear(s)
	if k, n := steps(len(x)); k != nil {
		k.signGrad(&s[0], &d[0], &x[0], n/reductionLanes, inv)
		d, x = d[n:], x[n:]
	}
	d = d[:len(x)]
	for i, v := range x {
		u := float64(float64(v) * inv)
		if u < 0 {
			u = -u
		}
		g := float32(float64(d[i]) * max(0, 2-2*u))
		d[i] = g
		s[i%reductionLanes] += float64(float64(g) * float64(v))
	}
	return total(s)
}

// Combine is d[i] = p·d[i] + (q·x[i] + r).
func Combine(d, x []float32, p, q, r float64) {
	checkLen("Combine", "x", len(x), len(d))
	if k, n := steps(len(x)); k != nil {
		k.combine(&d[0], &x[0], n/reductionLanes, p, q, r)
		d, x = d[n:], x[n:]
	}
	d = d[:len(x)]
	for i, v := range x {
		d[i] = float32(float64(p*float64(d[i])) + (float64(q*float64(v)) + r))
	}
}
