package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bnntool/bnntool/train/model"
)

// BenchmarkOptions say what Benchmark times.
type BenchmarkOptions struct {
	Net     *model.Net
	Config  Config // with defaults, validated; Batch is the number of images of a step
	Threads int    // 0 for one a core
	Warmup  int    // steps that do not count
	Steps   int    // steps that do, at least 1
	Peaks   bool   // measure the machine's as well
}

// BenchmarkResult is what Benchmark measured.
type BenchmarkResult struct {
	Threads int
	Step    time.Duration // the median step
	Steps   []time.Duration
	// Operations is the time in each kind of operation over all counted steps, the longest first. What is left of the
	// steps is the solver's and the tape machine's.
	Operations []OperationTime
	Peaks      Peaks // with Options.Peaks
}

// OperationTime is the time spent in one kind of operation, and what it did in that.
type OperationTime struct {
	Name  string // "block forward"
	Calls int
	Time  time.Duration
	Work  Work
}

// GMACs returns 10⁹ multiply-adds a second.
func (t OperationTime) GMACs() float64 { return float64(t.Work.MACs) / float64(max(1, t.Time)) }

// GBs returns 10⁹ bytes a second.
func (t OperationTime) GBs() float64 { return float64(t.Work.Bytes) / float64(max(1, t.Time)) }

// ImagesPerSecond returns the speed at the median step.
func (r *BenchmarkResult) ImagesPerSecond(batch int) float64 {
	return float64(batch) / r.Step.Seconds()
}

// Benchmark times training steps (forward, cross-entropy, backward, solver) on one fixed random batch, without data
// loading.
func Benchmark(ctx context.Context, o BenchmarkOptions) (*BenchmarkResult, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Steps < 1 || o.Warmup < 0 {
		return nil, fmt.Errorf("train: %d steps after %d to warm up, want at least 1 after at least 0", o.Steps, o.Warmup)
	}
	classes, err := o.Net.Classes()
	if err != nil {
		return nil, err
	}
	w, err := o.Net.InitWeights(o.Config.Seed)
	if err != nil {
		return nil, err
	}
	if o.Threads < 1 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	pool := newWorkers(o.Threads)
	defer pool.close()
	g, err := newTrainGraph(o.Net, w, graphOptions{batch: o.Config.Batch, smoothing: o.Config.LabelSmoothing}, pool)
	if err != nil {
		return nil, err
	}
	defer g.close()
	solver, err := NewSolver(o.Config, g.sizes())
	if err != nil {
		return nil, err
	}
	solver.SetLearnRate(o.Config.LR)
	g.m.tau = o.Config.TauMin
	rng := rand.New(rand.NewPCG(o.Config.Seed, 0))
	for i := range g.images {
		g.images[i] = float32(rng.NormFloat64())
	}
	for i := range g.labels {
		g.labels[i] = float32(rng.IntN(classes))
	}
	r := &BenchmarkResult{Threads: pool.n}
	values := g.values()
	for i := -o.Warmup; i < o.Steps; i++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if i == 0 {
			g.m.times = map[string]*OperationTime{}
		}
		start := time.Now()
		_, err := g.step(o.Config.Batch)
		if err = errors.Join(err, solver.Step(values)); err != nil {
			return nil, err
		}
		if i >= 0 {
			r.Steps = append(r.Steps, time.Since(start))
		}
	}
	if o.Peaks {
		r.Peaks = measurePeaks(pool)
	}
	sorted := slices.Sorted(slices.Values(r.Steps))
	r.Step = sorted[len(sorted)/2]
	for _, t := range g.m.times {
		r.Operations = append(r.Operations, *t)
	}
	slices.SortFunc(r.Operations, func(a, b OperationTime) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), strings.Compare(a.Name, b.Name))
	})
	return r, nil
}

// begin returns the time if the machine keeps times of operations, else zero.
func (m *machine) begin() time.Time {
	if m.times == nil {
		return time.Time{}
	}
	return time.Now()
}

// end adds the time since begin, and the work, to those of a kind of operation.
func (m *machine) end(begin time.Time, op *graphOp, backward bool) {
	if m.times == nil {
		return
	}
	took, direction := time.Since(begin), " forward"
	if backward {
		direction = " backward"
	}
	name := strings.TrimPrefix(fmt.Sprintf("%T", op.op), "*train.") + direction
	t := m.times[name]
	if t == nil {
		t = &OperationTime{Name: name}
		m.times[name] = t
	}
	w := op.work(backward)
	t.Calls++
	t.Time += took
	t.Work.MACs += w.MACs
	t.Work.Bytes += w.Bytes
}
