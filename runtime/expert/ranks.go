package expert

import (
	"fmt"
	"slices"
)

// Ranks returns the share of a layer's activations that a prompt's most used expert of the layer takes, the second one,
// and so on: f_1 >= ... >= f_Experts, which sum to 1. batch prompts in a row are counted as one; those left over at the end
// are not counted. With layer -1 it is that of all layers together, else of the one with the index.
//
// Which experts are hot changes from prompt to prompt, and so popularity over a whole trace is nearly uniform; the curve
// by rank is what stays.
func (c *Counts) Ranks(layer, batch int) ([]float64, error) {
	if layer < -1 || layer >= len(c.Layers) {
		panic(fmt.Sprintf("expert: Ranks of layer %d, the trace has %d", layer, len(c.Layers)))
	}
	if batch < 1 || batch > len(c.Prompts) {
		return nil, fmt.Errorf("expert: a batch of %d prompts, the trace has %d", batch, len(c.Prompts))
	}
	ranks, sum := make([]float64, c.Experts), 0.0
	group := make([]float64, c.Experts)
	for l := range c.Layers {
		if layer >= 0 && l != layer {
			continue
		}
		for at := 0; at+batch <= len(c.Prompts); at += batch {
			clear(group)
			for _, p := range c.Prompts[at : at+batch] {
				for e, n := range p.N[l] {
					group[e] += float64(n)
					sum += float64(n)
				}
			}
			slices.Sort(group)
			for i, n := range group {
				ranks[c.Experts-1-i] += n
			}
		}
	}
	for i := range ranks {
		ranks[i] /= sum
	}
	return ranks, nil
}

// Unions returns the probabilities with which a step of batch prompts together includes a layer's experts by their rank in these
// prompts, if the steps of a prompt are in no order. They sum to [Counts.Union] of the layer. Layers and leftover prompts are
// as with Ranks.
func (c *Counts) Unions(layer, batch int) ([]float64, error) {
	if layer < -1 || layer >= len(c.Layers) {
		panic(fmt.Sprintf("expert: Unions of layer %d, the trace has %d", layer, len(c.Layers)))
	}
	if batch < 1 || batch > len(c.Prompts) {
		return nil, fmt.Errorf("expert: a batch of %d prompts, the trace has %d", batch, len(c.Prompts))
	}
	ranks, groups := make([]float64, c.Experts), 0
	group := make([]float64, c.Experts)
	for l := range c.Layers {
		if layer >= 0 && l != layer {
			continue
		}
		for at := 0; at+batch <= len(c.Prompts); at += batch {
			groups++
			for e := range group {
				none := 1.0
				for _, p := range c.Prompts[at : at+batch] {
					none *= 1 - float64(p.N[l][e])/float64(p.Steps)
				}
				group[e] = 1 - none
			}
			slices.Sort(group)
			for i, p := range group {
				ranks[c.Experts-1-i] += p
			}
		}
	}
	for i := range ranks {
		ranks[i] /= float64(groups)
	}
	return ranks, nil
}

// Inclusion returns the probabilities that a step includes the experts of each rank: ranks scaled to sum k. Those that
// would exceed 1 are 1, and the others are scaled until none does. It panics unless 0 < k <= len(ranks).
func Inclusion(ranks []float64, k float64) []float64 {
	if !(k > 0 && k <= float64(len(ranks))) {
		panic(fmt.Sprintf("expert: Inclusion of %v of %d experts", k, len(ranks)))
	}
	pi := slices.Clone(ranks)
	certain := 0 // the first ones have 1
	for {
		sum := 0.0
		for _, p := range pi[certain:] {
			sum += p
		}
		if sum == 0 {
			return pi
		}
		again := false
		for i := certain; i < len(pi); i++ {
			pi[i] *= (k - float64(certain)) / sum
		}
		for certain < len(pi) && pi[certain] >= 1 {
			pi[certain] = 1
			certain++
			again = true
		}
		if !again {
			return pi
		}
	}
}
