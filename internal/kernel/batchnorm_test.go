package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// lengths straddle the vectors and steps that a pass can get wrong at its end.
var lengths = []int{1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100}

func widen(v []float64) []float32 {
	r := make([]float32, 2*len(v)) // both halves of the bits, so that equal means equal bits
	for i, x := range v {
		b := math.Float64bits(x)
		r[2*i], r[2*i+1] = float32(b>>32), float32(b&0xffffffff)
	}
	return r
}

func TestFlatPassesAreTheSameOnTiers(t *testing.T) {
	for _, n := range lengths {
		for offset := range 4 { // alignments
			rng := rand.New(rand.NewPCG(uint64(n), uint64(offset)))
			a, b := normals(rng, n+offset)[offset:], normals(rng, n+offset)[offset:]
			a[n-1], b[n/2] = float32(math.NaN()), float32(math.Inf(-1))
			for _, special := range []float32{1, -1, 0, float32(math.Copysign(0, -1))} {
				a[rng.IntN(n)] = special
			}
			t.Run(fmt.Sprintf("%d+%d", n, offset), func(t *testing.T) {
				sameOnTiers(t, func() map[string][]float32 {
					out := map[string][]float32{}
					for name, run := range map[string]func(dst []float32){
						"add":           func(dst []float32) { Add(dst, a, b) },
						"hardtanh":      func(dst []float32) { Hardtanh(dst, a) },
						"hardtanh grad": func(dst []float32) { HardtanhGrad(dst, b, a) },
						"sign grad": func(dst []float32) {
							copy(dst, b)
							dst[n/2] = 1
							a := append([]float32(nil), a...)
							a[n-1] = 0.5
							sum := SignGrad(dst, a, 0.8, new(Sums))
							out["sign grad sum"] = widen([]float64{sum})
							s, q := SumSquares(a, new(Sums))
							out["sums"] = widen([]float64{s, q})
						},
						"combine": func(dst []float32) { copy(dst, b); Combine(dst, a, 0.3, -0.7, 0.1) },
					} {
						buf := make([]float32, n+8)
						buf[n] = 777
						run(buf[:n])
						if buf[n] != 777 {
							t.Fatalf("%s wrote behind the output", name)
						}
						for i, v := range buf { // NaN as a number, so that it can be compared
							if v != v {
								buf[i] = 999
							}
						}
						out[name] = buf
					}
					return out
				})
			})
		}
	}
}

func TestChannelPassesAreTheSameOnTiers(t *testing.T) {
	for _, n := range []int{1, 4, 5, 8, 12, 16, 24, 32, 64} {
		for _, factor := range []int{1, 4, 16} {
			for _, pixels := range []int{1, 2, 7} {
				for _, interleave := range []bool{false, true} {
					rng := rand.New(rand.NewPCG(uint64(n), uint64(factor)))
					wide := n * factor
					x, dy := normals(rng, pixels*n), normals(rng, pixels*wide)
					doubles := func(n int) []float64 {
						v := make([]float64, n)
						for i := range v {
							v[i] = rng.NormFloat64()
						}
						return v
					}
					scale, bias, a, b := doubles(wide), doubles(wide), doubles(n), doubles(n)
					counts := make([]int32, pixels*n)
					for i := range counts {
						counts[i] = int32(rng.IntN(200) - 100)
					}
					t.Run(fmt.Sprintf("%dx%d-%d-%v", n, factor, pixels, interleave), func(t *testing.T) {
						sameOnTiers(t, func() map[string][]float32 {
							moments, sums := make([]float64, 2*n), make([]float64, 2*wide)
							y, dx, scaled, floats := make([]float32, pixels*wide), make([]float32, pixels*n), make([]float32, pixels*n), make([]float32, pixels*n)
							Moments(moments, x)
							BatchNorm(y, x, scale, bias, factor, interleave)
							BatchNormSums(sums, dy, x, factor, interleave)
							BatchNormGrad(dx, dy, x, scale, a, b, factor, interleave)
							ScaleChannels(scaled, x, dy[:n])
							ScaleCounts(floats, counts, dy[:n])
							affine, ofCounts := make([]float32, pixels*wide), make([]float32, pixels*wide)
							Affine(affine, x, dy[:wide], dy[len(dy)-wide:], factor, interleave)
							AffineCounts(ofCounts, counts, dy[:wide], dy[len(dy)-wide:], factor, interleave)
							return map[string][]float32{"affine": affine, "affine of counts": ofCounts, "moments": widen(moments), "y": y, "sums": widen(sums), "dx": dx, "scaled": scaled, "counts": floats}
						})
					})
				}
			}
		}
	}
}

// TestBatchNormPasses holds the plain Go passes against their formulas, written out again.
func TestBatchNormPasses(t *testing.T) {
	before := active
	defer func() { active = before }()
	active = available[0]
	const n, factor, pixels = 3, 4, 5
	rng := rand.New(rand.NewPCG(1, 2))
	x, dy := normals(rng, pixels*n), normals(rng, pixels*n*factor)
	scale, bias, a, b := []float64{}, []float64{}, []float64{1, 2, 3}, []float64{-1, 0.5, 2}
	for j := range n * factor {
		scale, bias = append(scale, float64(j+1)), append(bias, float64(-j))
	}
	for _, interleave := range []bool{false, true} {
		source := func(j int) int {
			if interleave {
				return j / factor
			}
			return j % n
		}
		wantY, wantSums, wantX := make([]float64, pixels*n*factor), make([]float64, 2*n*factor), make([]float64, pixels*n)
		for p := range pixels {
			for i := range n {
				wantX[p*n+i] = a[i] + b[i]*float64(x[p*n+i])
			}
			for j := range n * factor {
				v, g := float64(x[p*n+source(j)]), float64(dy[p*n*factor+j])
				wantY[p*n*factor+j] = scale[j]*v + bias[j]
				wantSums[j] += g
				wantSums[n*factor+j] += g * v
				wantX[p*n+source(j)] += scale[j] * g
			}
		}
		y, sums, dx := make([]float32, len(wantY)), make([]float64, len(wantSums)), make([]float32, len(wantX))
		BatchNorm(y, x, scale, bias, factor, interleave)
		near(t, "y", y, wantY)
		BatchNormSums(sums, dy, x, factor, interleave)
		for i, v := range wantSums {
			if math.Abs(sums[i]-v) > 1e-12*math.Max(1, math.Abs(v)) {
				t.Errorf("sum %d is %v, want %v", i, sums[i], v)
			}
		}
		BatchNormGrad(dx, dy, x, scale, a, b, factor, interleave)
		near(t, "dx", dx, wantX)
	}
}
