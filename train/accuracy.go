package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/internal/accuracy"
)

// Accuracy is the result of an evaluation.
type Accuracy struct {
	Images     int
	Loss       float64 // mean cross-entropy
	Top1, Top5 float64 // percent
}

// Evaluate computes the accuracy over the batches of a loader, in order; limit bounds their number, 0 for all. After
// each batch it calls progress, if not nil, with the images done. The loader's batches may not exceed the evaluator's.
func (e *Evaluator) Evaluate(ctx context.Context, l *datasets.Loader, limit int, progress func(images int)) (Accuracy, error) {
	stream := l.Epoch(ctx, 0, 0)
	defer stream.Close()
	var a Accuracy
	var loss float64
	var tally accuracy.Tally
	for batches := 0; limit == 0 || batches < limit; batches++ {
		b, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Accuracy{}, err
		}
		if b.N > e.m.capacity {
			return Accuracy{}, fmt.Errorf("train: a batch of %d images for an evaluator of %d", b.N, e.m.capacity)
		}
		copy(e.images, b.Images[:b.N*e.net.Input.Len()])
		if err := e.run(b.N); err != nil {
			return Accuracy{}, err
		}
		for i := range b.N {
			logits, label := e.logits[i*e.classes:(i+1)*e.classes], int(b.Labels[i])
			loss += crossEntropyOf(logits, label)
			tally.Add(logits, label)
		}
		a.Images += b.N
		if progress != nil {
			progress(a.Images)
		}
	}
	if a.Images == 0 {
		return a, errors.New("train: no images to evaluate")
	}
	a.Loss = loss / float64(a.Images)
	a.Top1, a.Top5 = tally.Top1(), tally.Top5()
	return a, nil
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }

// crossEntropyOf is -log softmax(logits)[label].
func crossEntropyOf(logits []float32, label int) float64 {
	top := float64(logits[accuracy.Best(logits)])
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	return math.Log(sum) + top - float64(logits[label])
}
