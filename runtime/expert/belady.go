package expert

import "math"

// belady evicts who is used again last, and takes nobody in who is used later than all in memory: no policy does better.
// It knows the future.
type belady struct {
	uses [][]int32 // [expert] the steps that use it, ascending; those that are over are taken off
	step int32
}

// NewBelady returns the optimal policy for a layer of a trace that is then replayed from its beginning, every step of it:
// a bound for the others.
func NewBelady(s *Steps, layer int) Policy {
	p := &belady{uses: make([][]int32, s.Experts)}
	step := int32(0)
	for _, prompt := range s.Prompts {
		for _, layers := range prompt.Chosen {
			for _, e := range layers[layer] {
				p.uses[e] = append(p.uses[e], step)
			}
			step++
		}
	}
	return p
}

// next returns minus the step of an expert's next use, after this one.
func (p *belady) next(expert int) int64 {
	for len(p.uses[expert]) > 0 && p.uses[expert][0] <= p.step {
		p.uses[expert] = p.uses[expert][1:]
	}
	if len(p.uses[expert]) == 0 {
		return math.MinInt64
	}
	return -int64(p.uses[expert][0])
}

func (p *belady) Use(int, int, Phase, bool)      {}
func (p *belady) Victim(candidates []int) int    { return lowest(candidates, p.next, nil) }
func (p *belady) Admits(expert, victim int) bool { return p.next(expert) > p.next(victim) }
func (p *belady) Dropped(int)                    {}
func (p *belady) EndStep()                       { p.step++ }
func (p *belady) EndPrompt()                     {}
