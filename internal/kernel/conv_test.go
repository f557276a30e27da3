package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// geometries straddle the edges that a convolution can get wrong: borders, strides, one and several words of channels,
// filters that are not a multiple of the block, groups.
var geometries = []Geometry{
	{H: 9, W: 17, C: 16, K: 8, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 8, W: 8, C: 32, K: 12, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 7, W: 7, C: 48, K: 20, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 5, W: 6, C: 8, K: 4, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 5, W: 9, C: 80, K: 4, Kernel: 1, Stride: 1, Groups: 1},
	{H: 5, W: 9, C: 24, K: 8, Kernel: 1, Stride: 2, Groups: 1},
	{H: 6, W: 5, C: 16, K: 3, Kernel: 2, Stride: 1, Pad: 0, Groups: 1},
	{H: 9, W: 10, C: 128, K: 32, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 16, W: 9, C: 64, K: 16, Kernel: 5, Stride: 1, Pad: 2, Groups: 1},
	{H: 2, W: 2, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 1, W: 1, C: 1, K: 1, Kernel: 1, Stride: 1, Groups: 1},
	{H: 3, W: 3, C: 3, K: 5, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 1, W: 7, C: 16, K: 4, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 8, W: 5, C: 63, K: 7, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 5, W: 8, C: 64, K: 8, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 6, W: 6, C: 65, K: 9, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 7, W: 9, C: 129, K: 3, Kernel: 1, Stride: 1, Groups: 1},
	{H: 7, W: 9, C: 20, K: 6, Kernel: 5, Stride: 3, Pad: 2, Groups: 1},
	{H: 9, W: 7, C: 12, K: 6, Kernel: 3, Stride: 1, Groups: 1},
	{H: 6, W: 6, C: 12, K: 6, Kernel: 3, Stride: 1, Pad: 1, Groups: 3},
	{H: 6, W: 5, C: 6, K: 6, Kernel: 3, Stride: 2, Pad: 1, Groups: 6},
	{H: 4, W: 4, C: 130, K: 4, Kernel: 3, Stride: 1, Pad: 1, Groups: 2},
}

func (g Geometry) name() string {
	return fmt.Sprintf("%dx%dx%d-%d-k%ds%dp%dg%d", g.H, g.W, g.C, g.K, g.Kernel, g.Stride, g.Pad, g.Groups)
}

func normals(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func signs(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(1 - 2*rng.IntN(2))
	}
	return v
}

// naive calls visit for every product of a convolution: output element, input element, filter element (OIHW).
func naive(g Geometry, visit func(out, in, filter int)) {
	gc, gk := g.C/g.Groups, g.K/g.Groups
	for y := range g.OutH() {
		for z := range g.OutW() {
			for k := range g.K {
				for r := range g.Kernel {
					for s := range g.Kernel {
						iy, iz := y*g.Stride-g.Pad+r, z*g.Stride-g.Pad+s
						if iy < 0 || iy >= g.H || iz < 0 || iz >= g.W {
							continue
						}
						for c := range gc {
							visit((y*g.OutW()+z)*g.K+k, (iy*g.W+iz)*g.C+k/gk*gc+c, ((k*gc+c)*g.Kernel+r)*g.Kernel+s)
						}
					}
				}
			}
		}
	}
}

func TestBinConv(t *testing.T) { eachTier(t, testBinConv) }

func testBinConv(t *testing.T) {
	for _, g := range geometries {
		t.Run(g.name(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			x, w := signs(rng, g.InLen()), signs(rng, g.FilterLen())
			want := make([]int32, g.OutLen())
			naive(g, func(out, in, f int) { want[out] += int32(x[in] * w[f]) })

			px, pw := make([]uint64, g.InWords()), make([]uint64, g.FilterWords())
			PackSigns(px, x, g.H*g.W*g.Groups, g.GroupC())
			PackFilters(pw, w, g)
			got := make([]int32, g.OutLen())
			BinConv(got, px, pw, g)
			f := NewSignFilters(g)
			scratch, checkScratch := guardedWords(t, rng, "scratch", f.Scratch())
			f.Pack(signs(rng, g.FilterLen())) // others first
			f.Pack(w)
			prepared := make([]int32, g.OutLen(), g.OutLen()+16)
			for range 2 {
				f.Convolve(prepared, px, scratch)
			}
			checkScratch()
			for i := range want {
				if got[i] != want[i] || prepared[i] != want[i] {
					t.Fatalf("count %d: got %d, prepared %d, want %d", i, got[i], prepared[i], want[i])
				}
			}
			for _, v := range prepared[:cap(prepared)][g.OutLen():] {
				if v != 0 {
					t.Error("wrote behind the output")
				}
			}
		})
	}
}

