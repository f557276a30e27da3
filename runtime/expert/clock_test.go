package expert_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
	"pgregory.net/rapid"
)

// TestClock runs steps that can be followed by hand.
func TestClock(t *testing.T) {
	base := expert.Costs{Tensors: 2, Chunks: 2, Workers: 2, ReadSign: 4, ReadChunk: 1, Decode: 3, Split: 7, Compute: 5}
	one := func(s expert.State) expert.Job { return expert.Job{State: s, Tokens: 1} }
	for _, tt := range []struct {
		name    string
		jobs    []expert.Job
		change  func(*expert.Costs)
		staging expert.Staging
		want    expert.Timeline
	}{
		{"nothing", nil, nil, expert.Staging{}, expert.Timeline{}},
		{"full", []expert.Job{one(expert.Full)}, nil, expert.Staging{}, expert.Timeline{Micros: 5, Compute: 5}},
		// Two chunks a round.
		{"compressed", []expert.Job{one(expert.Compressed)}, nil, expert.Staging{}, expert.Timeline{Micros: 6 + 5, Workers: 12, Compute: 5}},
		// Exponents to 4, then signs to 8 and 12; the last tensor is decoded to 15.
		{"missed", []expert.Job{one(expert.Miss)}, nil, expert.Staging{}, expert.Timeline{Micros: 15 + 5, Disk: 12, Workers: 12, Compute: 5, Reads: 3}},
		{"signs", []expert.Job{one(expert.SignMantissa)}, nil, expert.Staging{}, expert.Timeline{Micros: 4 + 6 + 5, Disk: 4, Workers: 12, Compute: 5, Reads: 1}},
		{"exponents", []expert.Job{one(expert.Exponents)}, nil, expert.Staging{}, expert.Timeline{Micros: 8 + 3 + 5, Disk: 8, Workers: 12, Compute: 5, Reads: 2}},
		// The second is decoded to 6 and computed to 11, while the first is read.
		{"two overlap", []expert.Job{one(expert.Miss), one(expert.Compressed)}, nil, expert.Staging{}, expert.Timeline{Micros: 15 + 5, Disk: 12, Workers: 24, Compute: 10, Reads: 3}},
		// What else the layer computes takes the stream to 20.
		{"beside", []expert.Job{one(expert.Full)}, func(c *expert.Costs) { c.Beside = 20 }, expert.Staging{}, expert.Timeline{Micros: 25, Compute: 25}},
		// The split takes a worker to 7: the chunks begin then, two at a time.
		{"split", []expert.Job{{State: expert.Compressed, Tokens: 2, Split: true}}, nil, expert.Staging{}, expert.Timeline{Micros: 7 + 6 + 10, Workers: 19, Compute: 10}},
		// Reads wait for their latency one after another, or together.
		{"latency", []expert.Job{one(expert.Exponents)}, func(c *expert.Costs) { c.Latency = 10 }, expert.Staging{}, expert.Timeline{Micros: 14 + 14 + 3 + 5, Disk: 8, Workers: 12, Compute: 5, Reads: 2}},
		{"latency, two at once", []expert.Job{one(expert.Exponents)}, func(c *expert.Costs) { c.Latency, c.Depth = 10, 2 }, expert.Staging{}, expert.Timeline{Micros: 10 + 8 + 3 + 5, Disk: 8, Workers: 12, Compute: 5, Reads: 2}},
		// With one place the second is read when the first is computed.
		{"staging", []expert.Job{{State: expert.Exponents, Tokens: 1, Staging: expert.Staging{Records: 1}}, {State: expert.Exponents, Tokens: 1, Staging: expert.Staging{Records: 1}}},
			nil, expert.Staging{Records: 1}, expert.Timeline{Micros: 32, Disk: 16, Workers: 24, Compute: 10, Reads: 4}},
		// Workers read and decode 4 chunks of 1+3 while the signs are read to 8.
		{"workers read", []expert.Job{one(expert.Miss)}, func(c *expert.Costs) { c.WorkersRead = true }, expert.Staging{}, expert.Timeline{Micros: 8 + 5, Disk: 8, Workers: 16, Compute: 5, Reads: 2}},
	} {
		c, order := base, []int{}
		if tt.change != nil {
			tt.change(&c)
		}
		for i := range tt.jobs {
			order = append(order, i)
		}
		var k expert.Clock
		for range 2 { // a clock can be used again
			if got := k.Run(tt.jobs, order, c, tt.staging); got != tt.want {
				t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
			}
		}
	}
}

// TestClockBusy: whatever the order, the parts are busy for as long as their work takes.
func TestClockBusy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		jobs, c := drawJobs(t, 8), drawCosts(t)
		c.WorkersRead = rapid.Bool().Draw(t, "workers read")
		c.Depth, c.Latency, c.Split = rapid.IntRange(0, 3).Draw(t, "depth"), rapid.Float64Range(0, 3).Draw(t, "latency"), 2
		var staging expert.Staging
		for i := range jobs {
			jobs[i].Staging = expert.Staging{Records: rapid.IntRange(0, 1).Draw(t, "records"), Fulls: rapid.IntRange(0, 1).Draw(t, "fulls")}
		}
		staging.Records, staging.Fulls = rapid.IntRange(1, 4).Draw(t, "record places"), rapid.IntRange(1, 4).Draw(t, "full places")
		var o expert.Outcome
		products, splits := c.Beside, 0.0
		for _, j := range jobs {
			o[j.State]++
			products += j.Tokens * c.Compute
			if j.Split {
				splits += c.Split
			}
		}
		var k expert.Clock
		got := k.Run(jobs, drawOrder(t, len(jobs)), c, staging)
		for _, tt := range []struct {
			name      string
			got, want float64
		}{{"disk", got.Disk, c.IO(o)}, {"workers", got.Workers, c.CPU(o)*float64(c.Workers) + splits}, {"products", got.Compute, products}} {
			if !near(tt.got, tt.want, 1e-9*(1+tt.want)) {
				t.Errorf("%s: %v us, want %v", tt.name, tt.got, tt.want)
			}
		}
		if least := max(got.Disk, got.Workers/float64(c.Workers), got.Compute, expert.Bound(jobs, c)); got.Micros < least*(1-1e-12) {
			t.Errorf("%v us, less than the %v that a part is busy", got.Micros, least)
		}
	})
}

func TestClockPanics(t *testing.T) {
	job := expert.Job{State: expert.Miss, Staging: expert.Staging{Records: 2}}
	for _, tt := range []struct {
		order []int
		want  string
	}{
		{[]int{0}, "job 0 never ends: it needs {Records:2 Fulls:0} of {Records:1 Fulls:0}"},
		{nil, "an order of 0 jobs for 1"},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, tt.want) {
					t.Errorf("panic %q, want one with %q", got, tt.want)
				}
			}()
			var k expert.Clock
			k.Run([]expert.Job{job}, tt.order, expert.Costs{Tensors: 1, Chunks: 1, Workers: 1}, expert.Staging{Records: 1})
		}()
	}
}
