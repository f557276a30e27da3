package runtime

import (
	"context"
	"fmt"

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
// of execution; operations that do not reach the logits have none. It is slow and meant for finding where two
// computations part. An error of visit ends it and is returned.
func (e *Engine) Trace(ctx context.Context, src []float32, visit func(Traced) error) error {
	if len(src) != e.image {
		return fmt.Errorf("runtime: the image has %d elements, want %d", len(src), e.image)
	}
	a := e.borrowArena()
	defer e.returnArena(a)
	a.image, a.logits = src, make([]float32, e.classes)
	for i := range e.plan.steps {
		s := &e.plan.steps[i]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("runtime: before op %q: %w", s.Name, err)
		}
		s.run(a)
		if s.value < 0 {
			continue
		}
		if err := visit(Traced{Op: s.Name, Kind: s.Values, Values: s.trace(a)}); err != nil {
			return err
		}
	}
	return nil
}

// trace returns the step's result as floats.
func (s *step) trace(a *arena) []float32 {
	switch s.Values {
	case artifact.FloatValue:
		return a.float(s.writes)
	case artifact.CountsValue:
		v := make([]float32, s.writes.n)
		for i, c := range a.count(s.writes) {
			v[i] = float32(c)
		}
		return v
	}
	v := make([]float32, s.H*s.W*s.C)
	kernel.UnpackSigns(v, a.word(s.writes), s.H*s.W*s.groups, s.C/s.groups)
	return v
}
