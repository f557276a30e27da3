package expert

import (
	"fmt"
	"slices"
)

// What a trace can hold at most. A file that says more is refused before memory is taken for it.
const (
	MaxExperts = 1 << 13 // of a layer
	MaxLayers  = 1 << 12
	MaxSteps   = 1<<16 - 1 // of a prompt
	maxCells   = 1 << 27   // counts, or chosen experts, of a trace
)

// Counts are the choices of a model's routers without their order: how often each expert was chosen in the steps of a
// prompt.
type Counts struct {
	Model   string
	Layers  []int // the model's numbers of its sparse layers, ascending
	Experts int   // of a layer
	TopK    int   // experts that one step chooses in one layer
	Prompts []PromptCounts
}

// PromptCounts are the counts of one prompt.
type PromptCounts struct {
	Prompt int        // its number
	Steps  int        // of one token each
	N      [][]uint16 // [layer][expert], 0..Steps; each layer's sum is TopK*Steps
}

// Steps are the choices of a model's routers in order.
type Steps struct {
	Model   string
	Layers  []int // the model's numbers of its sparse layers, ascending
	Experts int   // of a layer
	TopK    int   // experts that one step chooses in one layer
	Prompts []PromptSteps
}

// PromptSteps are the steps of one prompt.
type PromptSteps struct {
	Prompt int          // its number
	Chosen [][][]uint16 // [step][layer][TopK], experts ascending
}

// Steps returns the number of steps of all prompts.
func (c *Counts) Steps() int {
	n := 0
	for _, p := range c.Prompts {
		n += p.Steps
	}
	return n
}

// Steps returns the number of steps of all prompts.
func (s *Steps) Steps() int {
	n := 0
	for _, p := range s.Prompts {
		n += len(p.Chosen)
	}
	return n
}

// Counts returns s without its order.
func (s *Steps) Counts() *Counts {
	c := &Counts{Model: s.Model, Layers: s.Layers, Experts: s.Experts, TopK: s.TopK}
	for _, p := range s.Prompts {
		n := newCounts(len(s.Layers), s.Experts)
		for _, step := range p.Chosen {
			for layer, chosen := range step {
				for _, e := range chosen {
					n[layer][e]++
				}
			}
		}
		c.Prompts = append(c.Prompts, PromptCounts{Prompt: p.Prompt, Steps: len(p.Chosen), N: n})
	}
	return c
}

// newCounts returns zeros of the shape [layers][experts].
func newCounts(layers, experts int) [][]uint16 {
	all, n := make([]uint16, layers*experts), make([][]uint16, layers)
	for i := range n {
		n[i] = all[i*experts : (i+1)*experts : (i+1)*experts]
	}
	return n
}

// First returns the trace of the first n prompts, all of it if there are no more.
func (s *Steps) First(n int) *Steps {
	part := *s
	part.Prompts = s.Prompts[:min(n, len(s.Prompts))]
	return &part
}

// SetExperts says how many experts a layer has, which a file of steps does not say. It is an error if one was chosen that
// then does not exist.
func (s *Steps) SetExperts(n int) error {
	highest := -1
	for _, p := range s.Prompts {
		for _, step := range p.Chosen {
			for _, chosen := range step {
				highest = max(highest, int(chosen[len(chosen)-1]))
			}
		}
	}
	if highest >= n {
		return fmt.Errorf("expert: the trace of %s chooses expert %d of a layer, the model has %d", s.Model, highest, n)
	}
	s.Experts = n
	return nil
}

// addPrompt appends a prompt's rows, one a layer: at is the number of steps, values the counts.
func (c *Counts) addPrompt(prompt int, rows []traceRow) error {
	var layers []int
	p := PromptCounts{Prompt: prompt, Steps: rows[0].at}
	for _, r := range rows {
		layers = append(layers, r.layer)
		if r.at != p.Steps {
			return fmt.Errorf("layer %d: %d steps, the prompt's first layer has %d", r.layer, r.at, p.Steps)
		}
		if err := c.checkCounts(r.values, p.Steps); err != nil {
			return fmt.Errorf("layer %d: %w", r.layer, err)
		}
		p.N = append(p.N, r.values)
	}
	if err := sameLayers(&c.Layers, layers); err != nil {
		return err
	}
	c.Prompts = append(c.Prompts, p)
	return nil
}

