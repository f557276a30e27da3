package convert

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sort"
	"sync"

	"github.com/bnntool/bnntool/internal/half"
)

// blockElements is about how many weights are drawn from one stream of random numbers.
const blockElements = 1 << 20

// synthSource draws the weights of one tensor.
//
// A matrix is Student's t of 10 degrees of freedom, a little wider than the normal distribution as trained weights are, times a standard deviation
// of its own, times one of each row; a handful of columns are ten times as large, and a few weights are exactly 0. The exponents then have
// an entropy of 2.55 to 2.70 bits.
type synthSource struct {
	t            *synthTensor
	seed, stream uint64
	rowsPerBlock int
	sigma        float64
	row          float64 // standard deviation of the logarithm of a row's scale
	outlier      map[int]float64
}

func newSynthSource(seed uint64, t *synthTensor) *synthSource {
	name := fnv.New64a()
	name.Write([]byte(t.name))
	s := &synthSource{t: t, seed: seed, stream: name.Sum64(), rowsPerBlock: max(blockElements/t.columns(), 1), outlier: make(map[int]float64)}
	rng := rand.New(rand.NewPCG(seed, s.stream))
	outliers, scale := 3, 10.0
	switch t.kind {
	case matrixWeights:
		s.sigma, s.row = 0.02*math.Exp(0.35*rng.NormFloat64()), 0.15
	case embeddingWeights:
		s.sigma, s.row = 0.02+0.03*rng.Float64(), 0.15
	case routerWeights:
		s.sigma, s.row = 0.05+0.05*rng.Float64(), 0.3
		outliers, scale = 6, 4
	case normWeights:
		s.sigma, outliers = 0.2, 0
	case biasWeights:
		s.sigma, outliers = 0.2, 0
	}
	for range min(outliers, t.columns()/64) {
		s.outlier[rng.IntN(t.columns())] = scale
	}
	return s
}

// draw appends the weights of some rows to dst, little endian.
func (s *synthSource) draw(dst []byte, first, last int) []byte {
	q := quantiles()
	for row := first; row < last; row += s.rowsPerBlock {
		rng := rand.New(rand.NewPCG(s.seed^0x9e3779b97f4a7c15, s.stream+uint64(row)))
		for r := row; r < min(row+s.rowsPerBlock, last); r++ {
			scale := s.sigma * math.Exp(s.row*rng.NormFloat64())
			start := len(dst)
			for range s.t.columns() {
				x := rng.Uint64()
				v := scale * q.at(x)
				switch {
				case s.t.kind == normWeights:
					if v += 1; x%1000 == 0 {
						v *= 5 + float64(x>>32%16)
					}
				case x%100_000 == 0:
					v = 0
				}
				dst = binary.LittleEndian.AppendUint16(dst, half.ToBFloat16(float32(v)))
			}
			for c, factor := range s.outlier { // each one by itself: the order does not matter
				w := dst[start+2*c:]
				v := math.Float32frombits(uint32(binary.LittleEndian.Uint16(w)) << 16)
				binary.LittleEndian.PutUint16(w, half.ToBFloat16(v*float32(factor)))
			}
		}
	}
	return dst
}

// studentQuantiles is Student's t of 10 degrees of freedom by its quantiles: value i is that of probability i/cells. Between them it is
// interpolated, but for the two outermost cells, where the distribution bends too much.
type studentQuantiles [cells + 1]float64

const (
	cellBits = 12
	cells    = 1 << cellBits
	freedom  = 10
)

// quantiles returns the table, made once.
var quantiles = sync.OnceValue(func() *studentQuantiles {
	q := new(studentQuantiles)
	for i := 1; i < cells; i++ {
		q[i] = studentQuantile(float64(i) / cells)
	}
	return q
})

// at returns the quantile of the probability x/2⁶⁴.
func (q *studentQuantiles) at(x uint64) float64 {
	cell := x >> (64 - cellBits)
	part := float64(x<<cellBits>>11) / (1 << 53)
	if cell == 0 || cell == cells-1 {
		return studentQuantile((float64(cell) + min(max(part, 1e-12), 1-1e-12)) / cells)
	}
	return q[cell] + float64(part*(q[cell+1]-q[cell]))
}

// studentQuantile returns the x for which studentCDF is p, in 0 to 1.
func studentQuantile(p float64) float64 {
	lo, hi := -1000.0, 1000.0
	n := sort.Search(1<<30, func(i int) bool { return studentCDF(lo+float64(i)*(hi-lo)/(1<<30)) >= p })
	return lo + float64(n)*(hi-lo)/(1<<30)
}

// studentCDF is the distribution function for an even number of degrees of freedom n, a finite sum (Abramowitz and Stegun
// 26.7.4): with sin θ = x/√(n+x²),
//
//	1/2 + sin θ / 2 · (1 + 1/2 cos²θ + 1·3/(2·4) cos⁴θ + … up to cosⁿ⁻²θ)
func studentCDF(x float64) float64 {
	cos2 := freedom / (freedom + x*x)
	sum, term := 1.0, 1.0
	for k := 2; k <= freedom-2; k += 2 {
		term *= cos2 * float64(k-1) / float64(k)
		sum += term
	}
	return 0.5 + x/math.Sqrt(freedom+x*x)/2*sum
}
