package runtime

import (
	"context"
	"fmt"
	"math"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// Traced is the value of one operation for one image, as Trace shows it.
type Traced struct {
	Op   string // name of the operation
	Kind artifact.ValueKind
	// Values is [H,W,C]: floats as they are, counts as floats, bits as -1 and +1. It is valid until visit returns.
	Values []float32
}

// Trace computes one image, src [H,W,C] as for Infer, and calls visit with the value of each operation in the order
// of execution; operations that do not reach the logits have none. It computes operation by operation, nothing fused,
// and then compares what the steps of Info().Layers leave: a bit that differs is an error that names the step, and a fault
// of this package. It is slow and meant for finding where two computations part. An error of visit ends it and is
// returned.
func (e *Engine) Trace(ctx context.Context, src []float32, visit func(Traced) error) error {
	if len(src) != e.image {
		return fmt.Errorf("runtime: the image has %d elements, want %d", len(src), e.image)
	}
	plain, err := newPlan(e.model, true)
	if err != nil {
		return err
	}
	values := make([][]float32, len(e.model.Ops)+1)
	err = e.watch(ctx, plain, src, func(s *step, v shown, got []float32) error {
		values[v.value] = got
		return visit(Traced{Op: e.model.Ops[v.value-1].Name, Kind: s.Values, Values: got})
	})
	if err != nil {
		return err
	}
	return e.watch(ctx, &e.plan, src, func(s *step, v shown, got []float32) error {
		for i, want := range values[v.value] {
			if v.groups > 0 {
				want = negative(want)
			}
			if got := got[i]; math.Float32bits(got) != math.Float32bits(want) && (got == got || want == want) {
				return fmt.Errorf("runtime: op %q: element %d of %q is %v by %q, and %v by its operations alone",
					s.Name, i, e.model.Ops[v.value-1].Name, got, s.Kernel, want)
			}
		}
		return nil
	})
}

// negative returns what the sign bit of v stands for.
func negative(v float32) float32 {
	if v < 0 {
		return -1
	}
	return 1
}

// watch computes one image by p and calls visit with what each step shows, in slices of their own.
func (e *Engine) watch(ctx context.Context, p *plan, src []float32, visit func(s *step, v shown, got []float32) error) error {
	a := p.newArena()
	a.image, a.logits = src, make([]float32, e.classes)
	for i := range p.steps {
		s := &p.steps[i]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("runtime: before op %q: %w", s.Name, err)
		}
		s.run(a)
		for _, v := range s.shows {
			if err := visit(s, v, v.read(a, s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// read returns the value, of the extent of step s, as floats.
func (v shown) read(a *arena, s *step) []float32 {
	out := make([]float32, s.H*s.W*s.C)
	switch {
	case v.groups > 0:
		kernel.UnpackSigns(out, a.word(v.buf), s.H*s.W*v.groups, s.C/v.groups)
	case v.buf.slab == countSlab:
		for i, c := range a.count(v.buf) {
			out[i] = float32(c)
		}
	default:
		copy(out, a.float(v.buf))
	}
	return out
}
