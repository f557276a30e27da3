package kernel

import (
	"math/rand/v2"
	"testing"
)

// TestCountsAtTheirLimits: windows that differ from filters in every bit or in none, of as many channels as fill what tiers
// count in bytes, and of one word more. Random operands differ in half of their bits and come nowhere near.
func TestCountsAtTheirLimits(t *testing.T) { eachTier(t, testCountsAtTheirLimits) }

func testCountsAtTheirLimits(t *testing.T) {
	for _, g := range []Geometry{
		{H: 1, W: 7, C: 960, K: 16, Kernel: 1, Stride: 1, Groups: 1},
		{H: 1, W: 7, C: 1024, K: 16, Kernel: 1, Stride: 1, Groups: 1},
		{H: 2, W: 4, C: 1984, K: 34, Kernel: 1, Stride: 1, Groups: 1},
		{H: 2, W: 4, C: 2048, K: 18, Kernel: 1, Stride: 1, Groups: 1},
		{H: 6, W: 9, C: 32, K: 64, Kernel: 6, Stride: 1, Groups: 1},
		{H: 5, W: 6, C: 128, K: 64, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 4, W: 4, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 4, W: 4, C: 64, K: 16, Kernel: 4, Stride: 1, Pad: 1, Groups: 1},
	} {
		t.Run(g.name(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			x, w := make([]float32, g.InLen()), make([]float32, g.FilterLen())
			for i := range x {
				x[i] = -1
			}
			for i := range w {
				w[i] = float32(1 - 2*(i/(len(w)/g.K)%2)) // +1 in filters of even number
			}
			bits := make([]uint64, g.InWords())
			PackSigns(bits, x, g.H*g.W, g.C)
			f := NewSignFilters(g)
			f.Pack(w)
			got := make([]int32, g.OutLen())
			f.Convolve(got, bits, dirty(rng, f.Scratch()))
			limits := make([]int32, g.K) // reached by the filters of odd number alone
			layer, signs := NewBitLayer(f, limits, nil, false), dirty(rng, g.OutH()*g.OutW()*Words(g.K))
			layer.Convolve(signs, bits, dirty(rng, layer.Scratch()))
			for i, v := range got {
				p, k := i/g.K, i%g.K
				r0, r1 := taps(p/g.OutW(), g.Stride, g.Pad, g.Kernel, g.H)
				s0, s1 := taps(p%g.OutW(), g.Stride, g.Pad, g.Kernel, g.W)
				want := int32((r1 - r0) * (s1 - s0) * g.C * (2*(k%2) - 1))
				if v != want {
					t.Fatalf("%s: pixel %d filter %d: %d, want %d", f.Kernel(), p, k, v, want)
				}
				if below := signs[p*Words(g.K)+k/WordBits]>>(k%WordBits)&1 != 0; below != (want < 0) {
					t.Fatalf("%s: pixel %d filter %d: count %d is below 0: %v", layer.Kernel(), p, k, want, below)
				}
			}
		})
	}
}
