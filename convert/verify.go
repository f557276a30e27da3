package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	goruntime "runtime"
	"sync"
	"sync/atomic"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/model"
)

// verify computes images on the engine and by the oracle and returns the largest difference of a logit. A difference
// above tolerance is an error that names the first layer where the two part.
func verify(ctx context.Context, e *runtime.Engine, f *model.Frozen, g *graph, images [][]float32, tolerance float64) (float64, error) {
	diffs := make([]float64, len(images))
	err := parallel(ctx, len(images), func(i int) error {
		want, err := f.Forward(images[i])
		if err != nil {
			return fmt.Errorf("convert: image %d: %w", i, err)
		}
		got := make([]float32, len(want))
		if err := e.Infer(ctx, got, images[i]); err != nil {
			return err
		}
		at := 0
		if at, diffs[i] = furthest(got, want); diffs[i] <= tolerance {
			return nil
		}
		return fmt.Errorf("convert: image %d: logit %d is %v, the oracle says %v (largest difference allowed: %g): %s",
			i, at, got[at], want[at], tolerance, firstDifference(ctx, e, f, g, images[i]))
	})
	largest := 0.0
	for _, d := range diffs {
		largest = max(largest, d)
	}
	return largest, err
}

// furthest returns the index and size of the largest difference between two vectors of one length. Where only one
// has a NaN the difference is infinite, where both have there is none.
func furthest(a, b []float32) (index int, diff float64) {
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		nanA, nanB := a[i] != a[i], b[i] != b[i]
		switch {
		case a[i] == b[i], nanA && nanB:
			d = 0
		case nanA || nanB:
			d = math.Inf(1)
		}
		if d > diff {
			index, diff = i, d
		}
	}
	return index, diff
}

// errFound ends a trace.
var errFound = errors.New("found")

// firstDifference says in which layer the engine and the oracle part first.
func firstDifference(ctx context.Context, e *runtime.Engine, f *model.Frozen, g *graph, image []float32) string {
	text := "no layer differs by itself"
	err := compareLayers(ctx, e, f, g, image, func(op string, layer int, got, want []float32) error {
		i, d := furthest(got, want)
		if d == 0 {
			return nil
		}
		text = fmt.Sprintf("the first layer to differ is %q (%s): value %d is %v, the oracle says %v", f.Nodes[layer].Name, op, i, got[i], want[i])
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return err.Error()
	}
	return text
}

// layerDiffs sets the largest difference of each layer over images.
func (r *Report) layerDiffs(ctx context.Context, e *runtime.Engine, f *model.Frozen, g *graph, images [][]float32) error {
	var mu sync.Mutex
	return parallel(ctx, len(images), func(i int) error {
		return compareLayers(ctx, e, f, g, images[i], func(_ string, layer int, got, want []float32) error {
			_, d := furthest(got, want)
			mu.Lock()
			defer mu.Unlock()
			r.Layers[layer].MaxDiff = max(r.Layers[layer].MaxDiff, d)
			return nil
		})
	})
}

// compareLayers calls visit with the values of each layer that the engine computes, as the engine and as the oracle have
// them, or with their signs where the engine has those.
func compareLayers(ctx context.Context, e *runtime.Engine, f *model.Frozen, g *graph, image []float32,
	visit func(op string, layer int, got, want []float32) error) error {
	layers := make([][]float32, len(f.Nodes))
	if err := f.Trace(image, func(layer int, out []float32) { layers[layer] = out }); err != nil {
		return err
	}
	shows := make(map[string]int, len(g.nodes))
	for _, n := range g.nodes {
		shows[n.op.Name] = n.shows
	}
	return e.Trace(ctx, image, func(t runtime.Traced) error {
		layer := shows[t.Op]
		if layer < 0 {
			return nil
		}
		want := layers[layer]
		if t.Kind == artifact.BitsValue {
			want = signs(want)
		}
		if len(want) != len(t.Values) {
			return fmt.Errorf("convert: layer %q has %d values, the oracle %d", f.Nodes[layer].Name, len(t.Values), len(want))
		}
		return visit(t.Op, layer, t.Values, want)
	})
}

func signs(v []float32) []float32 {
	s := make([]float32, len(v))
	for i, x := range v {
		if s[i] = 1; x < 0 {
			s[i] = -1
		}
	}
	return s
}

// randomImages returns n images of standard normal values, the same ones every time.
func randomImages(n, size int) [][]float32 {
	images := make([][]float32, n)
	for i := range images {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		images[i] = make([]float32, size)
		for j := range images[i] {
			images[i][j] = float32(rng.NormFloat64())
		}
	}
	return images
}

// parallel calls f(0) to f(n-1) on all processors until ctx ends or one fails, and returns the error of the lowest index.
func parallel(ctx context.Context, n int, f func(i int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range min(n, goruntime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = ctx.Err(); errs[i] == nil {
					errs[i] = f(i)
				}
				if errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
