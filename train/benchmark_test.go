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

// TestWork holds what operations say of their work against figures counted by hand.
func TestWork(t *testing.T) {
	const batch = 8
	o := BenchmarkOptions{Net: smallNet(t, 1), Config: Config{Epochs: 1, Batch: batch, LR: 0.1, Momentum: 0.9}.WithDefaults(), Threads: 2, Steps: 2, Peaks: true}
	r, err := Benchmark(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Peaks.GMACs <= 0 || r.Peaks.GBs <= 0 {
		t.Errorf("peaks %+v", r.Peaks)
	}
	// 8x8x3 in, width 4, one block of two layers a stage: 3x3 filters on 8x8x4, 4x4x8 and 2x2x16.
	layers := 2*8*8*4*9*4 + 4*4*8*9*4 + 4*4*8*9*8 + 2*2*16*9*8 + 2*2*16*9*16
	stem := 8 * 8 * 4 * 9 * 3
	want := map[string]int{
		"conv forward": stem, "conv backward": stem, // the image has no gradient
		"block forward": layers, "block backward": 2 * layers,
		"linear forward": 16 * 10, "linear backward": 2 * 16 * 10,
	}
	for _, op := range r.Operations {
		if n, ok := want[op.Name]; ok && op.Work.MACs != int64(2*batch*n) {
			t.Errorf("%s: %d multiply-adds, want %d", op.Name, op.Work.MACs, 2*batch*n)
		}
		delete(want, op.Name)
		if op.Work.Bytes <= 0 {
			t.Errorf("%s moves %d bytes", op.Name, op.Work.Bytes)
		}
		if op.Name == "globalAvgPool forward" && op.Work.Bytes != 2*batch*4*(2*2*16+16) {
			t.Errorf("%s moves %d bytes, want %d", op.Name, op.Work.Bytes, 2*batch*4*(2*2*16+16))
		}
	}
	if len(want) > 0 {
		t.Errorf("no such operations: %v", want)
	}
}
