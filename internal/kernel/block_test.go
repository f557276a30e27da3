package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// blocks straddle what the passes can get wrong: sources of whole steps, of 8, of 4, and others; odd pixels; no whole step.
var blocks = []Block{
	{Pixels: 1, N: 16, Factor: 1}, {Pixels: 7, N: 16, Factor: 1}, {Pixels: 3, N: 32, Factor: 1}, {Pixels: 2, N: 48, Factor: 1},
	{Pixels: 5, N: 64, Factor: 1}, {Pixels: 3, N: 80, Factor: 1}, {Pixels: 4, N: 128, Factor: 1}, {Pixels: 3, N: 16, Factor: 4},
	{Pixels: 5, N: 32, Factor: 3}, {Pixels: 7, N: 8, Factor: 2}, {Pixels: 3, N: 8, Factor: 4}, {Pixels: 2, N: 8, Factor: 16},
	{Pixels: 5, N: 4, Factor: 4}, {Pixels: 3, N: 4, Factor: 16}, {Pixels: 3, N: 8, Factor: 1}, {Pixels: 5, N: 3, Factor: 1},
	{Pixels: 3, N: 12, Factor: 4}, {Pixels: 4, N: 16, Factor: 2, Interleave: true}, {Pixels: 3, N: 16, Factor: 1, Interleave: true},
	{Pixels: 2, N: 4, Factor: 3, Interleave: true}, {Pixels: 9, N: 20, Factor: 1},
}

// blockCase is a block with all that its passes read.
type blockCase struct {
	Block
	counts         []int16
	shortcut, dy   []float32
	scale, bias    []float64
	a, b           []float64
	wide           int
	maskLen, signs int
}

func newBlockCase(b Block, seed uint64) blockCase {
	rng := rand.New(rand.NewPCG(seed, 5))
	wide := b.wide()
	doubles := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return v
	}
	c := blockCase{Block: b, wide: wide, counts: make([]int16, b.Pixels*b.N), shortcut: normals(rng, b.Pixels*wide), dy: normals(rng, b.Pixels*wide),
		scale: doubles(wide), bias: doubles(wide), a: doubles(b.N), b: doubles(b.N), maskLen: MaskWords(b.Pixels * wide), signs: b.Pixels * Words(wide)}
	for i := range c.counts {
		c.counts[i] = int16(rng.IntN(9)-4) * 3
	}
	for i := range c.scale {
		c.scale[i] /= 9
	}
	// Results that are exactly ±1, zeros of both signs, NaN and infinities.
	for i, v := range []float64{1, -1, 0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1)} {
		e := rng.IntN(len(c.shortcut))
		if j := e % wide; i < 4 && i%wide == j {
			c.scale[j], c.bias[j] = 0, 0
		}
		c.shortcut[e] = float32(v)
	}
	return c
}

// numbers replaces what does not compare.
func numbers(v []float32) []float32 {
	for i, x := range v {
		if x != x {
			v[i] = 999
		}
	}
	return v
}

// TestBlockForward holds the pass on every tier against the functions that it stands for.
func TestBlockForward(t *testing.T) {
	for _, b := range blocks {
		for _, with := range []bool{false, true} {
			c := newBlockCase(b, 3)
			floats := make([]float32, len(c.counts))
			for i, v := range c.counts {
				floats[i] = float32(v)
			}
			n := b.Pixels * c.wide
			want, signs := make([]float32, n), make([]uint64, c.signs)
			BatchNorm(want, floats, c.scale, c.bias, b.Factor, b.Interleave)
			if with {
				Add(want, want, c.shortcut)
			}
			Hardtanh(want, want)
			PackSigns(signs, want, b.Pixels, c.wide)
			wantSum, wantSquares := SumSquares(want, new(Sums))
			wantMask := make([]uint16, c.maskLen)
			for e, v := range want {
				if v > -1 && v < 1 {
					wantMask[e/16] |= 1 << (e % 16)
				}
			}
			t.Run(fmt.Sprintf("%+v-%v", b, with), func(t *testing.T) {
				eachTier(t, func(t *testing.T) {
					const canary = 777
					y, mask, got := make([]float32, n+16), make([]uint16, c.maskLen+4), make([]uint64, c.signs+2)
					y[n], mask[c.maskLen], got[c.signs] = canary, canary, canary
					for i := range mask[:c.maskLen] {
						mask[i] = 0xffff // dirty
					}
					im := BlockImage{Counts: c.counts, Y: y[:n], Mask: mask[:c.maskLen], Signs: got[:c.signs]}
					if with {
						im.Shortcut = c.shortcut
					}
					var sum, squares float64
					for range 2 { // the second time over used signs, and float32 in the place of counts
						sum, squares = b.Forward(&im, c.scale, c.bias, new(Sums))
						if !slices.Equal(numbers(slices.Clone(y[:n])), numbers(slices.Clone(want))) {
							t.Errorf("y %v, want %v", y[:n], want)
						}
						im.Counts, im.Floats = nil, floats
					}
					if y[n] != canary || mask[c.maskLen] != canary || got[c.signs] != canary {
						t.Fatal("wrote behind the output")
					}
					if !slices.Equal(got[:c.signs], signs) {
						t.Errorf("signs %x, want %x", got[:c.signs], signs)
					}
					if !slices.Equal(mask[:c.maskLen], wantMask) {
						t.Errorf("mask %x, want %x", mask[:c.maskLen], wantMask)
					}
					if got, want := []float64{sum, squares}, []float64{wantSum, wantSquares}; !sameDoubles(got, want) {
						t.Errorf("sums %v, want %v", got, want)
					}
				})
			})
		}
	}
}

