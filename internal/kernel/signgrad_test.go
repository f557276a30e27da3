package kernel

import (
	"math/rand/v2"
	"testing"
)

// gradGeometries are geometries and more that straddle the edges of the tables: groups of four pixels and filters, rows
// of fewer, taps that leave the image on both sides of a group.
var gradGeometries = append([]Geometry{
	{H: 32, W: 32, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 8, W: 8, C: 64, K: 64, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 16, W: 16, C: 64, K: 4, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 7, W: 7, C: 40, K: 24, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 14, W: 14, C: 16, K: 18, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 3, W: 21, C: 9, K: 17, Kernel: 5, Stride: 1, Pad: 2, Groups: 1},
	{H: 6, W: 66, C: 8, K: 8, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 9, W: 9, C: 8, K: 40, Kernel: 1, Stride: 3, Groups: 1},
	{H: 9, W: 11, C: 8, K: 8, Kernel: 2, Stride: 3, Pad: 1, Groups: 1},
	{H: 4, W: 5, C: 8, K: 8, Kernel: 7, Stride: 2, Pad: 3, Groups: 1},
	{H: 1, W: 2, C: 8, K: 8, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
}, geometries...)

// signGradients computes both gradients of ±1 operands on the active tier: dx and, as [K,C/G,R,S], twice dw.
func signGradients(t testing.TB, g Geometry, dy, x, w []float32) (dx, dw []float32) {
	const canary = 12345
	f := NewSignGradients(g)
	f.Pack(make([]float32, g.FilterLen())) // others first
	f.Pack(w)
	bits := make([]uint64, g.InWords())
	PackSigns(bits, x, g.H*g.W*g.Groups, g.GroupC())
	scratch := f.NewScratch()
	n := len(scratch.floats)
	scratch.floats = append(scratch.floats, make([]float32, 16)...)[:n] // whoever writes behind them is found
	dx, sum := make([]float32, g.InLen()+16), make([]float32, f.FiltersLen()+16)
	for i := range 16 {
		dx[g.InLen()+i], sum[f.FiltersLen()+i] = canary, canary
	}
	for range 2 { // the second time over used scratch
		f.Input(dx[:g.InLen()], dy, scratch)
		f.Filters(sum[:f.FiltersLen()], dy, bits, scratch)
	}
	for i := range 16 {
		if dx[g.InLen()+i] != canary || sum[f.FiltersLen()+i] != canary {
			t.Fatal("wrote behind the output")
		}
		if scratch.floats[:n+16][n+i] != 0 {
			t.Fatal("wrote behind the scratch")
		}
	}
	dw = make([]float32, g.FilterLen())
	f.ToOIHW(dw, sum[:f.FiltersLen()])
	return dx[:g.InLen()], dw
}

func TestSignGradients(t *testing.T) { eachTier(t, testSignGradients) }

func testSignGradients(t *testing.T) {
	for _, g := range gradGeometries {
		t.Run(g.name(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			x, w, dy := signs(rng, g.InLen()), signs(rng, g.FilterLen()), normals(rng, g.OutLen())
			wantX, wantW := make([]float64, g.InLen()), make([]float64, g.FilterLen())
			naive(g, func(out, in, f int) {
				wantX[in] += float64(dy[out]) * float64(w[f])
				wantW[f] += 2 * float64(dy[out]) * float64(x[in])
			})
			dx, dw := signGradients(t, g, dy, x, w)
			near(t, "dx", dx, wantX)
			near(t, "dw", dw, wantW)
		})
	}
}

// TestSignGradientsAreTheSameOnTiers: bit for bit.
func TestSignGradientsAreTheSameOnTiers(t *testing.T) {
	for _, g := range gradGeometries {
		t.Run(g.name(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			x, w, dy := signs(rng, g.InLen()), signs(rng, g.FilterLen()), normals(rng, g.OutLen())
			for i := range dy {
				if rng.IntN(3) == 0 {
					dy[i] = 0 // as a hardtanh leaves it
				}
			}
			sameOnTiers(t, func() map[string][]float32 {
				dx, dw := signGradients(t, g, dy, x, w)
				return map[string][]float32{"dx": dx, "dw": dw}
			})
		})
	}
}

func FuzzSignGradients(f *testing.F) {
	f.Add(uint64(1), uint8(9), uint8(17), uint8(16), uint8(8), uint8(3), uint8(1), uint8(1))
	f.Add(uint64(2), uint8(8), uint8(8), uint8(33), uint8(12), uint8(3), uint8(2), uint8(1))
	f.Add(uint64(3), uint8(5), uint8(7), uint8(8), uint8(70), uint8(5), uint8(3), uint8(2))
	f.Fuzz(func(t *testing.T, seed uint64, h, w, c, k, kernel, stride, pad uint8) {
		g := Geometry{H: 1 + int(h)%20, W: 1 + int(w)%40, C: 1 + int(c)%80, K: 1 + int(k)%80, Kernel: 1 + int(kernel)%7,
			Stride: 1 + int(stride)%4, Groups: 1}
		g.Pad = int(pad) % g.Kernel
		if g.H+2*g.Pad < g.Kernel || g.W+2*g.Pad < g.Kernel {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		x, filters, dy := signs(rng, g.InLen()), signs(rng, g.FilterLen()), normals(rng, g.OutLen())
		before := active
		defer func() { active = before }()
		var wantX, wantW []float32
		for _, tier := range available {
			active = tier
			dx, dw := signGradients(t, g, dy, x, filters)
			if tier.name == Generic {
				wantX, wantW = dx, dw
				continue
			}
			for i, v := range wantX {
				if dx[i] != v {
					t.Fatalf("%s, %+v: gradient by the input %d is %v, plain Go gives %v", tier.name, g, i, dx[i], v)
				}
			}
			for i, v := range wantW {
				if dw[i] != v {
					t.Fatalf("%s, %+v: gradient by the filters %d is %v, plain Go gives %v", tier.name, g, i, dw[i], v)
				}
			}
		}
	})
}

func BenchmarkSignGradients(b *testing.B) {
	for _, g := range []Geometry{
		{H: 32, W: 32, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 32, W: 32, C: 32, K: 8, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 32, W: 32, C: 64, K: 4, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 16, W: 16, C: 32, K: 32, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 8, W: 8, C: 64, K: 64, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	} {
		rng := rand.New(rand.NewPCG(7, 8))
		x, dy, w := signs(rng, g.InLen()), normals(rng, g.OutLen()), signs(rng, g.FilterLen())
		f := NewSignGradients(g)
		f.Pack(w)
		bits := make([]uint64, g.InWords())
		PackSigns(bits, x, g.H*g.W, g.C)
		scratch, dx, dw := f.NewScratch(), make([]float32, g.InLen()), make([]float32, f.FiltersLen())
		b.Run("input/"+g.name(), func(b *testing.B) {
			b.SetBytes(int64(4 * (len(dx) + len(dy))))
			for b.Loop() {
				f.Input(dx, dy, scratch)
			}
		})
		b.Run("filters/"+g.name(), func(b *testing.B) {
			b.SetBytes(int64(8*len(bits) + 4*len(dy)))
			for b.Loop() {
				f.Filters(dw, dy, bits, scratch)
			}
		})
	}
}
