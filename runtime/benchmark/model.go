package benchmark

import (
	"context"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"time"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/runtime"
)

// Options say what is measured. The zero value is the default.
type Options struct {
	// Threads and Batches are the numbers of threads and of images of a call to measure, each with each. Empty: 1 and
	// all processors; 1 and 8.
	Threads, Batches []int
	// Time is how long each combination, and the profile, is sampled. 0 is one second. It is exceeded where MinSamples
	// take longer.
	Time time.Duration
}

// MinSamples is the number of samples that everything has at least.
const MinSamples = 31

// What bounds the memory that samples take.
const (
	maxSamples  = 10_000 // of each combination
	maxProfiles = 1_000
)

func (o Options) validate() (Options, error) {
	if len(o.Threads) == 0 {
		if o.Threads = []int{1}; goruntime.GOMAXPROCS(0) > 1 {
			o.Threads = append(o.Threads, goruntime.GOMAXPROCS(0))
		}
	}
	if len(o.Batches) == 0 {
		o.Batches = []int{1, 8}
	}
	if o.Time == 0 {
		o.Time = time.Second
	}
	for _, n := range o.Threads {
		if n < 1 {
			return o, fmt.Errorf("benchmark: %d threads, want 1 or more", n)
		}
	}
	for _, n := range o.Batches {
		if n < 1 {
			return o, fmt.Errorf("benchmark: a batch of %d, want 1 or more", n)
		}
	}
	if o.Time < 0 {
		return o, fmt.Errorf("benchmark: a time of %v, want more than 0", o.Time)
	}
	return o, nil
}

// Result is what a model's benchmark found.
type Result struct {
	Info      runtime.Info
	Tier      string // of the kernels
	Latencies []Latency
	Layers    []Layer // of one image on one thread, in the order of execution
}

// Latency is the time of one call of Engine.Infer.
type Latency struct {
	Threads, Batch int
	Samples
}

// ImagesPerSecond returns the throughput at the median.
func (l Latency) ImagesPerSecond() float64 { return float64(l.Batch) / l.Median().Seconds() }

// Layer is the time of one step of the plan.
type Layer struct {
	runtime.LayerInfo
	Samples
	Share float64 // of the sum of all layers' medians, 0..1
}

// GMACs returns 10⁹ multiplications a second at the median, those with padding included.
func (l Layer) GMACs() float64 { return float64(l.MACs) / float64(max(1, l.Median().Nanoseconds())) }

// Model measures the artifact at path. A file that cannot be opened, options that make no sense and the end of ctx are
// errors.
func Model(ctx context.Context, path string, o Options) (*Result, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	r := &Result{}
	r.Tier, _ = kernel.Tier()
	for i, threads := range o.Threads {
		e, err := runtime.Open(path, runtime.Options{Threads: threads})
		if err != nil {
			return nil, err
		}
		for _, batch := range o.Batches {
			l, err := latency(ctx, e, batch, o.Time)
			if err != nil {
				return nil, err
			}
			l.Threads = threads
			r.Latencies = append(r.Latencies, l)
		}
		if i > 0 {
			continue
		}
		r.Info = e.Info()
		if r.Layers, err = layers(ctx, e, o.Time); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// images returns n normalised images of random numbers for e.
func images(e *runtime.Engine, n int) []float32 {
	info := e.Info()
	rng := rand.New(rand.NewPCG(1, 1))
	x := make([]float32, n*info.H*info.W*info.C)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// sample calls work until time is over and there are MinSamples, or most.
func sample(limit time.Duration, most int, work func() error) error {
	begin := time.Now()
	for i := 0; i < MinSamples || i < most && time.Since(begin) < limit; i++ {
		if err := work(); err != nil {
			return err
		}
	}
	return nil
}

// warm calls work until it has run for a tenth of limit, at least twice.
func warm(limit time.Duration, work func() error) error {
	begin := time.Now()
	for i := 0; i < 2 || time.Since(begin) < limit/10; i++ {
		if err := work(); err != nil {
			return err
		}
	}
	return nil
}

func latency(ctx context.Context, e *runtime.Engine, batch int, limit time.Duration) (Latency, error) {
	src, dst := images(e, batch), make([]float32, batch*len(e.Info().Classes))
	infer := func() error { return e.Infer(ctx, dst, src) }
	if err := warm(limit, infer); err != nil {
		return Latency{}, err
	}
	var times []time.Duration
	err := sample(limit, maxSamples, func() error {
		begin := time.Now()
		err := infer()
		times = append(times, time.Since(begin))
		return err
	})
	return Latency{Batch: batch, Samples: sampled(times)}, err
}

func layers(ctx context.Context, e *runtime.Engine, limit time.Duration) ([]Layer, error) {
	src, info := images(e, 1), e.Info()
	list := make([]Layer, len(info.Layers))
	times := make([]time.Duration, len(list))
	profile := func() error { return e.Profile(ctx, times, src) }
	if err := warm(limit, profile); err != nil {
		return nil, err
	}
	err := sample(limit, maxProfiles, func() error {
		err := profile()
		for i, t := range times {
			list[i].Samples = append(list[i].Samples, t)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	sum := time.Duration(0)
	for i := range list {
		list[i].LayerInfo = info.Layers[i]
		list[i].Samples = sampled(list[i].Samples)
		sum += list[i].Median()
	}
	for i := range list {
		list[i].Share = list[i].Median().Seconds() / sum.Seconds()
	}
	return list, nil
}
