package runtime

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"math"
	"slices"
)

// Prediction is one class of a picture.
type Prediction struct {
	Class       int     // index in Info().Classes
	Name        string  // Info().Classes[Class]
	Probability float64 // softmax of the logits, 0..1
}

// Classify computes the k most probable classes of a picture of any size, in falling order; classes of the same
// probability come in their own order. The picture becomes the network's input as the artifact says (Info().Preprocess).
// It returns fewer than k where the network has fewer classes. k below 1, a picture that preprocessing refuses, logits
// that are not finite and the end of ctx are errors.
func (e *Engine) Classify(ctx context.Context, img image.Image, k int) ([]Prediction, error) {
	if k < 1 {
		return nil, fmt.Errorf("runtime: the %d most probable classes asked for, want at least 1", k)
	}
	pixels := make([]byte, e.image)
	if err := e.info.Preprocess.Pixels(pixels, img); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	input := make([]float32, e.image)
	e.info.Preprocess.Normalize(input, pixels)
	logits := make([]float32, e.classes)
	if err := e.Infer(ctx, logits, input); err != nil {
		return nil, err
	}
	for i, v := range logits {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("runtime: network %q: the logit of class %q is %v", e.info.Name, e.info.Classes[i], v)
		}
	}
	return top(Softmax(logits), e.info.Classes, k), nil
}

// Softmax returns exp(x_i) / Σ exp(x_j) of finite logits, computed in float64.
func Softmax(logits []float32) []float64 {
	p := make([]float64, len(logits))
	if len(p) == 0 {
		return p
	}
	largest, sum := float64(slices.Max(logits)), 0.0
	for i, v := range logits {
		p[i] = math.Exp(float64(v) - largest)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

func top(p []float64, names []string, k int) []Prediction {
	list := make([]Prediction, len(p))
	for i, v := range p {
		list[i] = Prediction{Class: i, Name: names[i], Probability: v}
	}
	slices.SortStableFunc(list, func(a, b Prediction) int { return cmp.Compare(b.Probability, a.Probability) })
	return list[:min(k, len(list))]
}
