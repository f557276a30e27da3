package expert_test

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
	"pgregory.net/rapid"
)

// TestCoinsOfModels compares with the published coins of three models at batch 1.
func TestCoinsOfModels(t *testing.T) {
	for _, tt := range []struct {
		model string
		want  [5]float64
	}{
		{"deepseek", [5]float64{.4814, .3846, .3340, .3006, .2753}},
		{"qwen", [5]float64{.3192, .2540, .2223, .2003, .1833}},
		{"switch", [5]float64{.3110, .2114, .1232, .0856, .0663}},
	} {
		c := realCounts(t, tt.model)
		ranks, err := c.Ranks(-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		coins, err := expert.NewCoins(expert.Inclusion(ranks, float64(c.TopK)), c.TopK)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range tt.want {
			if !near(coins.Q[i], want, 0.00005) {
				t.Errorf("%s: coins %.5f, want %.4f", tt.model, coins.Q[:5], tt.want)
				break
			}
		}
	}
}

// drawPi draws k and probabilities that sum to it.
func drawPi(t *rapid.T, most int) ([]float64, int) {
	n := rapid.IntRange(1, most).Draw(t, "experts")
	k := rapid.IntRange(1, n).Draw(t, "k")
	ranks := rapid.SliceOfN(rapid.Float64Range(1e-6, 1), n, n).Draw(t, "ranks")
	slices.SortFunc(ranks, func(a, b float64) int { return int(math.Copysign(1, b-a)) })
	return expert.Inclusion(ranks, float64(k)), k
}

// TestCoins enumerates all outcomes of the coins: of those with k heads, each rank is in as many as it should.
func TestCoins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pi, k := drawPi(t, 10)
		coins, err := expert.NewCoins(pi, k)
		if err != nil {
			t.Fatal(err)
		}
		got, all, sum := make([]float64, len(pi)), 0.0, 0.0
		for outcome := range 1 << len(pi) {
			if bits.OnesCount(uint(outcome)) != k {
				continue
			}
			p := 1.0
			for r, q := range coins.Q {
				if outcome>>r&1 == 0 {
					q = 1 - q
				}
				p *= q
			}
			all += p
			for r := range got {
				got[r] += p * float64(outcome>>r&1)
			}
		}
		for r, q := range coins.Q {
			if sum += q; !near(got[r]/all, pi[r], 1e-7) {
				t.Errorf("pi %v, k %d: rank %d has probability %v", pi, k, r, got[r]/all)
			}
		}
		if !near(sum, float64(k), 1e-9) {
			t.Errorf("pi %v, k %d: the coins sum to %v", pi, k, sum)
		}
	})
}

func TestNewCoinsRefuses(t *testing.T) {
	for _, tt := range []struct {
		pi   []float64
		k    int
		want string
	}{
		{[]float64{.5, .6}, 1, "the probabilities of 2 ranks sum to 1.1, want 1"},
		{[]float64{1.5, .5}, 2, "the probability of rank 1 is 1.5, want 0 to 1"},
		{[]float64{.5, math.NaN()}, 1, "the probability of rank 2 is NaN"},
		{nil, 0, "the probabilities of 0 ranks sum to 0, want 0"},
	} {
		if _, err := expert.NewCoins(tt.pi, tt.k); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewCoins(%v, %d): error %v, want one with %q", tt.pi, tt.k, err, tt.want)
		}
	}
}

// TestSampler draws often and counts.
func TestSampler(t *testing.T) {
	pi := expert.Inclusion([]float64{.6, .15, .1, .1, .04, .01}, 2)
	coins, err := expert.NewCoins(pi, 2)
	if err != nil {
		t.Fatal(err)
	}
	const draws = 100_000
	s, random, count := expert.NewSampler(coins), rand.New(rand.NewPCG(1, 2)), make([]float64, len(pi))
	var ranks []int
	for range draws {
		if ranks = s.Draw(ranks[:0], random); len(ranks) != 2 || ranks[0] >= ranks[1] {
			t.Fatalf("drew %v", ranks)
		}
		count[ranks[0]]++
		count[ranks[1]]++
	}
	for r, p := range pi {
		if sigma := math.Sqrt(p * (1 - p) / draws); !near(count[r]/draws, p, 5*sigma+1e-12) {
			t.Errorf("rank %d is drawn in %v of all, want %v", r, count[r]/draws, p)
		}
	}
}
