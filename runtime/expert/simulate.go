package expert

import (
	"context"
	"fmt"
	"slices"
)

// SimulateConfig says what is simulated.
type SimulateConfig struct {
	Trace *Steps
	Cache CacheConfig // its layers are the trace's, or one that holds the experts of all layers
	Costs Costs
	// Rule orders the experts of a step: "schedule" ([Schedule]), "affinity", "johnson", "longest-tail", or "given", as the
	// router names them. Empty is "schedule".
	Rule string
	// Between is how long a layer computes when its experts are done, before the next one can ask for its own: attention and
	// the router. Microseconds.
	Between float64
	// Batch is the number of prompts that decode together; 0 is 1. Prompts left over at the end are not simulated.
	Batch int
	// WarmUp is the number of batches at the beginning that fill the cache and are not counted.
	WarmUp int
	// Direct says that what is read needs no place in staging if it goes to where it stays, decoded or not: weights that are
	// not compressed.
	Direct bool
}

// Rules are the names that SimulateConfig.Rule takes.
func Rules() []string { return []string{"schedule", "affinity", "johnson", "longest-tail", "given"} }

// SimulateResult is what a simulation found.
type SimulateResult struct {
	Steps     int              // of a batch, through all layers
	Hits      [NumStates]int64 // requests by the state in which they found their expert
	Bytes     int64            // read
	Reads     int64
	Splits    int64
	Layer     Distribution // of the time of a layer's experts
	Step      Distribution // of the time of all layers with what is computed between
	Disk      float64      // share of the time that the disk reads, workers decode (all of them: 1), products are computed
	Workers   float64
	Compute   float64
	OverBound float64 // mean of a layer's time by what no schedule is below
	PeakBytes int64   // slots and staging
}

// Distribution are times in microseconds.
type Distribution struct {
	Mean float64 `json:"mean_us"`
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
}

// distribution sorts times.
func distribution(times []float64) Distribution {
	if len(times) == 0 {
		return Distribution{}
	}
	slices.Sort(times)
	sum := 0.0
	for _, t := range times {
		sum += t
	}
	return Distribution{Mean: sum / float64(len(times)), P50: times[len(times)/2], P99: times[len(times)*99/100]}
}

// HitRate returns the share of requests that found their expert full.
func (r *SimulateResult) HitRate() float64 {
	all := int64(0)
	for _, n := range r.Hits {
		all += n
	}
	return float64(r.Hits[Full]) / float64(max(1, all))
}

// simulation is a run of Simulate.
type simulation struct {
	SimulateConfig
	cache   *Cache
	clock   Clock
	order   func(jobs []Job) ([]int, Timeline)
	tokens  []int // [expert of a layer] of the step at hand
	experts []int
	counts  []int
	grants  []Grant
	jobs    []Job
	bounds  float64
	layers  []float64 // times
	steps   []float64
	busy    Timeline // sums
	result  SimulateResult
}

// Simulate plays a trace on a cache and a virtual device.
func Simulate(ctx context.Context, config SimulateConfig) (*SimulateResult, error) {
	s := &simulation{SimulateConfig: config}
	s.Batch = max(1, s.Batch)
	if n := len(s.Trace.Prompts) / s.Batch; s.WarmUp < 0 || s.WarmUp >= n {
		return nil, fmt.Errorf("expert: %d batches of %d prompts to warm up, the trace has %d", s.WarmUp, s.Batch, n)
	}
	if c := s.Cache; c.Layers != len(s.Trace.Layers) && c.Layers != 1 || c.Experts*c.Layers != s.Trace.Experts*len(s.Trace.Layers) {
		return nil, fmt.Errorf("expert: a cache for %d layers of %d experts, the trace has %d of %d", c.Layers, c.Experts, len(s.Trace.Layers), s.Trace.Experts)
	}
	if err := s.chooseRule(); err != nil {
		return nil, err
	}
	var err error
	if s.cache, err = NewCache(s.Cache); err != nil {
		return nil, err
	}
	if err := s.fits(); err != nil {
		return nil, err
	}
	s.tokens = make([]int, s.Trace.Experts)
	for at := 0; at+s.Batch <= len(s.Trace.Prompts); at += s.Batch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.batch(s.Trace.Prompts[at:at+s.Batch], at/s.Batch >= s.WarmUp)
	}
	return s.finish(), nil
}

// chooseRule sets order.
func (s *simulation) chooseRule() error {
	rule := func(f func([]Job, Costs) []int) func([]Job) ([]int, Timeline) {
		return func(jobs []Job) ([]int, Timeline) {
			order := f(jobs, s.Costs)
			return order, s.clock.Run(jobs, order, s.Costs, s.Cache.Staging)
		}
	}
	switch s.Rule {
	case "", "schedule":
		s.order = func(jobs []Job) ([]int, Timeline) { return Schedule(&s.clock, jobs, s.Costs, s.Cache.Staging) }
	case "affinity":
		s.order = rule(Affinity)
	case "johnson":
		s.order = rule(Johnson)
	case "longest-tail":
		s.order = rule(LongestTail)
	case "given":
		s.order = rule(func(jobs []Job, _ Costs) []int {
			order := make([]int, len(jobs))
			for i := range order {
				order[i] = i
			}
			return order
		})
	default:
		return fmt.Errorf("expert: there is no rule %q, want one of %v", s.Rule, Rules())
	}
	return nil
}

