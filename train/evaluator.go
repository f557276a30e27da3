package train

import (
	"fmt"

	"github.com/bnntool/bnntool/train/model"
	G "gorgonia.org/gorgonia"
)

// Evaluator runs a network's evaluation graph. Its results are those of model.Frozen's Forward, bit for bit. It is not
// safe for concurrent use.
type Evaluator struct {
	net     *model.Net
	frozen  *model.Frozen
	m       *machine
	vm      G.VM
	pool    *workers
	ownPool bool
	images  []float32 // [B,H,W,C]
	logits  []float32 // [B,classes]
	classes int
}

// NewEvaluator builds the evaluation graph of net for batches of the given number of images, on the given number of
// threads. The weights are frozen at once: later changes reach the evaluator by Update.
func NewEvaluator(net *model.Net, w model.Weights, batch, threads int) (*Evaluator, error) {
	pool := newWorkers(threads)
	e, err := newEvaluator(net, w, batch, pool)
	if err != nil {
		pool.close()
		return nil, err
	}
	e.ownPool = true
	return e, nil
}

func newEvaluator(net *model.Net, w model.Weights, batch int, pool *workers) (*Evaluator, error) {
	classes, err := net.Classes()
	if err != nil {
		return nil, err
	}
	e := &Evaluator{net: net, pool: pool, images: make([]float32, batch*net.Input.Len()), classes: classes}
	if err := e.Update(w); err != nil {
		return nil, err
	}
	b, err := newGraphBuilder(net, w, graphOptions{batch: batch}, pool)
	if err != nil {
		return nil, err
	}
	b.frozen = &e.frozen
	if err := b.layers(e.images); err != nil {
		return nil, err
	}
	e.m, e.logits = b.m, b.values[len(b.values)-1].Op().(*graphOp).y
	e.vm = G.NewTapeMachine(b.g, G.EvalMode())
	return e, nil
}

// Update takes over new weights.
func (e *Evaluator) Update(w model.Weights) error {
	f, err := model.Freeze(e.net, w)
	if err != nil {
		return err
	}
	e.frozen = f
	return nil
}

// Close releases the graph and its threads.
func (e *Evaluator) Close() error {
	err := e.vm.Close()
	if e.ownPool {
		e.pool.close()
	}
	return err
}

// Logits returns the logits [n,classes] of the images [n,H,W,C], normalised as in training.
func (e *Evaluator) Logits(images []float32) ([]float32, error) {
	size := e.net.Input.Len()
	if len(images)%size != 0 {
		return nil, fmt.Errorf("train: %d values are no whole number of %v images", len(images), e.net.Input)
	}
	out := make([]float32, 0, len(images)/size*e.classes)
	for len(images) > 0 {
		n := min(len(images)/size, e.m.capacity)
		copy(e.images, images[:n*size])
		if err := e.run(n); err != nil {
			return nil, err
		}
		out = append(out, e.logits[:n*e.classes]...)
		images = images[n*size:]
	}
	return out, nil
}

// run computes the logits of the first n images of the buffer.
func (e *Evaluator) run(n int) error {
	e.m.images = n
	e.vm.Reset()
	if err := e.vm.RunAll(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}
