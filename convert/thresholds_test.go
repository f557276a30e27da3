package convert

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// affineChain is one batch norm of one channel.
func affineChain(scale, bias float32) []*node {
	return []*node{{op: artifact.Op{Kind: artifact.Affine}, c: 1, scale: []float32{scale}, bias: []float32{bias}}}
}

// TestThresholdCases has the corners, with 9 taps.
func TestThresholdCases(t *testing.T) {
	const never = artifact.NeverBelow
	negativeZero := float32(math.Copysign(0, -1))
	for _, tt := range []struct {
		name        string
		scale, bias float32
		t           int32
		flip        bool
	}{
		{"the sign itself", 1, 0, 0, false},
		{"between two sums", 1, -0.5, 1, false},
		{"at a sum: zero is +1", 2, -6, 3, false},
		{"falling, at a sum", -2, 6, 4, true},
		{"falling", -1, 0.5, 1, true},
		{"scale 0, bias above", 0, 1, never, false},
		{"scale 0, bias below", 0, -1, never, true},
		{"scale 0, bias 0", 0, 0, never, false},
		{"scale -0", negativeZero, negativeZero, never, false},
		{"always above", 1, 9, never, false},
		{"always above but once", 1, 8, -8, false},
		{"always below", 1, -9.5, never, true},
		{"always below but once", 1, -9, 9, false},
		{"falling, below but once", -1, -9, -8, true},
		{"smallest scale", math.SmallestNonzeroFloat32, 0, 0, false},
		{"overflow", math.MaxFloat32, -math.MaxFloat32, 1, false},
		{"bias lost in rounding", 1e8, 1, 0, false},
	} {
		limits, flip, ok := thresholds(affineChain(tt.scale, tt.bias), 1, 9)
		if got := flip != nil && flip[0]; !ok || limits[0] != tt.t || got != tt.flip {
			t.Errorf("%s: y = %g·x + %g: threshold %d, flip %v, ok %v, want %d, %v", tt.name, tt.scale, tt.bias, limits[0], got, ok, tt.t, tt.flip)
		}
	}
}

// TestThresholdExact compares thresholds with the float expression, written again, at every sum.
func TestThresholdExact(t *testing.T) {
	finite := rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32)
	usual := rapid.Float32Range(-30, 30)
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(usual, finite)
		s1, b1 := number.Draw(t, "scale"), number.Draw(t, "bias")
		taps := rapid.IntRange(1, 600).Draw(t, "taps")
		chain := affineChain(s1, b1)
		clipped, b2 := rapid.Bool().Draw(t, "clipped"), usual.Draw(t, "shift")
		if clipped {
			chain = append(chain, &node{op: artifact.Op{Kind: artifact.Hardtanh}, c: 1},
				&node{op: artifact.Op{Kind: artifact.Affine}, c: 1, bias: []float32{b2}})
		}
		limits, flip, ok := thresholds(chain, 1, taps)
		if !ok {
			t.Fatalf("no threshold")
		}
		for sum := -taps; sum <= taps; sum++ {
			y := float32(s1*float32(sum)) + b1
			if clipped {
				y = min(1, max(-1, y)) + b2
			}
			got := int32(sum) < limits[0]
			if flip != nil && flip[0] {
				got = !got
			}
			if got != (y < 0) {
				t.Fatalf("sum %d: threshold %d, flip %v say %v, the float is %g", sum, limits[0], flip, got, y)
			}
		}
	})
}

func TestThresholdRefusesTwoChanges(t *testing.T) {
	if _, _, ok := threshold(func(sum int) bool { return sum == 3 }, 9); ok {
		t.Error("a sign that changes twice: want no threshold")
	}
	prelu := []*node{{op: artifact.Op{Kind: artifact.PReLU}, c: 1, slope: []float32{-1}},
		{op: artifact.Op{Kind: artifact.Affine}, c: 1, bias: []float32{-3}}}
	if _, _, ok := thresholds(prelu, 1, 9); ok {
		t.Error("|x|-3: want no threshold")
	}
}

// TestChannelsOfChain: a tile in the chain makes a channel read another one.
func TestChannelsOfChain(t *testing.T) {
	for _, tt := range []struct {
		interleave bool
		want       []int32
	}{
		{false, []int32{1, 2, 11, 12}}, // bias of channel 0, 1, 0, 1 and shift
		{true, []int32{1, 1, 12, 12}},
	} {
		chain := []*node{
			{op: artifact.Op{Kind: artifact.Affine}, c: 2, bias: []float32{-1, -2}},
			{op: artifact.Op{Kind: artifact.Affine, Factor: 2, Interleave: tt.interleave}, c: 4, bias: []float32{0, 0, -10, -10}},
		}
		limits, _, ok := thresholds(chain, 4, 20)
		for j, want := range tt.want {
			if !ok || limits[j] != want {
				t.Errorf("interleave %v: thresholds %v, want %v", tt.interleave, limits, tt.want)
				break
			}
		}
	}
}
