package runtime

import (
	"fmt"
	"slices"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// step is one call of a kernel.
type step struct {
	LayerInfo
	ops []int // indices of the operations that it computes
	// run computes the step in a.
	run func(a *arena)
	// reads and writes are the buffers that run uses. inplace says that the first of writes may take the place of any of reads.
	reads   []*buffer
	writes  []*buffer
	inplace bool
	shows   []shown
}

// shown is a value that a step leaves in a buffer: its floats, its counts, or the packed signs or bits of it in groups.
type shown struct {
	value  int // index of the value
	buf    *buffer
	groups int // of signs or bits, 0 for floats and counts
}

// plan is how an engine computes an image: steps in order, over an arena of the given extents.
type plan struct {
	steps   []step
	ops     []OpInfo
	extent  [slabs]int // elements of each slab; 0 for the caller's
	scratch int        // elements of the scratch that all steps share
}

func (p *plan) bytes() int64 {
	n := int64(8 * p.scratch)
	for s, e := range p.extent {
		n += int64(e) * int64(elemBytes[s])
	}
	return n
}

func (p *plan) newArena() *arena {
	return &arena{
		floats:  make([]float32, p.extent[floatSlab]),
		counts:  make([]int32, p.extent[countSlab]),
		words:   make([]uint64, p.extent[wordSlab]),
		scratch: make([]uint64, p.scratch),
	}
}

// value is a resolved value of the model with the buffers that hold it.
type value struct {
	artifact.Value
	// buf holds a float or counts map, nil for bits.
	buf *buffer
	// signs are packed forms of the value, [H,W,G,Words(C/G)] for G groups, each with its G. A bits value has all
	// that its consumers want from the start.
	signs []packed
}

type packed struct {
	groups int
	buf    *buffer
}

// planner builds a plan.
type planner struct {
	plan
	model   *artifact.Model
	compose bool    // no step computes more than one operation
	values  []value // 0 is the image, 1+i the result of Ops[i]
	used    []bool  // for each of Ops, whether the logits depend on it
	users   [][]int // for each value the operations that take it, once for each time they do; those not used left out
	chains  []*chain
	alone   []string
}

// newPlan resolves m and plans it. What Resolve accepts, it can plan; sizes and work are bounded by Resolve. With compose
// every operation has a step of its own, of kernels that do nothing else: slower, the same bits, and every value is there.
func newPlan(m *artifact.Model, compose bool) (*plan, error) {
	resolved, err := m.Resolve()
	if err != nil {
		return nil, err
	}
	p := &planner{model: m, compose: compose, values: make([]value, len(resolved))}
	for i, v := range resolved {
		p.values[i].Value = v
	}
	p.values[0].buf = &buffer{slab: imageSlab, n: p.values[0].Len()}
	p.used = p.reachable()
	p.fuse()
	for i, used := range p.used {
		if !used {
			continue
		}
		if c := p.chains[i]; c != nil {
			if c.at == i {
				p.emit(c)
			}
			continue
		}
		op := &m.Ops[i]
		if err := p.compile(op, i+1); err != nil {
			return nil, fmt.Errorf("op %q (%s): %w", op.Name, op.Kind, err)
		}
	}
	p.describe()
	p.allocate()
	return &p.plan, nil
}

// describe lists the operations.
func (p *planner) describe() {
	for i := range p.model.Ops {
		op, v := &p.model.Ops[i], &p.values[i+1]
		p.ops = append(p.ops, OpInfo{Name: op.Name, Kind: op.Kind, H: v.H, W: v.W, C: v.C, Values: v.Kind,
			WeightBytes: opBytes(p.model, op), MACs: p.macs(i), Layer: -1})
	}
	for layer := range p.steps {
		for _, i := range p.steps[layer].ops {
			p.ops[i].Layer = layer
		}
	}
}

// reachable reports for each operation whether the logits depend on it.
func (p *planner) reachable() []bool {
	used := make([]bool, len(p.model.Ops))
	used[len(used)-1] = true
	for i := len(used) - 1; i >= 0; i-- {
		if !used[i] {
			continue
		}
		for _, from := range p.values[i+1].From {
			if from > 0 {
				used[from-1] = true
			}
		}
	}
	return used
}

// output gives value v its buffer: the caller's logits for the last one.
func (p *planner) output(v int) *buffer {
	val := &p.values[v]
	val.buf = &buffer{slab: floatSlab, n: val.Len()}
	switch {
	case val.Kind == artifact.CountsValue:
		val.buf.slab = countSlab
	case v == len(p.values)-1:
		val.buf.slab = logitsSlab
	}
	return val.buf
}

// add appends a step for op that leaves what s.shows.
func (p *planner) add(op *artifact.Op, s step) {
	s.Name, s.Kind = op.Name, op.Kind
	for _, i := range s.ops {
		s.MACs += p.macs(i)
		s.WeightBytes += opBytes(p.model, &p.model.Ops[i])
	}
	for _, r := range s.reads {
		r.last = len(p.steps)
	}
	for _, w := range s.writes {
		w.last = len(p.steps)
	}
	p.steps = append(p.steps, s)
}

// shape says in s that it computes value v as the given kind.
func (s *step) shape(v *value, kind artifact.ValueKind) {
	s.H, s.W, s.C, s.Values = v.H, v.W, v.C, kind
}

// allocate gives every buffer its place.
func (p *planner) allocate() {
	var mem [slabs]memory
	for s := range mem {
		mem[s].line = lineBytes / elemBytes[s]
	}
	for i := range p.steps {
		s := &p.steps[i]
		for n, b := range s.writes {
			if b.slab == logitsSlab {
				continue
			}
			m := &mem[b.slab]
			if old := s.reuse(i); old != nil && n == 0 {
				m.replace(old, b)
			} else {
				m.place(b)
			}
		}
		for _, b := range slices.Concat(s.reads, s.writes) {
			if b.last == i {
				mem[b.slab].release(b)
			}
		}
	}
	for s := range mem {
		p.extent[s] = mem[s].size
	}
}

// reuse returns a buffer whose place the first result of the i-th step s may take, or nil.
func (s *step) reuse(i int) *buffer {
	if !s.inplace {
		return nil
	}
	for _, x := range s.reads {
		if y := s.writes[0]; x.slab == y.slab && x.n == y.n && x.last == i {
			return x
		}
	}
	return nil
}
