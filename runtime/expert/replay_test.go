package expert_test

import (
	"fmt"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

// hitRate replays a trace on a cache of n full slots a layer, or as many in one pool.
func hitRate(t testing.TB, s *expert.Steps, policy string, n, warmUp int, together bool) float64 {
	t.Helper()
	layers, experts := len(s.Layers), s.Experts
	if together {
		layers, experts, n = 1, layers*experts, n*layers
	}
	c, err := expert.NewCache(expert.CacheConfig{Layers: layers, Experts: experts, Sizes: expert.Sizes{Full: 1},
		Slots: []expert.Slots{{Full: n}}, Budget: int64(n * layers), Policy: func(layer int) (expert.Policy, error) {
			if policy == "belady" {
				return expert.NewBelady(s, layer), nil
			}
			return expert.NewPolicy(policy, experts, uint64(layer))
		}})
	if err != nil {
		t.Fatal(err)
	}
	hits := expert.Replay(c, s, warmUp)
	all := int64(0)
	for _, h := range hits {
		all += h
	}
	if want := (s.Steps() - s.First(warmUp).Steps()) * len(s.Layers) * s.TopK; int64(want) != all {
		t.Fatalf("%d requests, want %d", all, want)
	}
	return float64(hits[expert.Full]) / float64(all)
}

// TestReplayPublished compares hit rates with published ones, over an order that is made up. Those are of 300 prompts, of which
// 200 are at hand: they agree within a hundredth.
func TestReplayPublished(t *testing.T) {
	percent := []int{5, 10, 20, 30, 40, 50, 75}
	for _, tt := range []struct {
		model, policy string
		together      bool
		want          [7]float64
	}{
		{"deepseek", "lru", false, [7]float64{.090, .178, .352, .479, .606, .697, .877}},
		{"deepseek", "lfu", false, [7]float64{.178, .178, .354, .469, .580, .668, .865}},
		{"deepseek", "lfu-kept", false, [7]float64{.200, .200, .357, .468, .582, .669, .865}},
		{"deepseek", "decayed", false, [7]float64{.216, .216, .383, .499, .613, .699, .878}},
		{"deepseek", "belady", false, [7]float64{.375, .375, .596, .711, .803, .859, .956}},
		{"qwen", "lru", false, [7]float64{.083, .160, .299, .422, .531, .628, .830}},
		{"qwen", "lfu", false, [7]float64{.111, .149, .258, .369, .471, .576, .817}},
		{"qwen", "lfu-kept", false, [7]float64{.111, .157, .283, .398, .504, .604, .826}},
		{"qwen", "decayed", false, [7]float64{.131, .181, .312, .427, .532, .627, .830}},
		{"qwen", "belady", false, [7]float64{.291, .382, .564, .681, .765, .831, .941}},
		{"switch", "lru", false, [7]float64{.633, .771, .867, .913, .944, .966, .988}},
		{"switch", "lru", true, [7]float64{.646, .772, .866, .916, .946, .966, .988}},
		{"switch", "lfu", false, [7]float64{.534, .760, .870, .918, .949, .968, .988}},
		{"switch", "decayed", false, [7]float64{.634, .775, .867, .913, .945, .966, .988}},
		{"switch", "belady", false, [7]float64{.765, .867, .933, .960, .975, .984, .990}},
		{"qwen", "lru", true, [7]float64{.000, .111, .274, .396, .513, .615, .826}},
	} {
		if testing.Short() && (tt.model == "deepseek" || tt.policy == "lfu") {
			continue // each is a second or two
		}
		s := realSteps(t, tt.model)
		tolerance := 0.01
		if tt.together {
			tolerance = 0.02 // a step of all layers shifts the borders
		}
		for i, p := range percent {
			if p != 20 && (testing.Short() || tt.together && p != 50) {
				continue
			}
			n := (s.Experts*p + 50) / 100
			if tt.policy != "lru" {
				n = max(n, s.TopK)
			}
			if got := hitRate(t, s, tt.policy, n, 20, tt.together); !near(got, tt.want[i], tolerance) {
				t.Errorf("%s, %s, one pool %v, %d slots: %.4f, want %.3f", tt.model, tt.policy, tt.together, n, got, tt.want[i])
			}
		}
	}
}

// TestReplayGenerated pins hit rates over a trace that is drawn from published statistics: any change of a policy, of the cache
// or of the generator shows here.
func TestReplayGenerated(t *testing.T) {
	s := generated(t, "qwen", 40)
	got := ""
	for _, policy := range append(expert.PolicyNames(), "belady") {
		got += fmt.Sprintf("%s %.4f %.4f\n", policy, hitRate(t, s, policy, 12, 5, false), hitRate(t, s, policy, 30, 5, false))
	}
	const want = `lru 0.5531 0.7708
lfu 0.5009 0.7182
lfu-kept 0.2697 0.5983
decayed 0.4928 0.7690
marking 0.5484 0.7619
fifo 0.5416 0.7516
value 0.5546 0.7716
belady 0.7190 0.8945
`
	if got != want {
		t.Errorf("hit rates of 12 and 30 slots:\n%swant\n%s", got, want)
	}
}

// TestBeladyIsBest: no policy hits more often, on any number of slots.
func TestBeladyIsBest(t *testing.T) {
	for _, model := range []string{"qwen", "deepseek", "switch"} {
		s := generated(t, model, 10)
		for _, n := range []int{s.TopK, s.TopK + 3, s.Experts / 4, s.Experts / 2, s.Experts} {
			best := hitRate(t, s, "belady", n, 0, false)
			for _, policy := range expert.PolicyNames() {
				if got := hitRate(t, s, policy, n, 0, false); got > best {
					t.Errorf("%s, %d slots: %s hits %.4f, Belady's %.4f", model, n, policy, got, best)
				}
			}
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	s := generated(b, "deepseek", 20)
	requests := s.Steps() * len(s.Layers) * s.TopK
	for _, policy := range []string{"lru", "decayed", "value"} {
		b.Run(policy, func(b *testing.B) {
			for b.Loop() {
				hitRate(b, s, policy, 19, 0, false)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*requests), "ns/request")
		})
	}
}