// near fails unless got is want to rounding, relative to the largest magnitude of want.
func near(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	scale := 1.0
	for _, v := range want {
		scale = max(scale, math.Abs(v))
	}
	for i, v := range want {
		if d := math.Abs(float64(got[i]) - v); !(d <= 2e-6*scale) {
			t.Fatalf("%s %d: got %v, want %v", what, i, got[i], v)
		}
	}
}

func TestConvAndGradients(t *testing.T) {
	eachTier(t, testConvAndGradients)
}

func testConvAndGradients(t *testing.T) {
	for _, g := range geometries {
		t.Run(g.name(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			x, w, dy := normals(rng, g.InLen()), normals(rng, g.FilterLen()), normals(rng, g.OutLen())
			wantY, wantX, wantW := make([]float64, g.OutLen()), make([]float64, g.InLen()), make([]float64, g.FilterLen())
			naive(g, func(out, in, f int) {
				wantY[out] += float64(x[in]) * float64(w[f])
				wantX[in] += float64(dy[out]) * float64(w[f])
				wantW[f] += float64(dy[out]) * float64(x[in])
			})

			hwi := make([]float32, g.FilterLen())
			FiltersToHWI(hwi, w, g)
			y := make([]float32, g.OutLen())
			Conv(y, x, hwi, make([]float32, ConvScratch(g)), g)
			near(t, "y", y, wantY)

			wt := make([]float32, g.FilterLen())
			FiltersForGradInput(wt, w, g)
			dx := make([]float32, g.InLen())
			ConvGradInput(dx, dy, wt, make([]float32, GradInputScratch(g)), g)
			near(t, "dx", dx, wantX)

			dw, back := make([]float32, g.FilterLen()), make([]float32, g.FilterLen())
			ConvGradFilters(dw, dy, x, make([]float32, GradFiltersScratch(g)), g)
			FiltersToOIHW(back, dw, g)
			near(t, "dw", back, wantW)
		})
	}
}

// Conv's order of summation is part of its contract: packages that take signs of its results rely on it.
func TestConvSumOrder(t *testing.T) {
	for _, g := range geometries {
		rng := rand.New(rand.NewPCG(5, 6))
		x, w := normals(rng, g.InLen()), normals(rng, g.FilterLen())
		hwi, y := make([]float32, g.FilterLen()), make([]float32, g.OutLen())
		FiltersToHWI(hwi, w, g)
		Conv(y, x, hwi, nil, g)
		want := make([]float32, g.OutLen())
		gc := g.GroupC()
		for o := range want { // rows, columns, channels in ascending order
			oy, oz, k := o/g.K/g.OutW(), o/g.K%g.OutW(), o%g.K
			for r := range g.Kernel {
				for s := range g.Kernel {
					iy, iz := oy*g.Stride-g.Pad+r, oz*g.Stride-g.Pad+s
					if iy < 0 || iy >= g.H || iz < 0 || iz >= g.W {
						continue
					}
					for c := range gc {
						want[o] += float32(w[((k*gc+c)*g.Kernel+r)*g.Kernel+s] * x[(iy*g.W+iz)*g.C+k/(g.K/g.Groups)*gc+c])
					}
				}
			}
		}
		eachTier(t, func(t *testing.T) {
			again, scratch := make([]float32, g.OutLen()), make([]float32, ConvScratch(g))
			for range 2 {
				Conv(again, x, hwi, scratch, g)
			}
			for i := range want {
				if y[i] != want[i] || again[i] != want[i] {
					t.Fatalf("%s: y[%d] = %v, with scratch %v, want %v bit for bit", g.name(), i, y[i], again[i], want[i])
				}
			}
		})
	}
}

