package runtime

import (
	"context"
	"fmt"
	"time"
)

// Profile computes one image, src [H,W,C] as for Infer, in the calling goroutine, and writes to dst how long each step of
// the plan took, in the order of Info().Layers. The times include that of reading the clock, some 50 ns a step. Wrong
// lengths are an error, and so is the end of ctx.
func (e *Engine) Profile(ctx context.Context, dst []time.Duration, src []float32) error {
	if len(src) != e.image {
		return fmt.Errorf("runtime: the image has %d elements, want %d", len(src), e.image)
	}
	if len(dst) != len(e.plan.steps) {
		return fmt.Errorf("runtime: room for the times of %d layers, want %d", len(dst), len(e.plan.steps))
	}
	a := e.borrowArena()
	defer e.returnArena(a)
	a.image, a.logits = src, make([]float32, e.classes)
	begin := time.Now()
	for i := range e.plan.steps {
		s := &e.plan.steps[i]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("runtime: before op %q: %w", s.Name, err)
		}
		s.run(a)
		end := time.Now()
		dst[i], begin = end.Sub(begin), end
	}
	return nil
}