// fits returns an error if an expert that has no slot cannot be used.
func (s *simulation) fits() error {
	need := Staging{Records: 1, Fulls: 1}
	if s.Direct {
		need.Records = 0
	}
	short := s.Cache.Staging.Records < need.Records || s.Cache.Staging.Fulls < need.Fulls
	for _, n := range s.Cache.Slots {
		if short && n.Full < s.Trace.TopK*s.Batch {
			return fmt.Errorf("expert: %w: with %v slots a layer there must be staging for an expert that has none", ErrBudget, n)
		}
	}
	if s.Cache.Staging.Records < need.Records {
		return fmt.Errorf("expert: %w: there must be staging for a record", ErrBudget)
	}
	return nil
}

// batch simulates prompts that decode together, step by step.
func (s *simulation) batch(prompts []PromptSteps, counted bool) {
	longest := 0
	for _, p := range prompts {
		longest = max(longest, len(p.Chosen))
	}
	for step := range longest {
		total := 0.0
		for layer := range s.Trace.Layers {
			for _, p := range prompts {
				if step >= len(p.Chosen) {
					continue
				}
				for _, e := range p.Chosen[step][layer] {
					s.tokens[e]++
				}
			}
			total += s.layer(layer, counted) + s.Between
		}
		if len(s.Trace.Layers) > s.Cache.Layers {
			s.cache.EndStep(0)
		}
		if counted {
			s.steps = append(s.steps, total)
		}
	}
	s.cache.EndPrompt()
}

// layer simulates a layer's step, for the experts that have tokens, and returns how long it takes.
func (s *simulation) layer(layer int, counted bool) float64 {
	offset, together := 0, len(s.Trace.Layers) > s.Cache.Layers
	if together {
		offset, layer = layer*s.Trace.Experts, 0
	}
	s.experts, s.counts, s.jobs = s.experts[:0], s.counts[:0], s.jobs[:0]
	for e, n := range s.tokens {
		if n > 0 {
			s.experts, s.counts = append(s.experts, offset+e), append(s.counts, n)
		}
	}
	clear(s.tokens)
	splits := s.cache.Stats().Splits
	s.grants = s.cache.Request(s.grants[:0], layer, s.experts, s.counts, Decode)
	for i, g := range s.grants {
		need := g.Staging()
		if s.Direct {
			need.Records = 0
		}
		s.jobs = append(s.jobs, Job{State: g.State, Tokens: float64(s.counts[i]), Split: g.Split.Expert >= 0, Staging: need})
	}
	_, line := s.order(s.jobs)
	for _, g := range s.grants {
		s.cache.Finish(g)
	}
	for _, g := range s.grants {
		s.cache.Release(g)
	}
	if !together {
		s.cache.EndStep(layer)
	}
	if counted {
		s.count(line, s.cache.Stats().Splits-splits)
	}
	return line.Micros
}

// count adds a layer's step to the result.
func (s *simulation) count(line Timeline, splits int64) {
	for _, g := range s.grants {
		s.result.Hits[g.State]++
		if g.State.ReadsSignMantissa() {
			s.result.Bytes += s.Cache.Sizes.SignMantissa
		}
		if g.State.ReadsExponents() {
			s.result.Bytes += s.Cache.Sizes.Exponents
		}
	}
	s.result.Splits += splits
	s.result.Reads += int64(line.Reads)
	s.busy.Disk += line.Disk
	s.busy.Workers += line.Workers
	s.busy.Compute += line.Compute
	s.layers = append(s.layers, line.Micros)
	if bound := Bound(s.jobs, s.Costs); bound > 0 {
		s.bounds += line.Micros / bound
	} else {
		s.bounds++
	}
}

// finish makes the result.
func (s *simulation) finish() *SimulateResult {
	r := &s.result
	total := 0.0
	for _, t := range s.steps {
		total += t
	}
	r.Steps = len(s.steps)
	r.OverBound = s.bounds / float64(max(1, len(s.layers)))
	r.Layer, r.Step = distribution(s.layers), distribution(s.steps)
	if total > 0 {
		r.Disk, r.Workers, r.Compute = s.busy.Disk/total, s.busy.Workers/float64(s.Costs.Workers)/total, s.busy.Compute/total
	}
	_, peak := s.cache.Used()
	r.PeakBytes = peak + s.Cache.Staging.Bytes(s.Cache.Sizes)
	return r
}
