package expert_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
	"pgregory.net/rapid"
)

// longer is the cost with which the published optima were found: the disk's work or the workers', whichever is longer.
func longer(c expert.Costs) func(expert.Outcome) float64 {
	return func(o expert.Outcome) float64 { return max(c.IO(o), c.CPU(o)) }
}

// grid returns the best slots in bytes bytes among shares in steps of 10 %, of the states that use says, in the order F, C, S, E.
func grid(h *expert.Hits, z expert.Sizes, bytes float64, use [4]bool, cost func(expert.Outcome) float64) (expert.Slots, float64) {
	var best expert.Slots
	least := -1.0
	for f := 0; f <= 10; f++ {
		for c := 0; c <= 10-f; c++ {
			for s := 0; s <= 10-f-c; s++ {
				e := 10 - f - c - s
				if c > 0 && !use[1] || s > 0 && !use[2] || e > 0 && !use[3] {
					continue
				}
				slots := func(share int, bytesEach int64) int { return int(float64(share) / 10 * bytes / float64(bytesEach)) }
				n := expert.Slots{Full: slots(f, z.Full), Compressed: slots(c, z.Of(expert.Compressed)), SignMantissa: slots(s, z.SignMantissa), Exponents: slots(e, z.Exponents)}
				if got := h.Expect(n, cost); least < 0 || got < least-1e-9 {
					best, least = n, got
				}
			}
		}
	}
	return best, least
}

