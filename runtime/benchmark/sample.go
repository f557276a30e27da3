package benchmark

import (
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
