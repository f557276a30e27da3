package runtime_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bnntool/bnntool/runtime"
)

func TestProfile(t *testing.T) {
	m := randomModel(5, 20)
	e := mustNew(t, m, runtime.Options{})
	src := images(m, 1)
	times := make([]time.Duration, len(e.Info().Layers))
	for i := range times {
		times[i] = -1
	}
	begin := time.Now()
	if err := e.Profile(context.Background(), times, src); err != nil {
		t.Fatal(err)
	}
	whole, sum := time.Since(begin), time.Duration(0)
	for i, d := range times {
		if d < 0 {
			t.Errorf("layer %d took %v", i, d)
		}
		sum += d
	}
	if sum == 0 || sum > whole {
		t.Errorf("the layers took %v, want more than nothing and at most the whole, %v", sum, whole)
	}
	if err := e.Profile(context.Background(), times[1:], src); err == nil {
		t.Error("room for too few layers: no error")
	}
	if err := e.Profile(context.Background(), times, src[1:]); err == nil {
		t.Error("an image too short: no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Profile(ctx, times, src); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error is %v, want context.Canceled", err)
	}
}
