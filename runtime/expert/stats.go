package expert

import (
	"math"
	"slices"
)

// Statistics describe how a model's routers choose, as far as that needs no order.
type Statistics struct {
	Prompts     int
	Steps       int
	Activations int64 // experts chosen in all steps and layers
	// Entropy is that of an expert's popularity in a layer over the whole trace, in bits, the mean of the layers. Uniform
	// is what it would be if all experts were equal.
	Entropy, Uniform float64
	TopShare         float64 // of the most popular expert of a layer, the mean of the layers
	NeverUsed        int     // pairs of a layer and an expert that are chosen in no step
	Distinct         float64 // experts that a prompt uses in a layer, the mean
	Jaccard          float64 // |A∩B|/|A∪B| of what consecutive prompts use in a layer, the mean
}

// Statistics returns c's.
func (c *Counts) Statistics() Statistics {
	s := Statistics{Prompts: len(c.Prompts), Steps: c.Steps(), Uniform: math.Log2(float64(c.Experts))}
	s.Activations = int64(s.Steps) * int64(c.TopK) * int64(len(c.Layers))
	for layer := range c.Layers {
		total := c.popularity(layer, 0, len(c.Prompts))
		sum := 0.0
		for _, n := range total {
			sum += n
		}
		for _, n := range total {
			if n == 0 {
				s.NeverUsed++
				continue
			}
			s.Entropy -= n / sum * math.Log2(n/sum)
		}
		s.TopShare += slices.Max(total) / sum
	}
	s.Entropy /= float64(len(c.Layers))
	s.TopShare /= float64(len(c.Layers))
	for i, p := range c.Prompts {
		for layer, n := range p.N {
			used, both, either := 0, 0, 0
			for e := range n {
				before := i > 0 && c.Prompts[i-1].N[layer][e] > 0
				used += oneIf(n[e] > 0)
				both += oneIf(n[e] > 0 && before)
				either += oneIf(n[e] > 0 || before)
			}
			s.Distinct += float64(used)
			if i > 0 {
				s.Jaccard += float64(both) / float64(either)
			}
		}
	}
	s.Distinct /= float64(len(c.Prompts) * len(c.Layers))
	s.Jaccard /= float64(max(1, len(c.Prompts)-1) * len(c.Layers))
	return s
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// popularity returns how often each expert of a layer is chosen in the prompts [from, to).
func (c *Counts) popularity(layer, from, to int) []float64 {
	total := make([]float64, c.Experts)
	for _, p := range c.Prompts[from:to] {
		for e, n := range p.N[layer] {
			total[e] += float64(n)
		}
	}
	return total
}

// Union returns the number of distinct experts of a layer that a step of batch prompts together chooses: the expectation
// when the steps of a prompt are in no order, the mean of the layers and of the groups of batch consecutive prompts. A
// prompt that has fewer steps than the longest of its group counts in those that it has.
func (c *Counts) Union(batch int) float64 {
	sum, groups := 0.0, 0
	for at := 0; at+batch <= len(c.Prompts); at += batch {
		groups++
		for layer := range c.Layers {
			for e := range c.Experts {
				none := 1.0
				for _, p := range c.Prompts[at : at+batch] {
					none *= 1 - float64(p.N[layer][e])/float64(p.Steps)
				}
				sum += 1 - none
			}
		}
	}
	return sum / float64(groups*len(c.Layers))
}

// Coverage returns the share of the activations in the second half of the prompts that the most used experts of a layer
// take, for sets of 0..Experts: by prompt, those that the prompt itself uses most, which only an oracle knows; overall,
// those that the first half uses most. Among equally used ones the lower number is taken.
func (c *Counts) Coverage() (byPrompt, overall []float64) {
	byPrompt, overall = make([]float64, c.Experts+1), make([]float64, c.Experts+1)
	half, all := len(c.Prompts)/2, 0.0
	for layer := range c.Layers {
		order := descending(c.popularity(layer, 0, half))
		for _, p := range c.Prompts[half:] {
			n := make([]float64, c.Experts)
			for e, times := range p.N[layer] {
				n[e] = float64(times)
				all += n[e]
			}
			accumulate(overall, n, order)
			accumulate(byPrompt, n, descending(n))
		}
	}
	for i := range byPrompt {
		byPrompt[i] /= all
		overall[i] /= all
	}
	return byPrompt, overall
}

// accumulate adds the sum of the first i of n in the given order to sums[i].
func accumulate(sums, n []float64, order []int) {
	sum := 0.0
	for i, e := range order {
		sum += n[e]
		sums[i+1] += sum
	}
}

// descending returns the indexes of n from the largest on, equal ones ascending.
func descending(n []float64) []int {
	order := make([]int, len(n))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case n[a] > n[b]:
			return -1
		case n[a] < n[b]:
			return 1
		}
		return 0
	})
	return order
}

// Reuse returns the share of the choices that the step before of the same prompt and layer had made too.
func (s *Steps) Reuse() float64 {
	again, all := 0, 0
	for _, p := range s.Prompts {
		for step := 1; step < len(p.Chosen); step++ {
			for layer, chosen := range p.Chosen[step] {
				for _, e := range chosen {
					_, found := slices.BinarySearch(p.Chosen[step-1][layer], e)
					again += oneIf(found)
				}
				all += len(chosen)
			}
		}
	}
	return float64(again) / float64(max(1, all))
}
