package expert

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/nearest"
)

// Phase is what experts are asked for.
type Phase uint8

const (
	Decode  Phase = iota // steps of one token, or one of each prompt of a batch
	Prefill              // all tokens of a prompt at once: takes free slots only, and evicts nobody
)

// Policy decides who stays in memory, for the experts of one layer. The calls of a step are: Use for every expert that
// is asked for, with Victim and Admits to make room, then EndStep.
type Policy interface {
	// Use says that tokens tokens ask for an expert. resident says that some of it is in memory.
	Use(expert, tokens int, phase Phase, resident bool)
	// Victim returns which of the candidates is worth least. There is at least one; they are in memory, in no particular
	// order, and in nobody's use.
	Victim(candidates []int) int
	// Admits reports whether expert is worth the place of victim, which Victim has returned.
	Admits(expert, victim int) bool
	// Dropped says that nothing of an expert is in memory any more.
	Dropped(expert int)
	// EndStep says that the layer's step is over.
	EndStep()
	// EndPrompt says that the prompt is over: what comes is about another one.
	EndPrompt()
}

// policyNames are the policies that NewPolicy knows. Belady, which needs the future, is not among them.
var policyNames = []string{"lru", "lfu", "lfu-kept", "decayed", "marking", "fifo", "value"}

// PolicyNames returns the names that NewPolicy takes.
func PolicyNames() []string { return slices.Clone(policyNames) }

// NewPolicy returns a policy for a layer's experts by its name:
//
//	lru       the least recently used one goes
//	lfu       the least often used one since it came goes, of several the least recently used one
//	lfu-kept  as lfu, but counts outlive eviction, and who is asked for must have a higher count than who goes
//	decayed   as lfu-kept, with counts that lose a tenth in every step
//	marking   a random one goes that was not used in this phase; when all were, a new phase begins
//	fifo      who came first goes
//	value     recency, the prompt's own use and the history of decoding together; who comes must be worth more
func NewPolicy(name string, experts int, seed uint64) (Policy, error) {
	switch name {
	case "lru":
		return &lru{last: make([]int64, experts)}, nil
	case "fifo":
		return &fifo{came: make([]int64, experts)}, nil
	case "lfu":
		return &lfu{count: make([]int64, experts), lru: lru{last: make([]int64, experts)}}, nil
	case "lfu-kept":
		return newDecayed(experts, 1), nil
	case "decayed":
		return newDecayed(experts, 0.9), nil
	case "marking":
		return &marking{marked: make([]bool, experts), random: rand.New(rand.NewPCG(seed, 1))}, nil
	case "value":
		return newValue(experts), nil
	}
	return nil, fmt.Errorf("expert: there is no policy %q, did you mean %s? There are %s", name, nearest.Name(name, policyNames), strings.Join(policyNames, ", "))
}

// lowest returns the candidate with the smallest score, the first used of them if there are several.
func lowest[T int64 | float64](candidates []int, score func(expert int) T, last []int64) int {
	best := candidates[0]
	worth := score(best)
	for _, e := range candidates[1:] {
		if s := score(e); s < worth || s == worth && before(last, e, best) {
			best, worth = e, s
		}
	}
	return best
}

// before reports whether a was last used before b. Of two that never were, it is the lower one.
func before(last []int64, a, b int) bool {
	if last == nil || last[a] == last[b] {
		return a < b
	}
	return last[a] < last[b]
}

// lru is the policy of that name.
type lru struct {
	last []int64 // when each was last used
	now  int64   // counts uses
}

func (p *lru) Use(expert, _ int, _ Phase, _ bool) {
	p.now++
	p.last[expert] = p.now
}

func (p *lru) Victim(candidates []int) int {
	return lowest(candidates, func(e int) int64 { return p.last[e] }, nil)
}

func (p *lru) Admits(int, int) bool { return true }
func (p *lru) Dropped(int)          {}
func (p *lru) EndStep()             {}
func (p *lru) EndPrompt()           {}

// fifo is the policy of that name.
type fifo struct {
	came []int64 // when each came into memory
	now  int64
}

func (p *fifo) Use(expert, _ int, _ Phase, resident bool) {
	if !resident {
		p.now++
		p.came[expert] = p.now
	}
}

func (p *fifo) Victim(candidates []int) int {
	return lowest(candidates, func(e int) int64 { return p.came[e] }, nil)
}

