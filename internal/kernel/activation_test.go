package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// activationCase is an activation over parts with random operands and what it computes by the formulas.
type activationCase struct {
	a      Activation
	parts  []int
	x      [][]float32
	pixels int
	wide   int
	want   []float32
	signs  []uint64
}

func newActivationCase(rng *rand.Rand, pixels int, parts ...int) *activationCase {
	c := &activationCase{parts: parts, pixels: pixels}
	for _, n := range parts {
		x := normals(rng, pixels*n)
		for i := range x {
			switch rng.IntN(30) {
			case 0:
				x[i] = float32(math.NaN())
			case 1:
				x[i] = float32(math.Inf(-1))
			case 2:
				x[i] = float32(math.Copysign(0, -1))
			}
		}
		c.x = append(c.x, x)
		c.wide += n
	}
	for _, v := range []*[]float32{&c.a.S1, &c.a.B1, &c.a.Slope, &c.a.S2, &c.a.B2, &c.a.S3, &c.a.B3} {
		if rng.IntN(3) > 0 {
			*v = normals(rng, c.wide)
		}
	}
	c.want, c.signs = make([]float32, pixels*c.wide), make([]uint64, pixels*Words(c.wide))
	for p := range pixels {
		first := 0
		for i, n := range parts {
			for j := range n {
				c.set(p, first+j, c.x[i][p*n+j])
			}
			first += n
		}
	}
	return c
}

// set computes channel ch of pixel p from v.
func (c *activationCase) set(p, ch int, v float32) {
	affine := func(v float32, scale, bias []float32) float32 {
		if scale != nil {
			v = float32(scale[ch] * v)
		}
		if bias != nil {
			v += bias[ch]
		}
		return v
	}
	v = affine(v, c.a.S1, c.a.B1)
	if c.a.Slope != nil && !(v > 0) {
		v = float32(c.a.Slope[ch] * v)
	}
	v = affine(v, c.a.S2, c.a.B2)
	c.want[p*c.wide+ch] = v
	if affine(v, c.a.S3, c.a.B3) < 0 {
		c.signs[p*Words(c.wide)+ch/64] |= 1 << (ch % 64)
	}
}

func (c *activationCase) check(t *testing.T, rng *rand.Rand, signs, inPlace bool) {
	t.Helper()
	l := NewActivationLayer(c.a, c.parts...)
	got, bits := normals(rng, len(c.want)+16), make([]uint64, len(c.signs)+1)
	for i := range bits {
		bits[i] = rng.Uint64()
	}
	behind, last := got[len(c.want)], bits[len(c.signs)]
	var s []uint64
	if signs {
		s = bits[:len(c.signs)]
	}
	x := c.x
	if inPlace {
		copy(got, c.x[0])
		x = [][]float32{got[:len(c.want)]}
	}
	l.Apply(got[:len(c.want)], s, x...)
	for i, w := range c.want {
		if !same(got[i], w) {
			t.Fatalf("pixel %d channel %d is %v, want %v", i/c.wide, i%c.wide, got[i], w)
		}
	}
	for i, w := range c.signs {
		if signs && bits[i] != w {
			t.Fatalf("word %d of signs is %#x, want %#x", i, bits[i], w)
		}
	}
	if got[len(c.want)] != behind || bits[len(c.signs)] != last {
		t.Fatal("wrote behind the output")
	}
}

func TestActivationLayer(t *testing.T) { eachTier(t, testActivationLayer) }

func testActivationLayer(t *testing.T) {
	for _, parts := range [][]int{{1}, {7}, {8}, {9}, {16}, {24}, {32}, {63}, {64}, {72}, {128}, {200}, {8, 8}, {32, 32}, {5, 16}, {16, 5, 8}, {64, 24}} {
		for _, pixels := range []int{1, 5} {
			t.Run(fmt.Sprint(parts, pixels), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(len(parts)), uint64(parts[0])))
				for range 4 {
					c := newActivationCase(rng, pixels, parts...)
					c.check(t, rng, true, false)
					c.check(t, rng, false, len(parts) == 1)
					c.check(t, rng, true, len(parts) == 1)
				}
			})
		}
	}
}

func FuzzActivationLayer(f *testing.F) {
	f.Add(uint8(8), uint8(16), uint8(3), uint64(1))
	f.Add(uint8(64), uint8(0), uint8(1), uint64(2))
	f.Fuzz(func(t *testing.T, first, second, pixels uint8, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 4))
		parts := []int{int(first%130) + 1}
		if second > 0 {
			parts = append(parts, int(second%130)+1)
		}
		c := newActivationCase(rng, int(pixels%6)+1, parts...)
		before := active
		defer func() { active = before }()
		for _, tier := range available {
			active = tier
			c.check(t, rng, seed%2 == 0, len(parts) == 1)
		}
	})
}

func BenchmarkActivationLayer(b *testing.B) {
	const pixels, n = 28 * 28, 128
	rng := rand.New(rand.NewPCG(1, 1))
	l := NewActivationLayer(Activation{B1: normals(rng, n), Slope: normals(rng, n), B2: normals(rng, n), B3: normals(rng, n)}, n)
	x, signs := normals(rng, pixels*n), make([]uint64, pixels*Words(n))
	b.SetBytes(4 * 2 * pixels * n)
	for b.Loop() {
		l.Apply(x, signs, x)
	}
}
