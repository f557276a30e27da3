package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestMeansOnTiers holds the pools' means against the formulas, over channels around whole vectors and with zeros of
// both signs.
func TestMeansOnTiers(t *testing.T) { eachTier(t, testMeans) }

func testMeans(t *testing.T) {
	for _, c := range []int{1, 7, 8, 9, 16, 24, 32, 40, 64, 72} {
		for _, p := range []Pool{{1, 1, c, 1, 1}, {4, 4, c, 2, 2}, {5, 7, c, 2, 2}, {6, 5, c, 3, 1}, {7, 7, c, 7, 7}} {
			t.Run(fmt.Sprint(p), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(c), 3))
				x := normals(rng, p.H*p.W*p.C)
				for i := range x {
					if rng.IntN(2) == 0 {
						x[i] = float32(math.Copysign(0, -1))
					}
				}
				got := normals(rng, p.OutLen()+1)
				behind := got[p.OutLen()]
				AvgPool(got[:p.OutLen()], x, p)
				for i := range p.OutLen() {
					y, z, c := i/p.C/p.OutW(), i/p.C%p.OutW(), i%p.C
					var want float32
					for r := range p.Kernel {
						for s := range p.Kernel {
							v := x[((y*p.Stride+r)*p.W+z*p.Stride+s)*p.C+c]
							if r+s == 0 {
								want = v
								continue
							}
							want += v
						}
					}
					if want *= 1 / float32(p.Kernel*p.Kernel); !same(got[i], want) {
						t.Fatalf("average %d is %v, want %v", i, got[i], want)
					}
				}
				mean := normals(rng, p.C+1)
				last := mean[p.C]
				GlobalAvgPool(mean[:p.C], x)
				for c := range p.C {
					var want float32
					for i := c; i < len(x); i += p.C {
						want += x[i]
					}
					if want *= 1 / float32(p.H*p.W); !same(mean[c], want) {
						t.Fatalf("mean %d is %v, want %v", c, mean[c], want)
					}
				}
				if got[p.OutLen()] != behind || mean[p.C] != last {
					t.Error("wrote behind the output")
				}
			})
		}
	}
}

func BenchmarkAvgPool(b *testing.B) {
	p := Pool{32, 32, 16, 2, 2}
	rng := rand.New(rand.NewPCG(1, 1))
	x, dst := normals(rng, p.H*p.W*p.C), make([]float32, p.OutLen())
	b.SetBytes(int64(4*len(x) + 4*len(dst)))
	for b.Loop() {
		AvgPool(dst, x, p)
	}
}

func BenchmarkGlobalAvgPool(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	x, dst := normals(rng, 8*8*64), make([]float32, 64)
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		GlobalAvgPool(dst, x)
	}
}

// TestAvgPoolPadded holds it against AvgPool.
func TestAvgPoolPadded(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, c := range []int{1, 5, 8, 16, 24} {
			for _, wide := range []int{c, c + 1, c + 4, 2 * c} {
				rng := rand.New(rand.NewPCG(uint64(c), uint64(wide)))
				p := Pool{5, 6, c, 2, 2}
				first := (wide - c) / 2
				x, want := normals(rng, p.H*p.W*p.C), make([]float32, p.OutLen())
				got := normals(rng, p.OutH()*p.OutW()*wide+1)
				behind := got[len(got)-1]
				AvgPool(want, x, p)
				AvgPoolPadded(got[:len(got)-1], x, p, wide, first)
				for i, v := range got[:len(got)-1] {
					w := float32(0)
					if j := i%wide - first; j >= 0 && j < c {
						w = want[i/wide*c+j]
					}
					if !same(v, w) {
						t.Fatalf("%d of %d channels: element %d is %v, want %v", c, wide, i, v, w)
					}
				}
				if got[len(got)-1] != behind {
					t.Error("wrote behind the output")
				}
			}
		}
	})
}

