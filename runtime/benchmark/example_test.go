package benchmark_test

import (
	"context"
	"fmt"
	"time"

	"github.com/bnntool/bnntool/runtime/benchmark"
)

// ExampleModel measures an artifact, one image at a time on one thread, and tells its slowest layer.
func ExampleModel() {
	r, err := benchmark.Model(context.Background(), "no-such-model.bnn", benchmark.Options{Threads: []int{1}, Batches: []int{1}, Time: time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	slowest := r.Layers[0]
	for _, l := range r.Layers {
		if l.Share > slowest.Share {
			slowest = l
		}
	}
	fmt.Println(r.Latencies[0].Min(), slowest.Name)
	// Output: artifact: safetensors: open no-such-model.bnn: no such file or directory
}