// binShapes are the 1-bit layers of ResNet-20, with RepTran's channels too, and of ResNet-18.
var binShapes = []Geometry{
	{H: 32, W: 32, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 32, W: 32, C: 16, K: 32, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 16, W: 16, C: 32, K: 32, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 8, W: 8, C: 64, K: 64, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 32, W: 32, C: 32, K: 8, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 16, W: 16, C: 64, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 8, W: 8, C: 128, K: 32, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 32, W: 32, C: 64, K: 4, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 56, W: 56, C: 64, K: 64, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 28, W: 28, C: 128, K: 128, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 14, W: 14, C: 256, K: 256, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 7, W: 7, C: 512, K: 512, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
}

func BenchmarkBinConv(b *testing.B) {
	for _, g := range binShapes {
		b.Run(g.name(), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(9, 10))
			x, y := make([]uint64, g.InWords()), make([]int32, g.OutLen())
			PackSigns(x, normals(rng, g.InLen()), g.H*g.W, g.C)
			f := NewSignFilters(g)
			scratch := make([]uint64, f.Scratch())
			f.Pack(normals(rng, g.FilterLen()))
			b.SetBytes(int64(8*len(x) + 4*len(y)))
			for b.Loop() {
				f.Convolve(y, x, scratch)
			}
			b.ReportMetric(float64(g.OutH()*g.OutW()*g.FilterLen())*float64(b.N)/1e9/b.Elapsed().Seconds(), "GMAC/s")
		})
	}
}

func BenchmarkConvGrad(b *testing.B) {
	for _, g := range []Geometry{
		{H: 32, W: 32, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 32, W: 32, C: 32, K: 8, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 8, W: 8, C: 64, K: 64, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	} {
		rng := rand.New(rand.NewPCG(7, 8))
		x, dy, w := normals(rng, g.InLen()), normals(rng, g.OutLen()), normals(rng, g.FilterLen())
		dx, scratch, scratch2 := make([]float32, g.InLen()), make([]float32, GradInputScratch(g)), make([]float32, GradFiltersScratch(g))
		b.Run("input/"+g.name(), func(b *testing.B) {
			b.SetBytes(int64(4 * (len(dx) + len(dy))))
			for b.Loop() {
				ConvGradInput(dx, dy, w, scratch, g)
			}
		})
		b.Run("filters/"+g.name(), func(b *testing.B) {
			b.SetBytes(int64(4 * (len(x) + len(dy))))
			for b.Loop() {
				ConvGradFilters(w, dy, x, scratch2, g)
			}
		})
	}
}

// TestGatherPatches holds the rows of windows on every tier against windows gathered one by one.
func TestGatherPatches(t *testing.T) {
	for _, c := range []int{1, 2, 3, 4, 5, 6, 8, 11} {
		for _, g := range []Geometry{{5, 6, c, 8, 3, 1, 1, 1}, {7, 5, c, 8, 3, 2, 1, 1}, {4, 4, c, 8, 1, 1, 0, 1}, {6, 9, c, 8, 4, 3, 2, 1}} {
			eachTier(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(c), 2))
				x := normals(rng, g.InLen())
				n, row, pixels := g.Kernel*g.Kernel*g.C, patchLen(g), g.OutH()*g.OutW()
				const kept = 777 // behind each window and behind the scratch
				p := make([]float32, patchScratch(g)+1)
				for i := range p {
					p[i] = kept
				}
				gatherPatches(p[:patchScratch(g)], x, g)
				want := make([]float32, n)
				for i := range pixels {
					gatherWindow(want, x, i, g)
					if got := p[i*row : i*row+n]; !slices.Equal(got, want) {
						t.Fatalf("%+v: window %d is %v, want %v", g, i, got, want)
					}
					for _, v := range p[i*row+n : (i+1)*row] {
						if v != kept {
							t.Fatalf("%+v: wrote behind window %d", g, i)
						}
					}
				}
				if p[len(p)-1] != kept {
					t.Errorf("%+v: wrote behind the scratch", g)
				}
			})
		}
	}
}
