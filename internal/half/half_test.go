package half_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bnntool/bnntool/internal/half"
)

// TestHalvesSurvive: every number of the 16-bit formats has itself as the nearest.
func TestHalvesSurvive(t *testing.T) {
	for _, f := range []struct {
		name string
		to   func(float32) uint16
		from func(uint16) float32
	}{{"float16", half.ToFloat16, half.FromFloat16}, {"bfloat16", half.ToBFloat16, half.FromBFloat16}} {
		for h := range 1 << 16 {
			x := f.from(uint16(h))
			if got := f.to(x); x == x && got != uint16(h) {
				t.Errorf("%s: %#04x is %v, whose nearest is %#04x", f.name, h, x, got)
			} else if x != x && f.from(got) == f.from(got) {
				t.Errorf("%s: %#04x is NaN, which becomes %#04x", f.name, h, got)
			}
		}
	}
}

// TestHalvesAreNearest compares with the two neighbours: none is nearer, and of two as near the even one is taken.
func TestHalvesAreNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var cases []float32
	for range 200_000 {
		cases = append(cases, math.Float32frombits(rng.Uint32()))
	}
	for h := range uint16(0x7bff) { // the middle between two halves, and just beside it
		middle := (half.FromFloat16(h) + half.FromFloat16(h+1)) / 2
		cases = append(cases, middle, -middle, math.Nextafter32(middle, 0), math.Nextafter32(middle, 1e9))
	}
	cases = append(cases, 65519.996, 65520, 65536, 1e10)
	for _, f := range []struct {
		name string
		to   func(float32) uint16
		from func(uint16) float32
	}{{"float16", half.ToFloat16, half.FromFloat16}, {"bfloat16", half.ToBFloat16, half.FromBFloat16}} {
		for _, x := range cases {
			h := f.to(x)
			y := float64(f.from(h))
			if x != x || math.IsInf(y, 0) {
				continue
			}
			d := math.Abs(float64(x) - y)
			for _, n := range []uint16{h - 1, h + 1} {
				z := float64(f.from(n))
				if z != z || math.IsInf(z, 0) || math.Signbit(z) != math.Signbit(y) {
					continue
				}
				if dn := math.Abs(float64(x) - z); dn < d || dn == d && h&1 != 0 {
					t.Fatalf("%s: %v becomes %v, but %v is nearer, or as near and even", f.name, x, y, z)
				}
			}
		}
	}
	for x, want := range map[float32]uint16{65519.996: 0x7bff, 65520: 0x7c00, -65536: 0xfc00, 1e-10: 0, 1: 0x3c00, -2: 0xc000} {
		if got := half.ToFloat16(x); got != want {
			t.Errorf("float16 of %v is %#04x, want %#04x", x, got, want)
		}
	}
}
