package expert

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Coins are the maximum-entropy model of a step that chooses exactly K experts with given probabilities: independent coins,
// one a rank, of which those throws count that show K heads (conditional Poisson sampling; Chen, Dempster and Liu,
// Weighted finite population sampling to maximize entropy, Biometrika 81, 1994).
type Coins struct {
	K int
	// Q are the coins' probabilities of heads. They sum to K: of all scales that give the same conditional law, this is the
	// one under which K heads are likely.
	Q []float64
}

// The fixed point of NewCoins: every round multiplies the odds by the root of what the odds of inclusion are off by. The
// root is half a Newton step with the diagonal of the Jacobian, which is the covariance of the inclusions; a whole one
// could oscillate, for their negative covariances sum to the variance. The usual iteration multiplies by the ratio of the
// probabilities, and is slow where one is near 1.
const (
	maxRounds      = 1000
	coinsTolerance = 1e-8 // of inclusion probabilities
)

// NewCoins returns the coins that include the ranks with the probabilities pi, in 0..1, which sum to k: see [Inclusion]. It
// is an error if they do not, or if no coins are found.
func NewCoins(pi []float64, k int) (*Coins, error) {
	sum := 0.0
	for i, p := range pi {
		if !(p >= 0 && p <= 1) {
			return nil, fmt.Errorf("expert: the probability of rank %d is %v, want 0 to 1", i+1, p)
		}
		sum += p
	}
	if math.Abs(sum-float64(k)) > 1e-6 || k < 1 {
		return nil, fmt.Errorf("expert: the probabilities of %d ranks sum to %v, want %d", len(pi), sum, k)
	}
	c := &Coins{K: k, Q: make([]float64, len(pi))}
	var open []int // ranks that are neither certain nor impossible
	left := k      // heads among them
	for i, p := range pi {
		if c.Q[i] = p; p == 1 {
			left--
		} else if p > 0 {
			open = append(open, i)
		}
	}
	if left == 0 || left == len(open) {
		return c, nil
	}
	target, w := make([]float64, len(open)), make([]float64, len(open))
	for i, r := range open {
		target[i] = pi[r]
		w[i] = pi[r] / (1 - pi[r])
	}
	estimate := make([]float64, len(open))
	for round := 0; ; round++ {
		inclusion(estimate, w, left)
		worst := 0.0
		for i := range w {
			worst = max(worst, math.Abs(estimate[i]-target[i]))
		}
		if worst < coinsTolerance {
			break
		}
		if round == maxRounds || math.IsNaN(worst) {
			return nil, fmt.Errorf("expert: no coins found for %d of %d ranks: off by %v after %d rounds", left, len(open), worst, round)
		}
		for i := range w {
			w[i] *= math.Sqrt(target[i] / estimate[i] * (1 - estimate[i]) / (1 - target[i]))
		}
	}
	for i, q := range scale(w, float64(left)) {
		c.Q[open[i]] = q
	}
	return c, nil
}

// inclusion sets dst[r] to the probability that coins of odds w, conditioned on k heads, include r:
//
//	w_r * sum over m<k of e_m(w_1..w_r-1) * e_k-1-m(w_r+1..w_n) / e_k(w_1..w_n)
//
// with e_m the elementary symmetric polynomials.
func inclusion(dst, w []float64, k int) {
	n := len(w)
	before, after := symmetric(w, k, false), symmetric(w, k, true)
	for r := range n {
		sum := 0.0
		for m := range k {
			sum += float64(before[r][m] * after[r+1][k-1-m])
		}
		dst[r] = w[r] * sum / before[n][k]
	}
}

// symmetric returns e[j][m] for m = 0..k: the elementary symmetric polynomials of the first j of w, or, backward, of those
// from j on.
func symmetric(w []float64, k int, backward bool) [][]float64 {
	n := len(w)
	e := make([][]float64, n+1)
	for j := range e {
		e[j] = make([]float64, k+1)
		e[j][0] = 1
	}
	for i := range n {
		at, from, x := i+1, i, w[i]
		if backward {
			at, from, x = n-1-i, n-i, w[n-1-i]
		}
		for m := 1; m <= k; m++ {
			e[at][m] = e[from][m] + float64(x*e[from][m-1])
		}
	}
	return e
}

// scale returns s*w/(1+s*w) with the s that makes it sum to k, which is less than len(w).
func scale(w []float64, k float64) []float64 {
	q := make([]float64, len(w))
	low, high := -700.0, 700.0 // of the logarithm of s
	for range 200 {
		middle := (low + high) / 2
		s, sum := math.Exp(middle), 0.0
		for i, x := range w {
			q[i] = 1 / (1 + 1/(s*x)) // which is s*x/(1+s*x)
			sum += q[i]
		}
		if sum < k {
			low = middle
		} else {
			high = middle
		}
	}
	return q
}

// Sampler draws from the law of some coins.
type Sampler struct {
	coins *Coins
	after [][]float64 // [rank][m] the probability that the coins from rank on show m heads
}

// NewSampler returns a sampler of c.
func NewSampler(c *Coins) *Sampler {
	n := len(c.Q)
	s := &Sampler{coins: c, after: make([][]float64, n+1)}
	for i := range s.after {
		s.after[i] = make([]float64, c.K+1)
	}
	s.after[n][0] = 1
	for r := n - 1; r >= 0; r-- {
		for m := range c.K + 1 {
			s.after[r][m] = (1 - c.Q[r]) * s.after[r+1][m]
			if m > 0 {
				s.after[r][m] += float64(c.Q[r] * s.after[r+1][m-1])
			}
		}
	}
	return s
}

// Draw appends the K ranks of one throw, ascending, to dst.
func (s *Sampler) Draw(dst []int, random *rand.Rand) []int {
	left := s.coins.K
	for r := range s.coins.Q {
		if left == 0 {
			break
		}
		if random.Float64()*s.after[r][left] < s.coins.Q[r]*s.after[r+1][left-1] {
			dst = append(dst, r)
			left--
		}
	}
	return dst
}