// sameDoubles reports whether a and b are equal bit for bit, any NaN being one.
func sameDoubles(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool {
		return x != x && y != y || math.Float64bits(x) == math.Float64bits(y)
	})
}

// TestBlockBackward holds the passes on every tier against the functions that they stand for.
func TestBlockBackward(t *testing.T) {
	for _, b := range blocks {
		c := newBlockCase(b, 4)
		n := b.Pixels * c.wide
		floats, g, mask := make([]float32, len(c.counts)), make([]float32, n), make([]uint16, c.maskLen)
		for i, v := range c.counts {
			floats[i] = float32(v)
		}
		rng := rand.New(rand.NewPCG(6, 7))
		for e := range g {
			if rng.IntN(3) > 0 {
				mask[e/16] |= 1 << (e % 16)
				g[e] = c.dy[e]
			} else {
				c.dy[e] = float32(math.NaN()) // must not be seen
			}
		}
		start := make([]float64, 2*c.wide)
		for i := range start {
			start[i] = rng.NormFloat64()
		}
		wantSums, want := slices.Clone(start), make([]float32, len(c.counts))
		BatchNormSums(wantSums, g, floats, b.Factor, b.Interleave)
		BatchNormGrad(want, g, floats, c.scale, c.a, c.b, b.Factor, b.Interleave)
		t.Run(fmt.Sprintf("%+v", b), func(t *testing.T) {
			eachTier(t, func(t *testing.T) {
				const canary = 777
				sums, d := slices.Clone(start), make([]float32, len(c.counts)+16)
				d[len(c.counts)] = canary
				b.Reduce(sums, c.dy, mask, c.counts)
				b.Spread(d[:len(c.counts)], c.dy, mask, c.counts, c.scale, c.a, c.b)
				if d[len(c.counts)] != canary {
					t.Fatal("wrote behind the output")
				}
				if !sameDoubles(sums, wantSums) {
					t.Errorf("sums %v, want %v", sums, wantSums)
				}
				if !slices.Equal(d[:len(c.counts)], want) {
					t.Errorf("gradient %v, want %v", d[:len(c.counts)], want)
				}
			})
		})
	}
}

func TestCountMoments(t *testing.T) {
	for _, n := range []int{1, 3, 4, 8, 12, 16, 20, 64} {
		for _, pixels := range []int{1, 2, 3, 8, 150} {
			for _, limit := range []int{9, 4608, 32767} {
				rng := rand.New(rand.NewPCG(uint64(n), uint64(limit)))
				counts, want, sums := make([]int32, n*pixels), make([]int16, n*pixels), make([]float64, 2*n)
				for i := range counts {
					counts[i] = int32(rng.IntN(2*limit+1) - limit)
					want[i] = int16(counts[i])
				}
				for i := range sums {
					sums[i] = float64(rng.IntN(1000))
				}
				wantSums := slices.Clone(sums)
				for e, v := range counts {
					wantSums[e%n] += float64(v)
					wantSums[n+e%n] += float64(v) * float64(v)
				}
				t.Run(fmt.Sprintf("%d-%d-%d", n, pixels, limit), func(t *testing.T) {
					eachTier(t, func(t *testing.T) {
						got, gotSums := make([]int16, len(want)+8), slices.Clone(sums)
						got[len(want)] = 77
						CountMoments(got[:len(want)], counts, gotSums, limit, new(CountSums))
						if got[len(want)] != 77 {
							t.Fatal("wrote behind the output")
						}
						if !slices.Equal(got[:len(want)], want) || !slices.Equal(gotSums, wantSums) {
							t.Errorf("%v, %v; want %v, %v", got[:len(want)], gotSums, want, wantSums)
						}
					})
				})
			}
		}
	}
}

