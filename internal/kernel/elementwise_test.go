package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAffine(t *testing.T) {
	x := []float32{1, 2, 10, 20}
	scale, bias := []float32{1, 2, 3, 4}, []float32{0, 0.5, 0, 0.5}
	for _, tt := range []struct {
		interleave bool
		want       []float32
	}{
		{false, []float32{1, 4.5, 3, 8.5, 10, 40.5, 30, 80.5}},
		{true, []float32{1, 2.5, 6, 8.5, 10, 20.5, 60, 80.5}},
	} {
		got := make([]float32, 8)
		Affine(got, x, scale, bias, 2, tt.interleave)
		if !slices.Equal(got, tt.want) {
			t.Errorf("interleave %v: got %v, want %v", tt.interleave, got, tt.want)
		}
		AffineCounts(got, []int32{1, 2, 10, 20}, scale, bias, 2, tt.interleave)
		if !slices.Equal(got, tt.want) {
			t.Errorf("counts, interleave %v: got %v, want %v", tt.interleave, got, tt.want)
		}
	}
	in := slices.Clone(x)
	Affine(in, in, []float32{2, 3}, []float32{1, 1}, 1, false)
	if want := []float32{3, 7, 21, 61}; !slices.Equal(in, want) {
		t.Errorf("in place: got %v, want %v", in, want)
	}
}

func TestHardtanh(t *testing.T) {
	nan := float32(math.NaN())
	x := []float32{-5, -1, -0.5, 0, 0.5, 1, 5, nan}
	y, dx := make([]float32, len(x)), make([]float32, len(x))
	Hardtanh(y, x)
	if want := []float32{-1, -1, -0.5, 0, 0.5, 1, 1}; !slices.Equal(y[:7], want) || y[7] == y[7] {
		t.Errorf("got %v, want %v and NaN", y, want)
	}
	HardtanhGrad(dx, []float32{1, 2, 3, 4, 5, 6, 7, 8}, y)
	if want := []float32{0, 0, 3, 4, 5, 0, 0, 0}; !slices.Equal(dx, want) {
		t.Errorf("gradient %v, want %v", dx, want)
	}
}

func TestPReLU(t *testing.T) {
	y := make([]float32, 4)
	PReLU(y, []float32{-2, -2, 3, 0}, []float32{0.25, -1})
	if want := []float32{-0.5, 2, 3, 0}; !slices.Equal(y, want) {
		t.Errorf("got %v, want %v", y, want)
	}
}

func TestLinear(t *testing.T) {
	y := make([]float32, 2)
	Linear(y, []float32{1, 2, 3}, []float32{1, 0, -1, 2, 2, 2}, []float32{10, 20})
	if want := []float32{8, 32}; !slices.Equal(y, want) {
		t.Errorf("got %v, want %v", y, want)
	}
}

var pools = []Pool{{H: 2, W: 2, C: 1, Kernel: 2, Stride: 2}, {H: 5, W: 7, C: 3, Kernel: 2, Stride: 2}, {H: 6, W: 6, C: 5, Kernel: 3, Stride: 1},
	{H: 6, W: 7, C: 2, Kernel: 3, Stride: 2}}

func TestPools(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	for _, p := range pools {
		x, dy := normals(rng, p.H*p.W*p.C), normals(rng, p.OutLen())
		x[0] = x[min(p.C, len(x)-1)] // a tie
		wantAvg, wantMax := make([]float64, p.OutLen()), make([]float64, p.OutLen())
		wantAvgGrad, wantMaxGrad := make([]float64, len(x)), make([]float64, len(x))
		for o := range wantAvg {
			y, z, c := o/p.C/p.OutW(), o/p.C%p.OutW(), o%p.C
			best := -1
			for r := range p.Kernel {
				for s := range p.Kernel {
					at := ((y*p.Stride+r)*p.W+z*p.Stride+s)*p.C + c
					wantAvg[o] += float64(x[at]) / float64(p.Kernel*p.Kernel)
					wantAvgGrad[at] += float64(dy[o]) / float64(p.Kernel*p.Kernel)
					if best < 0 || x[at] > x[best] {
						best = at
					}
				}
			}
			wantMax[o] = float64(x[best])
			wantMaxGrad[best] += float64(dy[o])
		}
		y, dx := make([]float32, p.OutLen()), make([]float32, len(x))
		AvgPool(y, x, p)
		near(t, "average", y, wantAvg)
		AvgPoolGrad(dx, dy, p)
		near(t, "average gradient", dx, wantAvgGrad)
		MaxPool(y, x, p)
		near(t, "maximum", y, wantMax)
		MaxPoolGrad(dx, dy, x, p)
		near(t, "maximum gradient", dx, wantMaxGrad)

		counts, most := make([]int32, len(x)), make([]int32, p.OutLen())
		for i, v := range x {
			counts[i] = int32(v * 1000)
		}
		MaxPool(most, counts, p)
		for i, v := range most {
			if v != int32(y2(wantMax[i])) {
				t.Fatalf("%+v: maximum of counts %d is %d, want %d", p, i, v, int32(y2(wantMax[i])))
			}
		}
	}
}

func y2(v float64) float32 { return float32(v) * 1000 }

func TestGlobalAvgPoolAndFlatten(t *testing.T) {
	x := []float32{1, 2, 3, 4, 5, 6} // three pixels, two channels
	mean := make([]float32, 2)
	GlobalAvgPool(mean, x)
	near(t, "mean", mean, []float64{3, 4})
	flat, back := make([]float32, 6), make([]float32, 6)
	Flatten(flat, x, 3)
	if want := []float32{1, 3, 5, 2, 4, 6}; !slices.Equal(flat, want) {
		t.Errorf("flat %v, want %v", flat, want)
	}
	Unflatten(back, flat, 3)
	if !slices.Equal(back, x) {
		t.Errorf("back %v, want %v", back, x)
	}
}

// TestTile holds the copies and their sums on every tier against the loops that they are.
func TestTile(t *testing.T) {
	for _, n := range []int{1, 3, 4, 8, 16, 24} {
		for _, factor := range []int{1, 2, 5} {
			for _, interleave := range []bool{false, true} {
				const pixels = 3
				rng := rand.New(rand.NewPCG(uint64(n), uint64(factor)))
				x, dy := normals(rng, pixels*n), normals(rng, pixels*n*factor)
				want, wantGrad := make([]float32, len(dy)), make([]float32, len(x))
				for e := range dy {
					p, i := e/(n*factor), e%(n*factor)%n
					if interleave {
						i = e % (n * factor) / factor
					}
					want[e] = x[p*n+i]
					wantGrad[p*n+i] += dy[e]
				}
				eachTier(t, func(t *testing.T) {
					got, grad := make([]float32, len(dy)+1), make([]float32, len(x)+1)
					got[len(dy)], grad[len(x)] = 777, 777
					Tile(got[:len(dy)], x, n, factor, interleave)
					TileGrad(grad[:len(x)], dy, n, factor, interleave)
					if got[len(dy)] != 777 || grad[len(x)] != 777 {
						t.Error("wrote behind the output")
					}
					if !slices.Equal(got[:len(dy)], want) || !slices.Equal(grad[:len(x)], wantGrad) {
						t.Errorf("%d copies of %d, interleave %v: %v and %v, want %v and %v", factor, n, interleave, got, grad, want, wantGrad)
					}
				})
			}
		}
	}
}
