package runtime_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bnntool/bnntool/runtime"
)

func TestInferThreads(t *testing.T) {
	m := randomModel(5, 25)
	src := images(m, 13)
	want := infer(t, mustNew(t, m, runtime.Options{Threads: 1}), src)
	for _, threads := range []int{0, 2, 3, 8, 40} {
		if got := infer(t, mustNew(t, m, runtime.Options{Threads: threads}), src); !slices.Equal(got, want) {
			t.Errorf("%d threads: got %v, want %v", threads, got, want)
		}
	}
	e, size, classes := mustNew(t, m, runtime.Options{}), len(src)/13, len(m.Classes)
	for i := range 13 {
		if got := infer(t, e, src[i*size:(i+1)*size]); !slices.Equal(got, want[i*classes:(i+1)*classes]) {
			t.Errorf("image %d alone: got %v, want %v as in the batch", i, got, want[i*classes:(i+1)*classes])
		}
	}
}

func TestInferConcurrently(t *testing.T) {
	m := randomModel(6, 25)
	e := mustNew(t, m, runtime.Options{Threads: 2})
	src := images(m, 5)
	want := infer(t, e, src)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dst := make([]float32, len(want))
			for range 10 {
				clear(dst)
				if err := e.Infer(context.Background(), dst, src); err != nil {
					t.Error(err)
				}
				if !slices.Equal(dst, want) {
					t.Errorf("beside others: got %v, want %v", dst, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestInferAllocatesNothing(t *testing.T) {
	m := randomModel(8, 25)
	for _, tt := range []struct{ threads, images int }{{1, 1}, {4, 1}, {1, 6}, {3, 6}} {
		e := mustNew(t, m, runtime.Options{Threads: tt.threads})
		src := images(m, tt.images)
		dst := infer(t, e, src)
		allocs := testing.AllocsPerRun(50, func() {
			if err := e.Infer(context.Background(), dst, src); err != nil {
				t.Fatal(err)
			}
		})
		// Runs in which more threads than before overlap make an arena; over 50 runs these round down to none.
		if allocs > 0 {
			t.Errorf("%d threads, %d images: %v allocations per call, want 0", tt.threads, tt.images, allocs)
		}
	}
}

func TestInferLengths(t *testing.T) {
	m := randomModel(5, 10)
	e := mustNew(t, m, runtime.Options{})
	image, classes := m.Input[0]*m.Input[1]*m.Input[2], len(m.Classes)
	for _, tt := range []struct {
		dst, src int
		ok       bool
	}{
		{classes, image, true}, {3 * classes, 3 * image, true}, {0, 0, true},
		{classes, 0, false}, {0, image, false}, {classes, image + 1, false}, {classes, image - 1, false},
		{2 * classes, image, false}, {classes + 1, image, false},
	} {
		err := e.Infer(context.Background(), make([]float32, tt.dst), make([]float32, tt.src))
		if (err == nil) != tt.ok {
			t.Errorf("%d logits for %d elements: error is %v, want none: %v", tt.dst, tt.src, err, tt.ok)
		}
	}
}

func TestInferCancelled(t *testing.T) {
	m := randomModel(5, 10)
	e := mustNew(t, m, runtime.Options{Threads: 2})
	src := images(m, 4)
	want := infer(t, e, src)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dst := make([]float32, len(want))
	err := e.Infer(ctx, dst, src)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "op \"") {
		t.Errorf("cancelled: error is %v, want context.Canceled with the operation's name", err)
	}
	if got := infer(t, e, src); !slices.Equal(got, want) {
		t.Errorf("after a cancelled call: got %v, want %v", got, want)
	}
}

func TestTraceErrors(t *testing.T) {
	m := randomModel(5, 10)
	e := mustNew(t, m, runtime.Options{})
	stop := errors.New("stop")
	calls := 0
	err := e.Trace(context.Background(), images(m, 1), func(runtime.Traced) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("Trace: error %v after %d calls, want %v after 1", err, calls, stop)
	}
	if err := e.Trace(context.Background(), make([]float32, 1000), nil); err == nil {
		t.Error("Trace of an image of the wrong size: no error")
	}
}
