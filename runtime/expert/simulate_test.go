package expert_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

// simulateConfig returns a simulation of a trace of Qwen1.5-MoE's shape with the same slots in every layer.
func simulateConfig(t testing.TB, s *expert.Steps, slots expert.Slots) expert.SimulateConfig {
	t.Helper()
	m := shape(t, "qwen")
	coder := expert.Coder{Name: "huffman", Ratio: .325, Decode: 1.9e9}
	d := expert.Device{Disk: 3.5e9, DiskLatency: 80, DiskDepth: 8, Workers: 6, Copy: 8e9, Compute: 40e9}
	z, staging := m.Sizes(coder.Ratio), expert.Staging{Records: m.TopK, Fulls: m.TopK}
	return expert.SimulateConfig{Trace: s, Costs: d.Costs(m, coder, 3), Cache: expert.CacheConfig{
		Layers: m.Layers, Experts: m.Experts, Sizes: z, Slots: []expert.Slots{slots}, Staging: staging,
		Budget: int64(m.Layers)*slots.Bytes(z) + staging.Bytes(z),
		Policy: func(layer int) (expert.Policy, error) { return expert.NewPolicy("decayed", m.Experts, uint64(layer)) },
	}}
}

// TestSimulate: the cache answers as without time, bytes and busy times are those of the hits, nothing exceeds the budget or is faster
// than can be, and a second run is the same.
func TestSimulate(t *testing.T) {
	s := generated(t, "qwen", 8)
	for _, slots := range []expert.Slots{{Full: 17}, {Compressed: 12, Exponents: 4}, {Full: 7, Compressed: 7, SignMantissa: 12}} {
		config := simulateConfig(t, s, slots)
		config.WarmUp, config.Between = 2, 50
		r, err := expert.Simulate(context.Background(), config)
		if err != nil {
			t.Fatal(err)
		}
		c, err := expert.NewCache(config.Cache)
		if err != nil {
			t.Fatal(err)
		}
		if want := expert.Replay(c, s, 2); r.Hits != want {
			t.Errorf("%v: hits %v, replayed %v", slots, r.Hits, want)
		}
		z := config.Cache.Sizes
		signs, exps := r.Hits[expert.Miss]+r.Hits[expert.Exponents], r.Hits[expert.Miss]+r.Hits[expert.SignMantissa]
		if want := signs*z.SignMantissa + exps*z.Exponents; r.Bytes != want || r.Reads != 3*signs+exps {
			t.Errorf("%v: %d bytes in %d reads, want %d in %d", slots, r.Bytes, r.Reads, want, 3*signs+exps)
		}
		var o expert.Outcome
		for state, n := range r.Hits {
			o[state] = int(n)
		}
		total := r.Step.Mean * float64(r.Steps)
		if want := config.Costs.IO(o) / total; !near(r.Disk, want, 1e-9) {
			t.Errorf("%v: the disk reads for %v of the time, want %v", slots, r.Disk, want)
		}
		if want := 24 * (r.Layer.Mean + 50); !near(r.Step.Mean, want, 1e-6) || r.Steps != 6*20 {
			t.Errorf("%v: %d steps take %v us, their layers %v", slots, r.Steps, r.Step.Mean, want)
		}
		if r.PeakBytes > config.Cache.Budget || r.OverBound < 1 || r.Layer.P50 > r.Layer.P99 || r.Layer.P99 < r.Layer.Mean {
			t.Errorf("%v: %+v of a budget of %d", slots, r, config.Cache.Budget)
		}
		if again, err := expert.Simulate(context.Background(), config); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%v: a second run gives %+v, %v, the first %+v", slots, again, err, r)
		}
		config.Rule = "affinity"
		if other, err := expert.Simulate(context.Background(), config); err != nil || other.Layer.Mean < r.Layer.Mean || other.Hits != r.Hits {
			t.Errorf("%v: cache affinity takes %v us, the schedule %v", slots, other.Layer.Mean, r.Layer.Mean)
		}
	}
}

