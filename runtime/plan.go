package runtime

import (
	"fmt"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// step is one call of a kernel.
type step struct {
	LayerInfo
	// run computes the step in a.
	run func(a *arena)
	// reads and writes are the buffers that run uses. inplace says that the result may take the place of any of reads.
	reads   []*buffer
	writes  *buffer
	inplace bool
	// value is the index of the value that the step computes, or -1 for one that packs signs ahead of an operation.
	value int
	// groups is the number of groups in which a bits value is packed.
	groups int
}

// plan is how an engine computes an image: steps in order, over an arena of the given extents.
type plan struct {
	steps   []step
	extent  [slabs]int // elements of each slab; 0 for the caller's
	signs   int        // elements of the scratch of 1-bit convolutions
	patches []int      // elements of the scratch that each float convolution keeps in an arena
}

func (p *plan) bytes() int64 {
	n := int64(0)
	for s, e := range p.extent {
		n += int64(e) * int64(elemBytes[s])
	}
	n += 8 * int64(p.signs)
	for _, e := range p.patches {
		n += 4 * int64(e)
	}
	return n
}

func (p *plan) newArena() *arena {
	a := &arena{
		floats: make([]float32, p.extent[floatSlab]),
		counts: make([]int32, p.extent[countSlab]),
		words:  make([]uint64, p.extent[wordSlab]),
		signs:  make([]uint64, p.signs),
	}
	for _, n := range p.patches {
		a.patches = append(a.patches, make([]float32, n))
	}
	return a
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
	model     *artifact.Model
	values    []value                 // 0 is the image, 1+i the result of Ops[i]
	used      []bool                  // for each of Ops, whether the logits depend on it
	patchesOf map[kernel.Geometry]int // which scratch a float convolution has: those of equal geometry share it
}

// scratchOf returns the index of the scratch for key, which it adds to sizes if it is new; n is its elements, 0 for a
// convolution that needs none.
func scratchOf(of map[kernel.Geometry]int, sizes *[]int, key kernel.Geometry, n int) int {
	i, ok := of[key]
	if !ok {
		i = len(*sizes)
		of[key] = i
		*sizes = append(*sizes, 0)
	}
	(*sizes)[i] = max((*sizes)[i], n)
	return i
}

// newPlan resolves m and plans it. What Resolve accepts, it can plan; sizes and work are bounded by Resolve.
func newPlan(m *artifact.Model) (*plan, error) {
	resolved, err := m.Resolve()
	if err != nil {
		return nil, err
	}
	p := &planner{model: m, values: make([]value, len(resolved)), patchesOf: map[kernel.Geometry]int{}}
	for i, v := range resolved {
		p.values[i].Value = v
	}
	p.values[0].buf = &buffer{slab: imageSlab, n: p.values[0].Len()}
	p.used = p.reachable()
	for i, used := range p.used {
		if !used {
			continue
		}
		op := &m.Ops[i]
		if err := p.compile(op, i+1); err != nil {
			return nil, fmt.Errorf("op %q (%s): %w", op.Name, op.Kind, err)
		}
	}
	p.allocate()
	return &p.plan, nil
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

// add appends a step for op that computes value v (or -1).
func (p *planner) add(op *artifact.Op, v int, s step) {
	s.Name, s.Kind, s.value = op.Name, op.Kind, v
	if v >= 0 {
		val := &p.values[v].Value
		s.H, s.W, s.C, s.Values = val.H, val.W, val.C, val.Kind
	}
	for _, r := range s.reads {
		r.last = len(p.steps)
	}
	s.writes.last = len(p.steps)
	p.steps = append(p.steps, s)
}

// allocate gives every buffer its place.
func (p *planner) allocate() {
	var mem [slabs]memory
	for s := range mem {
		mem[s].line = lineBytes / elemBytes[s]
	}
	for i := range p.steps {
		s := &p.steps[i]
		if s.writes.slab != logitsSlab {
			m := &mem[s.writes.slab]
			if old := s.reuse(i); old != nil {
				m.replace(old, s.writes)
			} else {
				m.place(s.writes)
			}
		}
		for _, b := range append(s.reads, s.writes) {
			if b.last == i {
				mem[b.slab].release(b)
			}
		}
	}
	for s := range mem {
		p.extent[s] = mem[s].size
	}
}

// reuse returns a buffer whose place the result of the i-th step s may take, or nil.
func (s *step) reuse(i int) *buffer {
	if !s.inplace {
		return nil
	}
	for _, x := range s.reads {
		if x.slab == s.writes.slab && x.n == s.writes.n && x.last == i {
			return x
		}
	}
	return nil
}