func TestMaskedPasses(t *testing.T) {
	for _, n := range append([]int{32, 48, 160}, lengths...) {
		rng := rand.New(rand.NewPCG(uint64(n), 8))
		d, x, dy, g := normals(rng, n), normals(rng, n), normals(rng, n), make([]float32, n)
		mask := make([]uint16, MaskWords(n))
		for e := range n {
			if rng.IntN(2) > 0 {
				mask[e/16] |= 1 << (e % 16)
				g[e] = dy[e]
			}
		}
		want := slices.Clone(d)
		Combine(want, x, 0.3, -0.7, 0.1)
		Add(want, want, g)
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			eachTier(t, func(t *testing.T) {
				got, masked := make([]float32, n+16), make([]float32, n+16)
				copy(got, d)
				got[n], masked[n] = 777, 777
				CombineMasked(got[:n], got[:n], x, 0.3, -0.7, 0.1, dy, mask)
				MaskGrad(masked[:n], dy, mask)
				inPlace := slices.Clone(dy)
				CombineMasked(inPlace, d, x, 0.3, -0.7, 0.1, inPlace, mask)
				if !slices.Equal(inPlace, want) {
					t.Errorf("in the place of dy: %v, want %v", inPlace, want)
				}
				if got[n] != 777 || masked[n] != 777 {
					t.Fatal("wrote behind the output")
				}
				if !slices.Equal(got[:n], want) || !slices.Equal(masked[:n], g) {
					t.Errorf("%v and %v, want %v and %v", got[:n], masked[:n], want, g)
				}
			})
		})
	}
}

// FuzzBlock draws a block and holds its passes on every tier against plain Go, bit for bit.
func FuzzBlock(f *testing.F) {
	f.Add(uint8(9), uint8(15), uint8(0), false, uint64(1))
	f.Add(uint8(3), uint8(7), uint8(3), false, uint64(2))
	f.Add(uint8(5), uint8(3), uint8(15), false, uint64(3))
	f.Add(uint8(5), uint8(5), uint8(2), true, uint64(4))
	f.Fuzz(func(t *testing.T, pixels, n, factor uint8, interleave bool, seed uint64) {
		b := Block{Pixels: int(pixels%40) + 1, N: int(n%80) + 1, Factor: int(factor%16) + 1, Interleave: interleave}
		c := newBlockCase(b, seed)
		before := active
		defer func() { active = before }()
		type result struct {
			y, d    []float32
			mask    []uint16
			signs   []uint64
			doubles []float64
		}
		var want result
		for _, tier := range available {
			active = tier
			got := result{make([]float32, b.Pixels*c.wide), make([]float32, b.Pixels*b.N), make([]uint16, c.maskLen), make([]uint64, c.signs), make([]float64, 2*c.wide+2)}
			im := BlockImage{Counts: c.counts, Shortcut: c.shortcut, Y: got.y, Mask: got.mask, Signs: got.signs}
			sum, squares := b.Forward(&im, c.scale, c.bias, new(Sums))
			b.Reduce(got.doubles[2:], c.dy, got.mask, c.counts)
			b.Spread(got.d, c.dy, got.mask, c.counts, c.scale, c.a, c.b)
			got.doubles[0], got.doubles[1] = sum, squares
			numbers(got.y)
			if tier.name == Generic {
				want = got
				continue
			}
			if !slices.Equal(got.y, want.y) || !slices.Equal(got.d, want.d) || !slices.Equal(got.mask, want.mask) ||
				!slices.Equal(got.signs, want.signs) || !sameDoubles(got.doubles, want.doubles) {
				t.Fatalf("%s, %+v: %+v, plain Go gives %+v", tier.name, b, got, want)
			}
		}
	})
}

// BenchmarkBlock is each pass over an image of the layers of ReCU's ResNet-20, β 1 and 2, in cache; bytes are those of the
// wide map.
func BenchmarkBlock(b *testing.B) {
	for _, bl := range []Block{{Pixels: 1024, N: 16, Factor: 1}, {Pixels: 64, N: 64, Factor: 1}, {Pixels: 1024, N: 8, Factor: 4}, {Pixels: 1024, N: 4, Factor: 16}} {
		c := newBlockCase(bl, 1)
		n := bl.Pixels * c.wide
		y, x, d, sums := make([]float32, n), make([]float32, n), make([]float32, bl.Pixels*bl.N), make([]float64, 2*c.wide)
		im := BlockImage{Counts: c.counts, Shortcut: c.shortcut, Y: y, Mask: make([]uint16, c.maskLen), Signs: make([]uint64, c.signs)}
		counts, narrow := make([]int32, len(c.counts)), make([]int16, len(c.counts))
		var room Sums
		var countRoom CountSums
		for _, pass := range []struct {
			name string
			run  func()
		}{
			{"moments", func() { CountMoments(narrow, counts, sums[:2*bl.N], 9*bl.N, &countRoom) }},
			{"forward", func() { bl.Forward(&im, c.scale, c.bias, &room) }},
			{"reduce", func() { bl.Reduce(sums, c.dy, im.Mask, c.counts) }},
			{"spread", func() { bl.Spread(d, c.dy, im.Mask, c.counts, c.scale, c.a, c.b) }},
			{"sign", func() { SignGrad(y, x, 1, &room) }},
			{"combine", func() { CombineMasked(y, y, x, 1, 0, 0, c.dy, im.Mask) }},
		} {
			b.Run(fmt.Sprintf("%dx%dx%d/%s", bl.Pixels, bl.N, bl.Factor, pass.name), func(b *testing.B) {
				b.SetBytes(int64(4 * n))
				for b.Loop() {
					pass.run()
				}
			})
		}
	}
}
