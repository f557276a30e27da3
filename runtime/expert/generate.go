package expert

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Synthetic describes a trace that is drawn from published statistics of a model: nothing of it is copied from a real one.
// In every prompt and layer the experts are ranked anew, popular ones rather in front, and a step includes each rank with
// its probability.
type Synthetic struct {
	Model   Model
	Prompts int
	Steps   int // of a prompt
	// Inclusion are the probabilities with which a step includes a rank: those of a real model as far as they are published,
	// at most one a rank. A geometric tail makes them sum to the model's TopK.
	Inclusion []float64
	// Spread is the standard deviation of the logarithm of an expert's popularity in a layer.
	Spread float64
	// Keep is the probability that an expert of a step stays for the next one of the prompt, besides being drawn again.
	Keep float64
	Seed uint64
}

// published are the first ten inclusion probabilities of the models in Models, with the spread that makes popularity over a
// whole trace as uneven as it is published (5.85, 5.85 and 4.55 bits of entropy), and the probability to stay with which 41 %
// of the choices repeat those of the step before, as is published of Qwen3-30B.
var published = map[string]Synthetic{
	"deepseek": {Inclusion: []float64{.4977, .3949, .3412, .3057, .2791, .2568, .2381, .2225, .2090, .1962}, Spread: 1.5, Keep: 0.30},
	"qwen":     {Inclusion: []float64{.3318, .2610, .2269, .2035, .1855, .1721, .1623, .1541, .1452, .1344}, Spread: 0.85, Keep: 0.34},
	"switch":   {Inclusion: []float64{.3660, .2173, .1139, .0758, .0576, .0438, .0329, .0249, .0187, .0140}, Spread: 5, Keep: 0.26},
}

// PublishedSynthetic returns the description of a trace of m. Of a model that is not in Models the inclusion probabilities fall
// by the same factor from rank to rank, so that the first is twice the mean.
func PublishedSynthetic(m Model) Synthetic {
	s := published[m.Name]
	if s.Inclusion == nil {
		s = Synthetic{Inclusion: []float64{min(1, 2*float64(m.TopK)/float64(m.Experts))}, Spread: 0.85, Keep: 0.3}
	}
	s.Model, s.Prompts, s.Steps = m, 200, 20
	return s
}

// ranks returns the inclusion probabilities of all ranks: the given ones, and a geometric tail behind them.
func (y Synthetic) ranks() []float64 {
	pi := slices.Clone(y.Inclusion)
	left := float64(y.Model.TopK)
	for _, p := range pi {
		left -= p
	}
	n := y.Model.Experts - len(pi)
	if n <= 0 || left <= 0 {
		return Inclusion(pi, float64(y.Model.TopK))
	}
	last := pi[len(pi)-1]
	low, high := 0.0, 1.0 // of the factor from rank to rank
	tail := func(f float64) float64 {
		sum, p := 0.0, last
		for range n {
			p *= f
			sum += p
		}
		return sum
	}
	for range 100 {
		if f := (low + high) / 2; tail(f) < left {
			low = f
		} else {
			high = f
		}
	}
	for p, i := last, 0; i < n; i++ {
		p *= high
		pi = append(pi, p)
	}
	return Inclusion(pi, float64(y.Model.TopK))
}

// Generate draws the trace. The same description gives the same trace.
func (y Synthetic) Generate() (*Steps, error) {
	m := y.Model
	if err := m.Validate(); err != nil {
		return nil, err
	}
	switch {
	case y.Prompts < 1 || y.Steps < 1 || y.Steps > MaxSteps || y.Prompts > maxCells/(y.Steps*m.Layers*m.TopK):
		return nil, fmt.Errorf("expert: a trace of %d prompts of %d steps of %d layers", y.Prompts, y.Steps, m.Layers)
	case len(y.Inclusion) < 1 || len(y.Inclusion) > m.Experts || !(y.Keep >= 0 && y.Keep < 1) || !(y.Spread >= 0):
		return nil, fmt.Errorf("expert: a trace of %d ranks of %d experts, kept by %v, spread by %v", len(y.Inclusion), m.Experts, y.Keep, y.Spread)
	}
	coins, err := NewCoins(y.ranks(), m.TopK)
	if err != nil {
		return nil, err
	}
	sampler, random := NewSampler(coins), rand.New(rand.NewPCG(y.Seed, 0x6d6f65))
	popularity := make([][]float64, m.Layers) // logarithms
	for l := range popularity {
		popularity[l] = make([]float64, m.Experts)
		for e := range popularity[l] {
			popularity[l][e] = y.Spread * random.NormFloat64()
		}
	}
	s := &Steps{Model: m.Name, Experts: m.Experts, TopK: m.TopK}
	for l := range m.Layers {
		s.Layers = append(s.Layers, l)
	}
	for p := range y.Prompts {
		chosen := make([][][]uint16, y.Steps)
		for step := range chosen {
			chosen[step] = make([][]uint16, m.Layers)
		}
		for l := range m.Layers {
			byRank := ranking(popularity[l], random)
			var before []uint16
			for step := range chosen {
				before = y.step(before, byRank, sampler, random)
				chosen[step][l] = before
			}
		}
		s.Prompts = append(s.Prompts, PromptSteps{Prompt: p, Chosen: chosen})
	}
	return s, nil
}

// ranking draws an order of the experts by the law of Plackett and Luce, with half the logarithms of popularity.
func ranking(popularity []float64, random *rand.Rand) []int {
	key := make([]float64, len(popularity))
	for e, p := range popularity {
		key[e] = p/2 - math.Log(random.ExpFloat64()) // minus the logarithm of an exponential variate is Gumbel's
	}
	return descending(key)
}

// step draws the experts of a step from those of the one before.
func (y Synthetic) step(before []uint16, byRank []int, sampler *Sampler, random *rand.Rand) []uint16 {
	var chosen []uint16
	for _, e := range before {
		if random.Float64() < y.Keep {
			chosen = append(chosen, e)
		}
	}
	drawn := sampler.Draw(nil, random)
	random.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	for _, r := range drawn {
		if e := uint16(byRank[r]); len(chosen) < y.Model.TopK && !slices.Contains(chosen, e) {
			chosen = append(chosen, e)
		}
	}
	slices.Sort(chosen)
	return chosen
}

// Arrange returns steps with the counts of c, in an order that is made up: for one prompt and layer the chosen experts in random
// order, each as often as it counts in a row, are dealt round the steps, and the steps are shuffled. No step has an expert
// twice. Real orders have more in common from step to step.
func (c *Counts) Arrange(seed uint64) *Steps {
	random := rand.New(rand.NewPCG(seed, 0x6465616c))
	s := &Steps{Model: c.Model, Layers: c.Layers, Experts: c.Experts, TopK: c.TopK}
	for _, p := range c.Prompts {
		chosen := make([][][]uint16, p.Steps)
		for step := range chosen {
			chosen[step] = make([][]uint16, len(c.Layers))
		}
		for l, n := range p.N {
			to := random.Perm(p.Steps)
			at := 0
			for _, e := range random.Perm(c.Experts) {
				for range n[e] {
					step := &chosen[to[at%p.Steps]][l]
					*step = append(*step, uint16(e))
					at++
				}
			}
			for step := range chosen {
				slices.Sort(chosen[step][l])
			}
		}
		s.Prompts = append(s.Prompts, PromptSteps{Prompt: p.Prompt, Chosen: chosen})
	}
	return s
}
