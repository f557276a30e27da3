package benchmark

import (
	"context"
	"slices"
	"time"
)

// Samples are times of one piece of work, in rising order.
type Samples []time.Duration

// Min returns the smallest sample.
func (s Samples) Min() time.Duration { return s[0] }

// Median returns the middle sample, the upper one of two.
func (s Samples) Median() time.Duration { return s[len(s)/2] }

// P99 returns the smallest sample that at least 99 % of the samples do not exceed: with fewer than 100 the largest.
func (s Samples) P99() time.Duration { return s[(len(s)*99+99)/100-1] }

// sampled sorts times.
func sampled(times []time.Duration) Samples {
	slices.Sort(times)
	return times
}

// minSample is how long a sample of work that is repeated lasts at least, so that reading the clock does not count.
const minSample = 400 * time.Microsecond

// repeat takes n samples of work, each the mean of as many calls as last minSample.
func repeat(ctx context.Context, n int, work func()) (Samples, error) {
	calls := 1
	timed := func() time.Duration {
		begin := time.Now()
		for range calls {
			work()
		}
		return time.Since(begin)
	}
	for timed() < minSample {
		calls *= 2
	}
	times := make([]time.Duration, n)
	for i := range times {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		times[i] = timed() / time.Duration(calls)
	}
	return sampled(times), nil
}