// TestPlanPublished reproduces the worked optima: T = K = 3, six workers, 3.5 GB/s.
func TestPlanPublished(t *testing.T) {
	const gb = 1e9
	for _, tt := range []struct {
		model           string
		memory          float64
		ratio, decode   float64 // microseconds a chunk
		full, two, four float64 // expected microseconds with F, with F and S, with all states
		slots           string  // of the last
	}{
		{"deepseek", 4 * gb, .49, 2500. / 3, 12757, 11743, 10785, "0/7/7/0"},
		{"deepseek", 8 * gb, .49, 2500. / 3, 7150, 6529, 6287, "7/7/7/7"},
		{"deepseek", 16 * gb, .49, 2500. / 3, 1447, 1212, 1212, "32/0/7/0"},
		{"deepseek", 4 * gb, .36, 1200, 11644, 10525, 10525, "5/0/7/0"},
		{"deepseek", 8 * gb, .324, 500, 6353, 4974, 4711, "7/16/0/0"},
		{"qwen", 4 * gb, .49, 2500. / 3, 7946, 7528, 7095, "0/9/0/11"},
		{"qwen", 8 * gb, .49, 2500. / 3, 3936, 3813, 3813, "13/0/11/0"},
		{"qwen", 8 * gb, .324, 500, 3497, 2959, 2959, "7/0/23/0"},
	} {
		m, c := shape(t, tt.model), realCounts(t, tt.model)
		ranks, err := c.Ranks(-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		coins, err := expert.NewCoins(expert.Inclusion(ranks, float64(m.TopK)), m.TopK)
		if err != nil {
			t.Fatal(err)
		}
		h, z := expert.NewHits(coins), m.Sizes(tt.ratio)
		d := expert.Device{Disk: 3.5e9, Workers: 6, Copy: 1, Compute: 1e300}
		costs := d.Costs(m, expert.Coder{Ratio: tt.ratio, Decode: float64(m.Elements) / 3 / tt.decode * 1e6}, 3)
		bytes := tt.memory / float64(m.Layers)
		for _, way := range []struct {
			name string
			use  [4]bool
			want float64
		}{{"F", [4]bool{true}, tt.full}, {"F+S", [4]bool{true, false, true}, tt.two}, {"F+C+S+E", [4]bool{true, true, true, true}, tt.four}} {
			slots, got := grid(h, z, bytes, way.use, longer(costs))
			if !near(got, way.want, 2) {
				t.Errorf("%s in %.0f GB with %s: %.1f us, want %.0f", tt.model, tt.memory/gb, way.name, got, way.want)
			}
			if way.use[3] && slots.String() != tt.slots {
				t.Errorf("%s in %.0f GB: slots %s, want %s", tt.model, tt.memory/gb, slots, tt.slots)
			}
		}
		p, err := expert.NewPlan(expert.PlanConfig{Hits: []*expert.Hits{h}, Sizes: z, Costs: costs, Budget: int64(bytes)})
		if err != nil {
			t.Fatal(err)
		}
		// The plan is better than the best on the grid, and nearly as good as any slots: the cache cannot have S beside E.
		l := p.Layers[0]
		if _, least := grid(h, z, bytes, [4]bool{true, true, true, true}, costs.Layer); l.Micros > least {
			t.Errorf("%s in %.0f GB: the plan %s takes %.1f us, the best on the grid %.1f", tt.model, tt.memory/gb, l.Slots, l.Micros, least)
		}
		if least := bestOfAll(h, z, int64(bytes), costs.Layer); l.Micros > 1.015*least || l.Micros < least-1e-6 {
			t.Errorf("%s in %.0f GB: the plan %s takes %.1f us, the best of all slots %.1f", tt.model, tt.memory/gb, l.Slots, l.Micros, least)
		}
	}
}

// bestOfAll returns the least cost of all slots that fit, those with S beside E included.
func bestOfAll(h *expert.Hits, z expert.Sizes, bytes int64, cost func(expert.Outcome) float64) float64 {
	experts := len(h.Ranks())
	least := math.Inf(1)
	var n expert.Slots
	for n.Full = 0; n.Full <= experts; n.Full++ {
		for n.Compressed = 0; n.Full+n.Compressed <= experts; n.Compressed++ {
			for n.SignMantissa = 0; n.Full+n.Compressed+n.SignMantissa <= experts; n.SignMantissa++ {
				n.Exponents = 0
				if left := bytes - n.Bytes(z); left >= 0 {
					n.Exponents = min(experts-n.Total(), int(left/z.Exponents))
					least = min(least, h.Expect(n, cost))
				}
			}
		}
	}
	return least
}

// TestPlanIsBest tries all numbers of slots that fit and that the cache can fill against the plan, and more memory against less.
func TestPlanIsBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pi, k := drawPi(t, 6)
		coins, err := expert.NewCoins(pi, k)
		if err != nil {
			t.Fatal(err)
		}
		h, experts := expert.NewHits(coins), len(pi)
		if rapid.Bool().Draw(t, "union") {
			h = expert.NewUnionHits(pi)
		}
		signs := rapid.Int64Range(3, 12).Draw(t, "sign bytes")
		z := expert.Sizes{Full: 2 * signs, SignMantissa: signs, Exponents: rapid.Int64Range(1, signs).Draw(t, "exponent bytes")}
		config := expert.PlanConfig{Hits: []*expert.Hits{h}, Sizes: z, Costs: drawCosts(t)}
		before := -1.0
		for config.Budget = 0; config.Budget <= int64(experts)*z.Full; config.Budget += 1 + z.Full/2 {
			p, err := expert.NewPlan(config)
			if err != nil {
				t.Fatal(err)
			}
			l := p.Layers[0]
			if p.Bytes > config.Budget || p.Bytes != l.Slots.Bytes(z) || !near(l.Micros, h.Expect(l.Slots, config.Costs.Layer), 1e-9) {
				t.Fatalf("plan %+v takes %d bytes of %d", p, l.Slots.Bytes(z), config.Budget)
			}
			if before >= 0 && l.Micros > before+1e-9 {
				t.Fatalf("%d bytes: %v us, with less memory %v", config.Budget, l.Micros, before)
			}
			before = l.Micros
			// The slots that the cache can fill: the first ranks behind the full ones have signs, and the first have exponents.
			for full := 0; full <= experts; full++ {
				for signs := 0; full+signs <= experts; signs++ {
					for exponents := 0; full+exponents <= experts; exponents++ {
						both := min(signs, exponents)
						n := expert.Slots{Full: full, Compressed: both, SignMantissa: signs - both, Exponents: exponents - both}
						if n.Bytes(z) > config.Budget {
							continue
						}
						if got := h.Expect(n, config.Costs.Layer); got < l.Micros-1e-6*l.Micros {
							t.Fatalf("%d bytes: plan %s takes %v us, %s takes %v", config.Budget, l.Slots, l.Micros, n, got)
						}
					}
				}
			}
			full := config
			full.FullOnly = true
			only, err := expert.NewPlan(full)
			if err != nil {
				t.Fatal(err)
			}
			if n := only.Layers[0].Slots; n.Total() != n.Full || n.Full != min(experts, int(config.Budget/z.Full)) || only.Micros() < l.Micros-1e-9 {
				t.Fatalf("%d bytes: full only %s takes %v us, the plan %v", config.Budget, n, only.Micros(), l.Micros)
			}
		}
	})
}

