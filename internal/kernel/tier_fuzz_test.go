package kernel

import (
	"math/rand/v2"
	"testing"
)

// FuzzTiers draws a convolution and holds its forward pass and both gradients on every tier against plain Go, bit for bit.
func FuzzTiers(f *testing.F) {
	f.Add(uint8(8), uint8(8), uint8(16), uint8(8), uint8(2), uint8(0), uint8(1), uint64(1))
	f.Add(uint8(9), uint8(3), uint8(47), uint8(15), uint8(2), uint8(1), uint8(1), uint64(2))
	f.Add(uint8(4), uint8(17), uint8(2), uint8(31), uint8(4), uint8(0), uint8(2), uint64(3))
	f.Fuzz(func(t *testing.T, h, w, c, k, kernel, stride, pad uint8, seed uint64) {
		g := Geometry{H: int(h%12) + 1, W: int(w%20) + 1, C: int(c%70) + 1, K: int(k%40) + 1, Kernel: int(kernel%5) + 1, Stride: int(stride%3) + 1, Groups: 1}
		g.Pad = int(pad) % g.Kernel
		if g.H+2*g.Pad < g.Kernel || g.W+2*g.Pad < g.Kernel {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		x, filters, dy := normals(rng, g.InLen()), normals(rng, g.FilterLen()), normals(rng, g.OutLen())
		before := active
		defer func() { active = before }()
		var want [3][]float32
		for _, tier := range available {
			active = tier
			got := [3][]float32{make([]float32, g.OutLen()), make([]float32, g.InLen()), make([]float32, g.FilterLen())}
			hwi, wt := make([]float32, g.FilterLen()), make([]float32, g.FilterLen())
			FiltersToHWI(hwi, filters, g)
			FiltersForGradInput(wt, filters, g)
			Conv(got[0], x, hwi, make([]float32, ConvScratch(g)), g)
			ConvGradInput(got[1], dy, wt, make([]float32, GradInputScratch(g)), g)
			ConvGradFilters(got[2], dy, x, make([]float32, GradFiltersScratch(g)), g)
			if tier.name == Generic {
				want = got
				continue
			}
			for i, name := range []string{"result", "gradient by the input", "gradient by the filters"} {
				for j, v := range want[i] {
					if got[i][j] != v {
						t.Fatalf("%s, %+v: %s %d is %v, plain Go gives %v", tier.name, g, name, j, got[i][j], v)
					}
				}
			}
		}
	})
}
