package expert_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

// TestStatistics compares with what is published of three models, to its last digit.
func TestStatistics(t *testing.T) {
	for _, tt := range []struct {
		model             string
		prompts, steps    int
		activations       int64
		entropy, uniform  float64
		top               float64
		never             int
		distinct, jaccard float64
		union             [4]float64 // of 4, 8, 16 and 32 prompts
		at                [7]int
		byPrompt, overall [7]float64
		inclusion         [10]float64
		reuseOf200        float64 // of the order that is made up
	}{
		{"deepseek", 953, 17811, 2778516, 5.851, 6, .041, 0, 41.6, .534, [4]float64{20.2, 33.1, 47.5, 58.5}, [7]int{3, 6, 13, 19, 26, 32, 48},
			[7]float64{.207, .348, .580, .720, .838, .909, .997}, [7]float64{.110, .197, .354, .465, .578, .665, .861},
			[10]float64{.4977, .3949, .3412, .3057, .2791, .2568, .2381, .2225, .2090, .1962}, .185},
		{"qwen", 1000, 19001, 1824096, 5.852, 5.907, .032, 0, 37.4, .477, [4]float64{14.4, 25.1, 39.2, 52.2}, [7]int{3, 6, 12, 18, 24, 30, 45},
			[7]float64{.203, .343, .551, .707, .820, .899, 1}, [7]float64{.085, .156, .282, .397, .503, .603, .824},
			[10]float64{.3318, .2610, .2269, .2035, .1855, .1721, .1623, .1541, .1452, .1344}, .110},
		{"switch", 1000, 19988, 239856, 4.554, 7, .228, 96, 8.3, .267, [4]float64{3.5, 6.1, 10.1, 15.9}, [7]int{6, 13, 26, 38, 51, 64, 96},
			[7]float64{.871, .988, 1, 1, 1, 1, 1}, [7]float64{.585, .755, .865, .916, .945, .965, .990},
			[10]float64{.3660, .2173, .1139, .0758, .0576, .0438, .0329, .0249, .0187, .0140}, .203},
	} {
		c := realCounts(t, tt.model)
		is := func(what string, got, want float64, digits int) {
			t.Helper()
			if !near(got, want, 0.5000001*math.Pow10(-digits)) {
				t.Errorf("%s: %s is %.6f, want %.*f", tt.model, what, got, digits, want)
			}
		}
		s := c.Statistics()
		if s.Prompts != tt.prompts || s.Steps != tt.steps || s.Activations != tt.activations || s.NeverUsed != tt.never {
			t.Errorf("%s: %+v", tt.model, s)
		}
		is("entropy", s.Entropy, tt.entropy, 3)
		is("uniform entropy", s.Uniform, tt.uniform, 3)
		is("top share", s.TopShare, tt.top, 3)
		is("distinct", s.Distinct, tt.distinct, 1)
		is("Jaccard", s.Jaccard, tt.jaccard, 3)
		for i, batch := range []int{4, 8, 16, 32} {
			is(fmt.Sprintf("union of %d", batch), c.Union(batch), tt.union[i], 1)
		}
		byPrompt, overall := c.Coverage()
		for i, n := range tt.at {
			is(fmt.Sprintf("coverage of the prompt's %d", n), byPrompt[n], tt.byPrompt[i], 3)
			// Among experts that the first half never uses the choice is arbitrary, and matters to the last digit.
			if !near(overall[n], tt.overall[i], 0.0008) {
				t.Errorf("%s: coverage of the %d most popular is %.6f, want %.3f", tt.model, n, overall[n], tt.overall[i])
			}
		}
		ranks, err := c.Ranks(-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		pi := expert.Inclusion(ranks, float64(c.TopK))
		for i, want := range tt.inclusion {
			is(fmt.Sprintf("inclusion of rank %d", i+1), pi[i], want, 4)
		}
		is("reuse", realSteps(t, tt.model).Reuse(), tt.reuseOf200, 3)
	}
}

func TestRanks(t *testing.T) {
	c, _, err := expert.DecodeTrace(strings.NewReader(countsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		layer, batch int
		want         []float64
	}{
		{-1, 1, []float64{8. / 16, 7. / 16, 1. / 16, 0}},
		{0, 1, []float64{4. / 8, 3. / 8, 1. / 8, 0}},
		{0, 2, []float64{4. / 8, 2. / 8, 1. / 8, 1. / 8}},
		{1, 2, []float64{4. / 8, 3. / 8, 1. / 8, 0}},
	} {
		if got, err := c.Ranks(tt.layer, tt.batch); err != nil || fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("Ranks(%d, %d) = %v, %v, want %v", tt.layer, tt.batch, got, err, tt.want)
		}
	}
	if _, err := c.Ranks(-1, 3); err == nil || !strings.Contains(err.Error(), "a batch of 3 prompts, the trace has 2") {
		t.Errorf("a batch of 3: error %v", err)
	}
}

func TestInclusion(t *testing.T) {
	for _, tt := range []struct {
		ranks []float64
		k     float64
		want  []float64
	}{
		{[]float64{.5, .25, .25}, 1, []float64{.5, .25, .25}},
		{[]float64{.5, .25, .25}, 2, []float64{1, .5, .5}},
		{[]float64{.6, .2, .1, .1}, 2, []float64{1, .5, .25, .25}},
		{[]float64{.6, .3, .05, .05}, 3, []float64{1, 1, .5, .5}}, // the second exceeds 1 only after the first is 1
		{[]float64{.5, .5, 0}, 2, []float64{1, 1, 0}},
		{[]float64{.4, .3, .3}, 3, []float64{1, 1, 1}},
	} {
		got := expert.Inclusion(tt.ranks, tt.k)
		for i := range got {
			if !near(got[i], tt.want[i], 1e-12) {
				t.Errorf("Inclusion(%v, %v) = %v, want %v", tt.ranks, tt.k, got, tt.want)
				break
			}
		}
	}
}

// TestUnions: the probabilities sum to the number of distinct experts of a batch, and of single prompts they are those of Inclusion.
func TestUnions(t *testing.T) {
	c := generated(t, "deepseek", 32).Counts()
	for _, batch := range []int{1, 4, 16} {
		pi, err := c.Unions(-1, batch)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for r, p := range pi {
			if sum += p; r > 0 && p > pi[r-1] {
				t.Errorf("batch %d: rank %d has %v, the one before %v", batch, r+1, p, pi[r-1])
			}
		}
		if want := c.Union(batch); !near(sum, want, 1e-9) {
			t.Errorf("batch %d: the probabilities sum to %v, want %v", batch, sum, want)
		}
		ranks, err := c.Ranks(-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		for r, p := range expert.Inclusion(ranks, 6) {
			if batch == 1 && !near(p, pi[r], 1e-9) {
				t.Errorf("rank %d: %v, want %v", r+1, pi[r], p)
			}
		}
	}
	if _, err := c.Unions(0, 33); err == nil {
		t.Error("a batch of more prompts than there are: no error")
	}
}