// TestPoolBits: a max pool ahead of a threshold, and the threshold ahead of the pool.
func TestPoolBits(t *testing.T) {
	for _, c := range []int{1, 63, 64, 65, 130} {
		for _, p := range []Pool{{4, 6, c, 2, 2}, {5, 5, c, 3, 1}, {3, 4, c, 1, 1}} {
			rng := rand.New(rand.NewPCG(uint64(c), 5))
			counts, limits, flip := make([]int32, p.H*p.W*c), make([]int32, c), make([]uint64, Words(c))
			for i := range counts {
				counts[i] = int32(rng.IntN(41) - 20)
			}
			for i := range limits {
				limits[i] = int32(rng.IntN(21))
				flip[i/64] |= uint64(rng.IntN(2)) << (i % 64)
			}
			for _, flip := range [][]uint64{nil, flip} {
				most, want := make([]int32, p.OutLen()), make([]uint64, p.OutH()*p.OutW()*Words(c))
				MaxPool(most, counts, p)
				ThresholdCounts(want, most, limits, flip, c, false)
				below, got := make([]uint64, p.H*p.W*Words(c)), make([]uint64, len(want))
				ThresholdCounts(below, counts, limits, nil, c, false)
				words := p
				words.C = Words(c)
				PoolBits(got, below, words, flip)
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("%+v, flip %v: word %d is %#x, want %#x", p, flip != nil, i, got[i], want[i])
					}
				}
			}
		}
	}
}

// TestAddAvgPoolGrad: the gradient of pooling into some channels of a map, on top of another, against the loop that it is.
func TestAddAvgPoolGrad(t *testing.T) {
	for _, c := range []int{1, 7, 8, 16, 24, 32} {
		for _, p := range []Pool{{1, 1, c, 1, 1}, {4, 6, c, 2, 2}, {5, 7, c, 2, 2}, {7, 7, c, 2, 3}, {6, 5, c, 3, 1}} {
			for _, more := range []int{0, 3, 16} {
				rng := rand.New(rand.NewPCG(uint64(c), 4))
				wide, first := c+more, more/2
				dy, onto := normals(rng, p.OutH()*p.OutW()*wide), normals(rng, p.H*p.W*c)
				want := append([]float32(nil), onto...)
				for i := range p.OutLen() { // one after the other
					y, z, v := i/c/p.OutW(), i/c%p.OutW(), dy[i/c*wide+first+i%c]
					for r := range p.Kernel {
						for s := range p.Kernel {
							want[((y*p.Stride+r)*p.W+z*p.Stride+s)*c+i%c] += float32(1 / float32(p.Kernel*p.Kernel) * v)
						}
					}
				}
				t.Run(fmt.Sprintf("%v-%d", p, more), func(t *testing.T) {
					eachTier(t, func(t *testing.T) {
						got := append(append([]float32(nil), onto...), 777)
						AddAvgPoolGrad(got[:len(onto)], dy, p, wide, first)
						if got[len(onto)] != 777 {
							t.Fatal("wrote behind the output")
						}
						for i, v := range want {
							if !same(got[i], v) {
								t.Fatalf("element %d is %v, want %v", i, got[i], v)
							}
						}
					})
				})
			}
		}
	}
}

// TestMaxPoolCounts holds the pool of counts against the formula, over channels around whole vectors.
func TestMaxPoolCounts(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, c := range []int{1, 7, 8, 9, 16, 40} {
			for _, p := range []Pool{{4, 4, c, 2, 2}, {5, 7, c, 2, 1}, {6, 5, c, 3, 1}} {
				rng := rand.New(rand.NewPCG(uint64(c), 9))
				x, got := make([]int32, p.H*p.W*c), make([]int32, p.OutLen()+1)
				for i := range x {
					x[i] = int32(rng.IntN(2001) - 1000)
				}
				got[p.OutLen()] = 12345
				MaxPool(got[:p.OutLen()], x, p)
				for i, v := range got[:p.OutLen()] {
					y, z, ch := i/c/p.OutW(), i/c%p.OutW(), i%c
					want := int32(-1 << 31)
					for r := range p.Kernel {
						for s := range p.Kernel {
							want = max(want, x[((y*p.Stride+r)*p.W+z*p.Stride+s)*c+ch])
						}
					}
					if v != want {
						t.Fatalf("%+v: maximum %d is %d, want %d", p, i, v, want)
					}
				}
				if got[p.OutLen()] != 12345 {
					t.Error("wrote behind the output")
				}
			}
		}
	})
}
