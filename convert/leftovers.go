package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/model"
)

// Leftovers says how the artifact holds what is neither bits nor integers: scales, biases, slopes and the weights of float
// layers.
type Leftovers string

// The ways. Any but Float32 needs Options.Score.
const (
	// Float32, the default, changes nothing: the artifact computes the oracle's logits bit for bit.
	Float32 Leftovers = "float32"
	// Half holds each tensor in the 16-bit format, IEEE half or bfloat16, that has the smaller error.
	Half Leftovers = "16"
	// Byte holds each tensor in 8-bit integers times a step.
	Byte Leftovers = "8"
	// Auto is Byte where the test set is large enough to measure what is allowed, else Float32. That a tensor needs
	// more than 8 bits is no fallback, as it is with Byte.
	Auto Leftovers = "auto"
)

// MaxAccuracyDiff is how many percentage points the accuracy may differ from that with float32 leftovers, up or down.
const MaxAccuracyDiff = 0.1

// autoImages is the number of images from which one is no more than MaxAccuracyDiff.
const autoImages = 1000

// Accuracy is what Options.Score has counted.
type Accuracy struct {
	Images           int
	Float32, Reduced int // correct ones, with float32 leftovers and with those of the artifact
}

// Diff returns by how many percentage points the reduced leftovers change the accuracy.
func (a *Accuracy) Diff() float64 { return 100 * float64(a.Reduced-a.Float32) / float64(a.Images) }

// allowed reports whether the difference is at most MaxAccuracyDiff, in integers.
func (a *Accuracy) allowed() bool {
	return max(a.Reduced-a.Float32, a.Float32-a.Reduced)*autoImages <= a.Images
}

// reducer finds codings of a model's floats with which it is as accurate as before.
type reducer struct {
	model *artifact.Model
	score func(*artifact.Model) (correct, images int, err error)
	names []string // of the tensors of floats, sorted
	// codings are the choices for each, narrowest first, the last one artifact.AsFloat32, and level the present one.
	codings map[string][]artifact.Coding
	level   map[string]int
	// rounding is which of several roundings is used, 0 the nearest.
	rounding int
}

// leftovers is what came of Options.Leftovers.
type leftovers struct {
	accuracy *Accuracy
	note     string   // why nothing was reduced, though it was asked for
	wide     []string // tensors that have more bits than was asked for
}

// leftovers sets s.reduced. Before anything is reduced, the model is compared with the oracle on images, on which the
// damage of single tensors is measured too.
func (o *Options) leftovers(ctx context.Context, s *stages, f *model.Frozen, g *graph, images [][]float32) (*leftovers, error) {
	switch {
	case o.Leftovers == Float32:
		return &leftovers{}, nil
	case o.Score == nil:
		return &leftovers{note: "there is no test set to verify the accuracy on"}, nil
	}
	e, err := runtime.New(s.packed, runtime.Options{Threads: 1})
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	if _, err := verify(ctx, e, f, g, images, o.Tolerance); err != nil {
		return nil, err
	}
	r := newReducer(ctx, s.packed, o)
	a := new(Accuracy)
	if a.Float32, a.Images, err = r.score(s.packed); err != nil {
		return nil, fmt.Errorf("convert: the accuracy with float32 leftovers: %w", err)
	}
	switch {
	case a.Images == 0:
		return nil, errors.New("convert: the test set, which reduced leftovers are verified on, has no images")
	case o.Leftovers == Auto && a.Images < autoImages:
		return &leftovers{note: fmt.Sprintf("%d test images are too few to measure %v points", a.Images, MaxAccuracyDiff)}, nil
	}
	if s.reduced, err = r.reduce(ctx, a, images); err != nil {
		return nil, err
	}
	return &leftovers{accuracy: a, wide: r.wide(o.Leftovers)}, nil
}

func newReducer(ctx context.Context, m *artifact.Model, o *Options) *reducer {
	r := &reducer{model: m, codings: make(map[string][]artifact.Coding), level: make(map[string]int)}
	r.score = func(m *artifact.Model) (int, int, error) {
		e, err := runtime.New(m, runtime.Options{})
		if err != nil {
			return 0, 0, err
		}
		return o.Score(ctx, e)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tensors)) {
		if t := m.Tensors[name]; t.Float32 != nil {
			r.names = append(r.names, name)
			r.codings[name] = choices(&t, o.Leftovers)
		}
	}
	return r
}

// roundings is how many roundings are tried before tensors are widened.
const roundings = 4

// reduce returns the model with narrow codings, widened in ever larger steps until the accuracy, which it counts in a, is
// what is allowed.
//
// A changed scale flips the signs of values near 0 and these flip others behind them, so that any rounding, to 16 bits too,
// changes the class of some percent of the images: as many become right as become wrong, but for chance. So another
// rounding helps as much as a finer one.
func (r *reducer) reduce(ctx context.Context, a *Accuracy, images [][]float32) (*artifact.Model, error) {
	var steps []string
	for batch := 1; ; batch *= 2 {
		for r.rounding = range roundings {
			reduced, err := r.apply()
			if err != nil {
				return nil, err
			}
			if a.Reduced, _, err = r.score(reduced); err != nil {
				return nil, fmt.Errorf("convert: the accuracy with reduced leftovers: %w", err)
			}
			if a.allowed() {
				return reduced, nil
			}
			if r.exact() {
				break
			}
		}
		var err error
		if steps == nil {
			if steps, err = r.steps(ctx, images); err != nil {
				return nil, err
			}
		}
		if len(steps) == 0 { // all are float32 again
			return nil, fmt.Errorf("convert: the same network has %d and then %d correct images of %d", a.Float32, a.Reduced, a.Images)
		}
		batch = min(batch, len(steps))
		for _, name := range steps[:batch] {
			r.level[name]++
		}
		steps = steps[batch:]
	}
}

