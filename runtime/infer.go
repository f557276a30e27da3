package runtime

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	goruntime "runtime"
)

// Infer computes the logits of images: src is [N,H,W,C] float32, row-major, normalised as Info().Preprocess says, and
// dst is [N,classes]. N follows from the lengths and may be 0. dst must not overlap src.
//
// Wrong lengths are an error, and so is the end of ctx, which is looked at before every step of the plan; dst is then
// not to be used. Infer may be called by many goroutines at once, each with its own dst.
func (e *Engine) Infer(ctx context.Context, dst, src []float32) error {
	n := len(src) / e.image
	if n*e.image != len(src) {
		return fmt.Errorf("runtime: the images have %d elements in all, want a multiple of %dx%dx%d = %d",
			len(src), e.info.H, e.info.W, e.info.C, e.image)
	}
	if len(dst) != n*e.classes {
		return fmt.Errorf("runtime: room for %d logits, want %d: %d images of %d classes", len(dst), n*e.classes, n, e.classes)
	}
	c := e.borrowCall()
	defer e.returnCall(c)
	c.ctx, c.dst, c.src, c.images = ctx, dst, src, int64(n)
	for range min(e.threads, n) - 1 {
		c.wg.Add(1)
		go c.help()
	}
	c.compute()
	c.wg.Wait()
	return c.err
}

// call is the state of one Infer. Goroutines take the images from it one by one.
type call struct {
	engine   *Engine
	ctx      context.Context
	dst, src []float32
	images   int64
	next     atomic.Int64 // first image that nobody has taken
	wg       sync.WaitGroup
	help     func() // compute and wg.Done, bound once so that a go statement allocates nothing

	mu  sync.Mutex
	err error // the first
}

// compute computes images until none is left or one fails.
func (c *call) compute() {
	e := c.engine
	a := e.borrowArena()
	defer e.returnArena(a)
	for {
		i := c.next.Add(1) - 1
		if i >= c.images {
			return
		}
		a.image = c.src[int(i)*e.image : int(i+1)*e.image]
		a.logits = c.dst[int(i)*e.classes : int(i+1)*e.classes]
		if err := e.plan.run(c.ctx, a); err != nil {
			c.next.Store(c.images)
			c.mu.Lock()
			if c.err == nil {
				c.err = fmt.Errorf("runtime: image %d of %d: %w", i, c.images, err)
			}
			c.mu.Unlock()
			return
		}
	}
}

// run computes one image.
func (p *plan) run(ctx context.Context, a *arena) error {
	for i := range p.steps {
		s := &p.steps[i]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("before op %q: %w", s.Name, err)
		}
		s.run(a)
	}
	return nil
}

// Idle calls and arenas wait in lists. A sync.Pool would lose them at every garbage collection.

func (e *Engine) borrowCall() *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.calls); n > 0 {
		c := e.calls[n-1]
		e.calls = e.calls[:n-1]
		return c
	}
	c := &call{engine: e}
	c.help = func() {
		defer c.wg.Done()
		c.compute()
	}
	return c
}

func (e *Engine) returnCall(c *call) {
	c.ctx, c.dst, c.src, c.err = nil, nil, nil, nil
	c.next.Store(0)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.calls) < e.idle() {
		e.calls = append(e.calls, c)
	}
}

func (e *Engine) borrowArena() *arena {
	e.mu.Lock()
	if n := len(e.arenas); n > 0 {
		a := e.arenas[n-1]
		e.arenas = e.arenas[:n-1]
		e.mu.Unlock()
		return a
	}
	e.mu.Unlock()
	return e.plan.newArena()
}

func (e *Engine) returnArena(a *arena) {
	a.image, a.logits = nil, nil
	clear(a.list)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.arenas) < e.idle() {
		e.arenas = append(e.arenas, a)
	}
}

// idle is how many idle arenas, and calls, are kept: as many as can be busy at once.
func (e *Engine) idle() int { return max(e.threads, goruntime.GOMAXPROCS(0)) }
