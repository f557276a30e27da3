package expert

// Replay plays a trace on a cache without time: each step asks for a layer's experts together, which are pinned meanwhile. It
// counts in which state each request finds its expert. Requests of the first warmUp prompts are not counted. The cache's
// layers must be the trace's; or it has one layer, whose experts are those of all layers.
func Replay(c *Cache, s *Steps, warmUp int) (hits [NumStates]int64) {
	var grants []Grant
	var experts []int
	together := c.config.Layers == 1 && len(s.Layers) > 1
	for i, prompt := range s.Prompts {
		for _, step := range prompt.Chosen {
			for layer, chosen := range step {
				experts = experts[:0]
				for _, e := range chosen {
					experts = append(experts, int(e))
					if together {
						experts[len(experts)-1] += layer * s.Experts
					}
				}
				if together {
					layer = 0
				}
				grants = c.Request(grants[:0], layer, experts, nil, Decode)
				for _, g := range grants {
					if i >= warmUp {
						hits[g.State]++
					}
					c.Finish(g)
				}
				for _, g := range grants {
					c.Release(g)
				}
				c.EndStep(layer)
			}
		}
		c.EndPrompt()
	}
	return hits
}