// choices returns the codings that can hold t, narrowest first.
func choices(t *artifact.Tensor, l Leftovers) []artifact.Coding {
	half := artifact.AsFloat16
	if recodeError(t, artifact.AsBFloat16) < recodeError(t, half) {
		half = artifact.AsBFloat16
	}
	var list []artifact.Coding
	for _, c := range []artifact.Coding{artifact.AsInt8, half} {
		if _, err := t.Recode(c); err == nil && (c != artifact.AsInt8 || l != Half) {
			list = append(list, c)
		}
	}
	return append(list, artifact.AsFloat32)
}

// recodeError returns the sum of the squared errors of t's elements in a coding, or infinity if it cannot hold them.
func recodeError(t *artifact.Tensor, c artifact.Coding) float64 {
	coded, err := t.Recode(c)
	if err != nil {
		return math.Inf(1)
	}
	sum := 0.0
	for i, x := range t.Float32 {
		d := float64(coded.Float32[i]) - float64(x)
		sum += d * d
	}
	return sum
}

// apply returns the model with each tensor in its present coding, rounded as r.rounding says: other steps in 8 bits, and in 16
// bits the other format for one tensor of four, another one each time.
func (r *reducer) apply() (*artifact.Model, error) {
	m := withTensors(r.model)
	for i, name := range r.names {
		t := m.Tensors[name]
		c := r.codings[name][r.level[name]]
		coded, err := t.Recode(c)
		switch {
		case err != nil || r.rounding == 0:
		case c == artifact.AsInt8:
			coded, err = t.RecodeInt8(r.rounding)
		case c != artifact.AsFloat32 && i%roundings == r.rounding:
			if other, otherErr := t.Recode(otherHalf(c)); otherErr == nil {
				coded = other
			}
		}
		if err != nil {
			return nil, fmt.Errorf("convert: tensor %q: %w", name, err)
		}
		m.Tensors[name] = coded
	}
	return m, nil
}

// otherHalf returns the other coding in 16 bits.
func otherHalf(c artifact.Coding) artifact.Coding {
	if c == artifact.AsFloat16 {
		return artifact.AsBFloat16
	}
	return artifact.AsFloat16
}

// exact reports whether all tensors are held in 32 bits at present.
func (r *reducer) exact() bool {
	return !slices.ContainsFunc(r.names, func(name string) bool { return r.codings[name][r.level[name]] != artifact.AsFloat32 })
}

// withTensors returns a copy of m whose Tensors can be replaced.
func withTensors(m *artifact.Model) *artifact.Model {
	c := *m
	c.Tensors = maps.Clone(m.Tensors)
	return &c
}

// recode gives a tensor of m another coding.
func recode(m *artifact.Model, name string, c artifact.Coding) error {
	t := m.Tensors[name]
	coded, err := t.Recode(c)
	if err != nil {
		return fmt.Errorf("convert: tensor %q: %w", name, err)
	}
	m.Tensors[name] = coded
	return nil
}

// steps returns the tensors in the order in which they get their next wider coding: those first that change the logits of
// images most, each alone in its narrowest coding; a tensor's second time comes after all others' first.
func (r *reducer) steps(ctx context.Context, images [][]float32) ([]string, error) {
	reference, err := logits(ctx, r.model, images)
	if err != nil {
		return nil, err
	}
	damage := make(map[string]float64, len(r.names))
	for _, name := range r.names {
		m := withTensors(r.model)
		if err := recode(m, name, r.codings[name][0]); err != nil {
			return nil, err
		}
		got, err := logits(ctx, m, images)
		if err != nil {
			return nil, err
		}
		for i, x := range got {
			d := float64(x) - float64(reference[i])
			damage[name] += d * d
		}
	}
	order := slices.Clone(r.names)
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(damage[b], damage[a]) })
	steps := []string{}
	for round := 1; ; round++ {
		before := len(steps)
		for _, name := range order {
			if round < len(r.codings[name]) {
				steps = append(steps, name)
			}
		}
		if len(steps) == before {
			return steps, nil
		}
	}
}

// wide returns the tensors that have more bits than l asks for.
func (r *reducer) wide(l Leftovers) []string {
	var list []string
	for _, name := range r.names {
		c := r.codings[name][r.level[name]]
		if l == Byte && c != artifact.AsInt8 || l == Half && c == artifact.AsFloat32 {
			list = append(list, name)
		}
	}
	return list
}

// logits returns the logits of images, one after the other.
func logits(ctx context.Context, m *artifact.Model, images [][]float32) ([]float32, error) {
	e, err := runtime.New(m, runtime.Options{})
	if err != nil {
		return nil, err
	}
	dst := make([]float32, len(images)*len(m.Classes))
	return dst, e.Infer(ctx, dst, slices.Concat(images...))
}