// checkCounts checks one layer of a prompt, and takes the numbers of experts from the first that it sees.
func (c *Counts) checkCounts(n []uint16, steps int) error {
	if steps < 1 || steps > MaxSteps {
		return fmt.Errorf("%d steps, want 1 to %d", steps, MaxSteps)
	}
	if c.Experts == 0 {
		c.Experts = len(n)
	}
	if len(n) != c.Experts {
		return fmt.Errorf("%d counts, the first layer has %d experts", len(n), c.Experts)
	}
	sum := 0
	for e, times := range n {
		if int(times) > steps {
			return fmt.Errorf("expert %d is chosen %d times in %d steps", e, times, steps)
		}
		sum += int(times)
	}
	if c.TopK == 0 {
		c.TopK = sum / steps
	}
	if sum == 0 || sum != c.TopK*steps {
		return fmt.Errorf("%d choices in %d steps, want %d in each", sum, steps, c.TopK)
	}
	return nil
}

// addPrompt appends a prompt's rows, one a step and layer: at is the step, values the chosen experts.
func (s *Steps) addPrompt(prompt int, rows []traceRow) error {
	var layers []int
	for _, r := range rows {
		if r.at != rows[0].at {
			break
		}
		layers = append(layers, r.layer)
	}
	if err := sameLayers(&s.Layers, layers); err != nil {
		return err
	}
	if len(rows)%len(layers) != 0 || len(rows)/len(layers) > MaxSteps {
		return fmt.Errorf("%d rows, want one for each of %d layers in each of at most %d steps", len(rows), len(layers), MaxSteps)
	}
	p := PromptSteps{Prompt: prompt}
	for i, r := range rows {
		if step, layer := i/len(layers), layers[i%len(layers)]; r.at != step || r.layer != layer {
			return fmt.Errorf("step %d of layer %d, want step %d of layer %d", r.at, r.layer, step, layer)
		}
		if s.TopK == 0 {
			s.TopK = len(r.values)
		}
		if len(r.values) != s.TopK {
			return fmt.Errorf("step %d: %d experts, the first step has %d", r.at, len(r.values), s.TopK)
		}
		for j, e := range r.values {
			if j > 0 && e <= r.values[j-1] {
				return fmt.Errorf("step %d: expert %d behind %d, want ascending ones", r.at, e, r.values[j-1])
			}
		}
		s.Experts = max(s.Experts, int(r.values[len(r.values)-1])+1)
		if s.Experts > MaxExperts || (len(s.Prompts)+1)*len(layers)*s.Experts > maxCells {
			return fmt.Errorf("step %d: expert %d of %d layers: the trace is too large", r.at, s.Experts-1, len(layers))
		}
		if i%len(layers) == 0 {
			p.Chosen = append(p.Chosen, make([][]uint16, 0, len(layers)))
		}
		p.Chosen[r.at] = append(p.Chosen[r.at], r.values)
	}
	s.Prompts = append(s.Prompts, p)
	return nil
}

// sameLayers checks the layers of a prompt against those of the first one, which it sets.
func sameLayers(first *[]int, layers []int) error {
	if *first == nil {
		for i, l := range layers {
			if l < 0 || i > 0 && l <= layers[i-1] || i == MaxLayers {
				return fmt.Errorf("layers %d, want at most %d ascending ones from 0", layers, MaxLayers)
			}
		}
		*first = layers
		return nil
	}
	if !slices.Equal(*first, layers) {
		return fmt.Errorf("layers %d, the first prompt has %d", layers, *first)
	}
	return nil
}