// TestPlanLayers: layers of different skew get slots of their own from equal parts, nothing of the budget is lost between them, and
// staging is part of it.
func TestPlanLayers(t *testing.T) {
	flat, err := expert.NewCoins([]float64{.5, .5, .5, .5, .5, .5, .5, .5}, 4)
	if err != nil {
		t.Fatal(err)
	}
	skew, err := expert.NewCoins([]float64{.98, .97, .96, .95, .05, .04, .03, .02}, 4)
	if err != nil {
		t.Fatal(err)
	}
	z := expert.Sizes{Full: 20, SignMantissa: 10, Exponents: 3}
	config := expert.PlanConfig{Hits: []*expert.Hits{expert.NewHits(flat), expert.NewHits(skew)}, Sizes: z, Budget: 189, Staging: expert.Staging{Records: 1},
		Costs: expert.Costs{Tensors: 3, Chunks: 1, Workers: 1, ReadSign: 10, ReadChunk: 3, Decode: 1}}
	p, err := expert.NewPlan(config)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Slots()); got != "[0/6/1/0 4/0/0/2]" || p.Bytes > config.Budget || p.Bytes < config.Budget-2 {
		t.Errorf("slots %s, %d of %d bytes", got, p.Bytes, config.Budget)
	}
	if p.Micros() != p.Layers[0].Micros+p.Layers[1].Micros {
		t.Errorf("%v us, want the sum of %v and %v", p.Micros(), p.Layers[0].Micros, p.Layers[1].Micros)
	}
	config.Budget = 12
	if _, err := expert.NewPlan(config); !errors.Is(err, expert.ErrBudget) {
		t.Errorf("a budget below staging: error %v", err)
	}
}

// TestBreakEven: with the speed that it returns a plan takes as long as uncompressed weights, with a lower one longer.
func TestBreakEven(t *testing.T) {
	m := shape(t, "qwen")
	y := expert.PublishedSynthetic(m)
	y.Prompts = 40
	s, err := y.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ranks, err := s.Counts().Ranks(-1, 1)
	if err != nil {
		t.Fatal(err)
	}
	coins, err := expert.NewCoins(expert.Inclusion(ranks, float64(m.TopK)), m.TopK)
	if err != nil {
		t.Fatal(err)
	}
	d := expert.Device{Disk: 3.5e9, DiskDepth: 8, Workers: 4, Copy: 1e10, Compute: 1e11}
	z := m.Sizes(.33)
	config := expert.PlanConfig{Hits: []*expert.Hits{expert.NewHits(coins)}, Sizes: z, Budget: 20 * z.Full, Costs: d.Costs(m, expert.Coder{Ratio: .33, Decode: 1e9}, 3)}
	raw := config
	raw.Costs, raw.FullOnly = d.RawCosts(m), true
	want, err := expert.NewPlan(raw)
	if err != nil {
		t.Fatal(err)
	}
	speed, ok, err := expert.BreakEven(config, m, d.RawCosts(m))
	if err != nil || !ok {
		t.Fatalf("no break-even: %v", err)
	}
	for _, tt := range []struct {
		speed float64
		beats bool
	}{{speed, true}, {speed / 1.002, false}} {
		config.Costs = d.Costs(m, expert.Coder{Ratio: .33, Decode: tt.speed}, 3)
		p, err := expert.NewPlan(config)
		if err != nil {
			t.Fatal(err)
		}
		if beats := p.Micros() <= want.Micros(); beats != tt.beats {
			t.Errorf("with %.3g bytes a second the plan takes %.1f us, uncompressed weights %.1f", tt.speed, p.Micros(), want.Micros())
		}
	}
	// Where the disk is faster than anything decodes, nothing helps.
	d.Disk, d.Compute = 1e18, 1e18
	config.Costs = d.Costs(m, expert.Coder{Ratio: .33, Decode: 1e9}, 3)
	if speed, ok, err := expert.BreakEven(config, m, d.RawCosts(m)); ok || err != nil {
		t.Errorf("on a disk of 10^18 bytes a second: %v, %v, %v", speed, ok, err)
	}
}
