package expert

import "math"

// Hits is the law of how many experts of a step are found in each state, when the experts that a step includes are those coins of
// a layer, by rank, that show heads, and the first ranks are in the best state.
type Hits struct {
	q     []float64
	k     int // exactly so many heads; -1: as they fall
	table map[[2]int][]float64
}

// NewHits returns the law for coins that are thrown until they show exactly K heads.
func NewHits(c *Coins) *Hits {
	return &Hits{q: c.Q, k: c.K, table: map[[2]int][]float64{}}
}

// NewUnionHits returns the law for coins of the given probabilities that count as they fall: a step of several prompts includes now
// more, now fewer experts. See [Counts.Unions].
func NewUnionHits(q []float64) *Hits {
	return &Hits{q: q, k: -1, table: map[[2]int][]float64{}}
}

// Ranks returns the coins' probabilities by rank.
func (h *Hits) Ranks() []float64 { return h.q }

// negligible is a probability that does not matter: the tails of laws are cut where they are less likely.
const negligible = 1e-12

// heads returns the probabilities of 0, 1, 2, ... heads among the n ranks behind the first from, up to as many as matter: the
// Poisson-binomial law.
func (h *Hits) heads(from, n int) []float64 {
	key := [2]int{from, n}
	if d, ok := h.table[key]; ok {
		return d
	}
	most := n
	if h.k >= 0 {
		most = min(n, h.k)
	}
	d := make([]float64, most+1)
	d[0] = 1
	for i := range n {
		q := h.q[from+i]
		for j := min(most, i+1); j > 0; j-- {
			d[j] = float64(d[j]*(1-q)) + float64(d[j-1]*q)
		}
		d[0] *= 1 - q
	}
	for h.k < 0 && len(d) > 1 && d[len(d)-1] < negligible {
		d = d[:len(d)-1]
	}
	h.table[key] = d
	return d
}

// Expect returns the expectation of a cost over the outcomes of a step for a layer with the given slots. Ranks beyond the
// slots are misses; slots beyond the ranks are of no use.
func (h *Hits) Expect(n Slots, cost func(Outcome) float64) float64 {
	laws, from := [NumStates][]float64{}, 0
	for s := Full; s >= Miss && s <= Full; s-- {
		count := len(h.q) - from
		if s != Miss {
			count = min(n.Of(s), count)
		}
		laws[s] = h.heads(from, count)
		from += count
	}
	sum, all := 0.0, 0.0
	var o Outcome
	add := func(p float64) {
		all += p
		sum += float64(p * cost(o))
	}
	left := h.k
	if left < 0 {
		left = math.MaxInt
	}
	for o[Full] = 0; o[Full] < len(laws[Full]) && o[Full] <= left; o[Full]++ {
		pF, left := laws[Full][o[Full]], left-o[Full]
		for o[Compressed] = 0; o[Compressed] < len(laws[Compressed]) && o[Compressed] <= left; o[Compressed]++ {
			pC, left := pF*laws[Compressed][o[Compressed]], left-o[Compressed]
			for o[SignMantissa] = 0; o[SignMantissa] < len(laws[SignMantissa]) && o[SignMantissa] <= left; o[SignMantissa]++ {
				pS, left := pC*laws[SignMantissa][o[SignMantissa]], left-o[SignMantissa]
				for o[Exponents] = 0; o[Exponents] < len(laws[Exponents]) && o[Exponents] <= left; o[Exponents]++ {
					pE, left := pS*laws[Exponents][o[Exponents]], left-o[Exponents]
					if pE < negligible*negligible {
						continue
					}
					if h.k >= 0 {
						if left < len(laws[Miss]) {
							o[Miss] = left
							add(pE * laws[Miss][left])
						}
						continue
					}
					for o[Miss] = 0; o[Miss] < len(laws[Miss]); o[Miss]++ {
						add(pE * laws[Miss][o[Miss]])
					}
				}
			}
		}
	}
	return sum / all
}

// Mean returns the expected numbers of experts that a step finds in each state.
func (h *Hits) Mean(n Slots) [NumStates]float64 {
	var mean [NumStates]float64
	for s := range mean {
		mean[s] = h.Expect(n, func(o Outcome) float64 { return float64(o[s]) })
	}
	return mean
}
