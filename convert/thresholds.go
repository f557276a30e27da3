package convert

import (
	"slices"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// chooseThresholds replaces what computes a value of which only the sign is used by one integer comparison, where it
// computes it from the exact sums of a 1-bit convolution.
//
// A sum is one of the 2·taps+1 integers from -taps to taps. Batch norm, clipping and the like are monotone in it, also
// after rounding, so that the sign changes at most once over that range. Where it changes is found by evaluating
// the float32 expression at every sum, so that the threshold is exact, not a rounded quotient.
func chooseThresholds(g *graph) {
	users := g.users()
	for _, n := range g.nodes {
		if !onlySigns(users[n]) || g.out == n {
			continue
		}
		chain := chainTo(n, users)
		if len(chain) == 0 {
			continue
		}
		factor, interleave := 0, false
		for _, e := range chain {
			if f := e.op.FactorCount(); f > 1 {
				factor, interleave = f, e.op.Interleave
			}
		}
		limits, flip, ok := thresholds(chain, n.c, taps(chain[0].in[0]))
		if !ok {
			continue
		}
		*n = node{
			op: artifact.Op{Name: n.op.Name, Kind: artifact.Threshold, Factor: factor, Interleave: interleave},
			in: chain[0].in, c: n.c, layer: n.layer, shows: n.shows, limits: limits, flip: flip,
		}
	}
}

// chainTo returns the elementwise operations from a map of exact sums to n, n last, all but n taken by nothing else. It
// returns nil if there is no such chain, or if more than one of its operations widens the map.
func chainTo(n *node, users map[*node][]*node) []*node {
	var chain []*node
	wider := 0
	for at := n; at != nil; at = at.in[0] {
		if at.counts() {
			slices.Reverse(chain)
			return chain
		}
		switch at.op.Kind {
		case artifact.Affine, artifact.Hardtanh, artifact.PReLU:
		default:
			return nil
		}
		if at.op.FactorCount() > 1 {
			wider++
		}
		if wider > 1 || at != n && len(users[at]) > 1 {
			return nil
		}
		chain = append(chain, at)
	}
	return nil
}

// taps returns the largest exact sum that the map x can hold; the smallest is its negative.
func taps(x *node) int {
	for x.op.Kind == artifact.MaxPool {
		x = x.in[0]
	}
	return len(x.weights) / x.op.Out
}

// thresholds returns the threshold of each of n channels, and whether it is flipped; flip is nil if none is. ok is false
// if a sign changes more than once.
func thresholds(chain []*node, n, taps int) (limits []int32, flip []bool, ok bool) {
	limits, flip = make([]int32, n), make([]bool, n)
	for c := range n {
		at := channels(chain, c)
		negative := func(sum int) bool { return evaluate(chain, at, sum) < 0 }
		if limits[c], flip[c], ok = threshold(negative, taps); !ok {
			return nil, nil, false
		}
	}
	if !slices.Contains(flip, true) {
		flip = nil
	}
	return limits, flip, true
}

// threshold returns t and flip so that (sum < t) != flip is negative(sum) for all sums from -taps to taps. ok is false if
// negative changes more than once over them, so that there are no such numbers.
func threshold(negative func(sum int) bool, taps int) (t int32, flip, ok bool) {
	first := negative(-taps)
	t, flip = artifact.NeverBelow, first
	changes := 0
	for sum, last := -taps+1, first; sum <= taps; sum++ {
		if now := negative(sum); now != last {
			last = now
			t, flip = int32(sum), !first
			changes++
		}
	}
	return t, flip, changes <= 1
}

// channels returns for each operation of the chain which of its channels channel c at the end depends on.
func channels(chain []*node, c int) []int {
	at := make([]int, len(chain))
	for i, n := range slices.Backward(chain) {
		at[i] = c
		if f := n.op.FactorCount(); n.op.Interleave {
			c /= f
		} else {
			c %= n.c / f
		}
	}
	return at
}

// evaluate computes the chain for one exact sum, the i-th operation in its channel at[i], as artifact.Kind says.
func evaluate(chain []*node, at []int, sum int) float32 {
	v := float32(sum)
	for i, n := range chain {
		switch n.op.Kind {
		case artifact.Affine:
			if n.scale != nil {
				v = float32(n.scale[at[i]] * v)
			}
			if n.bias != nil {
				v += n.bias[at[i]]
			}
		case artifact.Hardtanh:
			v = min(1, max(-1, v))
		case artifact.PReLU:
			if !(v > 0) {
				v = float32(n.slope[at[i]] * v)
			}
		}
	}
	return v
}