// TestSimulateWhole: where everything fits, each expert is read once.
func TestSimulateWhole(t *testing.T) {
	s := generated(t, "qwen", 4)
	r, err := expert.Simulate(context.Background(), simulateConfig(t, s, expert.Slots{Full: 60}))
	if err != nil {
		t.Fatal(err)
	}
	used := int64(0)
	for layer := range s.Layers {
		seen := map[uint16]bool{}
		for _, p := range s.Prompts {
			for _, step := range p.Chosen {
				for _, e := range step[layer] {
					seen[e] = true
				}
			}
		}
		used += int64(len(seen))
	}
	if r.Hits[expert.Miss] != used || r.Hits[expert.Full]+used != int64(s.Steps()*24*4) {
		t.Errorf("hits %v, %d experts are used", r.Hits, used)
	}
}

// TestSimulateBatch: prompts that decode together ask for each expert once a step.
func TestSimulateBatch(t *testing.T) {
	s := generated(t, "qwen", 9)
	config := simulateConfig(t, s, expert.Slots{Full: 20})
	config.Batch = 4
	config.Cache.Staging = expert.Staging{Records: 16, Fulls: 16}
	config.Cache.Budget *= 2
	r, err := expert.Simulate(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	want, all := int64(0), int64(0)
	for at := 0; at < 8; at += 4 {
		for step := range 20 {
			for layer := range s.Layers {
				union := map[uint16]bool{}
				for _, p := range s.Prompts[at : at+4] {
					for _, e := range p.Chosen[step][layer] {
						union[e] = true
					}
				}
				want += int64(len(union))
			}
		}
	}
	for _, n := range r.Hits {
		all += n
	}
	if all != want || r.Steps != 40 {
		t.Errorf("%d requests in %d steps, want %d in 40", all, r.Steps, want)
	}
}

// TestSimulateTogether: one pool for all layers is as in a replay.
func TestSimulateTogether(t *testing.T) {
	s := generated(t, "qwen", 4)
	config := simulateConfig(t, s, expert.Slots{})
	c := &config.Cache
	c.Layers, c.Experts, c.Slots = 1, 24*60, []expert.Slots{{Full: 400}}
	c.Budget = c.Slots[0].Bytes(c.Sizes) + c.Staging.Bytes(c.Sizes)
	c.Policy = func(int) (expert.Policy, error) { return expert.NewPolicy("lru", 24*60, 1) }
	r, err := expert.Simulate(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := expert.NewCache(*c)
	if err != nil {
		t.Fatal(err)
	}
	if want := expert.Replay(cache, s, 0); r.Hits != want || r.HitRate() <= 0 {
		t.Errorf("hits %v, replayed %v", r.Hits, want)
	}
}

func TestSimulateRefuses(t *testing.T) {
	s := generated(t, "qwen", 2)
	for _, tt := range []struct {
		name   string
		change func(*expert.SimulateConfig)
		want   string
	}{
		{"warm up", func(c *expert.SimulateConfig) { c.WarmUp = 2 }, "2 batches of 1 prompts to warm up, the trace has 2"},
		{"batch", func(c *expert.SimulateConfig) { c.Batch = 3 }, "0 batches of 3 prompts to warm up, the trace has 0"},
		{"layers", func(c *expert.SimulateConfig) { c.Cache.Layers = 23 }, "a cache for 23 layers of 60 experts, the trace has 24 of 60"},
		{"rule", func(c *expert.SimulateConfig) { c.Rule = "fifo" }, `there is no rule "fifo"`},
		{"budget", func(c *expert.SimulateConfig) { c.Cache.Budget-- }, "the memory budget is too small"},
		{"no staging", func(c *expert.SimulateConfig) { c.Cache.Staging = expert.Staging{} }, "there must be staging"},
	} {
		config := simulateConfig(t, s, expert.Slots{Full: 3})
		tt.change(&config)
		_, err := expert.Simulate(context.Background(), config)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := expert.Simulate(ctx, simulateConfig(t, s, expert.Slots{Full: 3})); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}
