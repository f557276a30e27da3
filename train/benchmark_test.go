package train

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestBenchmark(t *testing.T) {
	o := BenchmarkOptions{Net: smallNet(t, 2), Config: Config{Epochs: 1, Batch: 8, LR: 0.1, Momentum: 0.9}.WithDefaults(), Threads: 2, Warmup: 1, Steps: 3}
	r, err := Benchmark(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Steps) != 3 || r.Step <= 0 || r.Threads != 2 || r.ImagesPerSecond(8) != 8/r.Step.Seconds() {
		t.Errorf("result %+v", r)
	}
	calls, total := map[string]int{}, time.Duration(0)
	for _, op := range r.Operations {
		calls[op.Name] = op.Calls
		total += op.Time
	}
	// Six blocks in three steps; the step to warm up does not count.
	for name, want := range map[string]int{"block forward": 18, "block backward": 18, "recuWeight forward": 18, "linear backward": 3, "crossEntropy forward": 3} {
		if calls[name] != want {
			t.Errorf("%d calls of %q, want %d", calls[name], name, want)
		}
	}
	var steps time.Duration
	for _, s := range r.Steps {
		steps += s
	}
	if total > steps {
		t.Errorf("operations took %v of %v", total, steps)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Benchmark(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want a cancellation", err)
	}
	o.Steps = 0
	if _, err := Benchmark(context.Background(), o); err == nil {
		t.Error("no error for 0 steps")
	}
}