func (p *fifo) Admits(int, int) bool { return true }
func (p *fifo) Dropped(int)          {}
func (p *fifo) EndStep()             {}
func (p *fifo) EndPrompt()           {}

// lfu is the policy of that name: ZipMoE's.
type lfu struct {
	count []int64
	lru
}

func (p *lfu) Use(expert, tokens int, phase Phase, resident bool) {
	p.lru.Use(expert, tokens, phase, resident)
	if !resident {
		p.count[expert] = 0
		tokens = 1
	}
	p.count[expert] += int64(tokens)
}

func (p *lfu) Victim(candidates []int) int {
	return lowest(candidates, func(e int) int64 { return p.count[e] }, p.last)
}

// decayed counts the steps that use an expert, of which each later step leaves a part.
type decayed struct {
	count []float64 // in units that grow, in place of all counts becoming smaller
	keep  float64
	unit  float64
	lru
}

func newDecayed(experts int, keep float64) *decayed {
	return &decayed{count: make([]float64, experts), keep: keep, unit: 1, lru: lru{last: make([]int64, experts)}}
}

func (p *decayed) Use(expert, tokens int, phase Phase, resident bool) {
	p.lru.Use(expert, tokens, phase, resident)
	if phase == Decode { // a long prompt would outweigh all that comes
		p.count[expert] += p.unit
	}
}

func (p *decayed) Victim(candidates []int) int {
	return lowest(candidates, func(e int) float64 { return p.count[e] }, p.last)
}

func (p *decayed) Admits(expert, victim int) bool { return p.count[expert] > p.count[victim] }

func (p *decayed) EndStep() {
	p.unit /= p.keep
	if p.unit > 1e100 {
		for e := range p.count {
			p.count[e] /= p.unit
		}
		p.unit = 1
	}
}

// marking is the policy of that name.
type marking struct {
	marked []bool
	random *rand.Rand
	open   []int // scratch: candidates without a mark
}

func (p *marking) Use(expert, _ int, _ Phase, _ bool) { p.marked[expert] = true }

func (p *marking) Victim(candidates []int) int {
	for {
		p.open = p.open[:0]
		for _, e := range candidates {
			if !p.marked[e] {
				p.open = append(p.open, e)
			}
		}
		if len(p.open) > 0 {
			return p.open[p.random.IntN(len(p.open))]
		}
		clear(p.marked)
	}
}

func (p *marking) Admits(int, int) bool { return true }
func (p *marking) Dropped(expert int)   { p.marked[expert] = false }
func (p *marking) EndStep()             {}
func (p *marking) EndPrompt()           {}

// value is the policy of that name: an expert's value is
//
//	2^(-age/8) + a*prompt + (1-a)*history,  a = 1/2
//
// with the steps since it was last used, its use by the prompt as a share of the most used expert's, and the share of the
// steps of decoding so far that used it.
type value struct {
	last    []int64 // step of the last use, never before the first
	prompt  []float64
	most    float64 // of prompt
	history []float64
	decodes float64 // steps of decoding
	step    int64
	phase   Phase // of the last use
}

// The constants of value.
const (
	valueHalfLife = 8 // steps
	valuePrompt   = 0.5
	never         = math.MinInt64
)

func newValue(experts int) *value {
	return &value{last: slices.Repeat([]int64{never}, experts), prompt: make([]float64, experts), history: make([]float64, experts)}
}

func (p *value) Use(expert, tokens int, phase Phase, _ bool) {
	p.last[expert], p.phase = p.step, phase
	if phase == Prefill {
		p.prompt[expert] += float64(tokens)
		p.most = max(p.most, p.prompt[expert])
		return
	}
	p.history[expert]++
}

// of returns an expert's value.
func (p *value) of(expert int) float64 {
	v := 0.0
	if p.last[expert] != never {
		v = math.Exp2(-float64(p.step-p.last[expert]) / valueHalfLife)
	}
	return v + valuePrompt*p.prompt[expert]/max(1, p.most) + (1-valuePrompt)*p.history[expert]/(p.decodes+1)
}

func (p *value) Victim(candidates []int) int    { return lowest(candidates, p.of, p.last) }
func (p *value) Admits(expert, victim int) bool { return p.of(expert) > p.of(victim) }
func (p *value) Dropped(int)                    {}

func (p *value) EndStep() {
	p.step++
	if p.phase == Decode {
		p.decodes++
	}
}

func (p *value) EndPrompt() {
	clear(p.prompt)
	p.most = 0
}
