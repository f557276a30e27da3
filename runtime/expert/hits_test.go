package expert_test

import (
	"math/bits"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
	"pgregory.net/rapid"
)

// drawCosts draws costs of any balance.
func drawCosts(t *rapid.T) expert.Costs {
	micros := rapid.Float64Range(0.1, 10)
	return expert.Costs{Tensors: rapid.IntRange(1, 3).Draw(t, "tensors"), Chunks: rapid.IntRange(1, 3).Draw(t, "chunks"),
		Workers: rapid.IntRange(1, 4).Draw(t, "workers"), ReadSign: micros.Draw(t, "u"), ReadChunk: micros.Draw(t, "v"),
		Decode: micros.Draw(t, "c"), Compute: micros.Draw(t, "p"), Beside: micros.Draw(t, "beside")}
}

// TestExpect enumerates all throws of up to ten coins.
func TestExpect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pi, k := drawPi(t, 10)
		coins, err := expert.NewCoins(pi, k)
		if err != nil {
			t.Fatal(err)
		}
		number := rapid.IntRange(0, 4)
		n := expert.Slots{Full: number.Draw(t, "F"), Compressed: number.Draw(t, "C"), SignMantissa: number.Draw(t, "S"), Exponents: number.Draw(t, "E")}
		cost := drawCosts(t).Layer
		for _, fixed := range []bool{true, false} {
			h := expert.NewHits(coins)
			if !fixed {
				h = expert.NewUnionHits(coins.Q)
			}
			want, all := 0.0, 0.0
			var hits [expert.NumStates]float64
			for throw := range 1 << len(pi) {
				if fixed && bits.OnesCount(uint(throw)) != k {
					continue
				}
				p := 1.0
				var o expert.Outcome
				for r, q := range coins.Q {
					if throw>>r&1 == 0 {
						p *= 1 - q
						continue
					}
					p *= q
					o[stateOfRank(n, r)]++
				}
				all += p
				want += p * cost(o)
				for s := range hits {
					hits[s] += p * float64(o[s])
				}
			}
			if got := h.Expect(n, cost); !near(got, want/all, 1e-6*want/all) {
				t.Errorf("k fixed %v: %v, want %v", fixed, got, want/all)
			}
			for s, got := range h.Mean(n) {
				if !near(got, hits[s]/all, 1e-6) {
					t.Errorf("k fixed %v: %v in %v, want %v", fixed, got, expert.State(s), hits[s]/all)
				}
			}
		}
	})
}

// stateOfRank returns the state in which a rank, from 0, is planned to be.
func stateOfRank(n expert.Slots, r int) expert.State {
	for s := expert.Full; s > expert.Miss; s-- {
		if r < n.Of(s) {
			return s
		}
		r -= n.Of(s)
	}
	return expert.Miss
}
