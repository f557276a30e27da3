package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// firstGeometries are first convolutions of networks, and maps narrower and filters fewer than a tile.
var firstGeometries = []Geometry{
	{H: 32, W: 32, C: 3, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 17, W: 13, C: 3, K: 64, Kernel: 7, Stride: 2, Pad: 3, Groups: 1},
	{H: 9, W: 11, C: 1, K: 24, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 9, W: 4, C: 3, K: 72, Kernel: 3, Stride: 1, Pad: 0, Groups: 1},
	{H: 5, W: 5, C: 3, K: 32, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 3, W: 1, C: 2, K: 16, Kernel: 1, Stride: 1, Groups: 1},
	{H: 8, W: 9, C: 4, K: 40, Kernel: 5, Stride: 3, Pad: 4, Groups: 1},
}

// convLayerCase is a float convolution with random operands and what it computes by the formulas.
type convLayerCase struct {
	g            Geometry
	copies       int
	clip         bool
	x, w         []float32
	scale, bias  []float32
	want         []float32 // [OutH,OutW,copies·K]
	pixels, wide int
}

func newConvLayerCase(rng *rand.Rand, g Geometry, copies int, clip bool) *convLayerCase {
	c := &convLayerCase{g: g, copies: copies, clip: clip, x: normals(rng, g.InLen()), w: normals(rng, g.FilterLen()), scale: normals(rng, g.K),
		bias: normals(rng, g.K), pixels: g.OutH() * g.OutW(), wide: g.K * copies}
	for i := range c.x {
		switch rng.IntN(40) {
		case 0:
			c.x[i] = 0
		case 1:
			c.x[i] = float32(math.Copysign(0, -1))
		case 2:
			c.x[i] = float32(math.NaN())
		case 3:
			c.x[i] = float32(math.Inf(1 - 2*rng.IntN(2)))
		}
	}
	if rng.IntN(3) == 0 {
		c.scale[rng.IntN(g.K)] = 0
	}
	sums := make([]float32, g.OutLen())
	naive(g, func(out, in, f int) { sums[out] += float32(c.x[in] * c.w[f]) })
	c.want = make([]float32, c.pixels*c.wide)
	for i := range c.want {
		k := i % c.wide % g.K
		v := float32(c.scale[k]*sums[i/c.wide*g.K+k]) + c.bias[k]
		if clip && v == v {
			v = min(1, max(-1, v))
		}
		c.want[i] = v
	}
	return c
}

// same compares floats bit for bit, all NaN alike.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func (c *convLayerCase) check(t *testing.T, rng *rand.Rand, floats, signs bool) {
	t.Helper()
	const behind = 1234567
	l := NewConvLayer(c.g, c.w, c.scale, c.bias, c.copies, c.clip)
	var dst []float32
	var bits []uint64
	wd := Words(c.wide)
	room, words := normals(rng, c.pixels*c.wide+16), make([]uint64, c.pixels*wd+2)
	scratch := make([]uint64, l.Scratch())
	for i := range scratch {
		scratch[i] = rng.Uint64()
	}
	for i := range words {
		words[i] = rng.Uint64()
	}
	room[c.pixels*c.wide], words[c.pixels*wd] = behind, behind
	if floats {
		dst = room[:c.pixels*c.wide]
	}
	if signs {
		bits = words[:c.pixels*wd]
	}
	l.Convolve(dst, bits, c.x, scratch)
	if room[c.pixels*c.wide] != behind || words[c.pixels*wd] != behind {
		t.Fatal("wrote behind the output")
	}
	for i, v := range dst {
		if !same(v, c.want[i]) {
			t.Fatalf("clip %v: pixel %d channel %d is %v, want %v", c.clip, i/c.wide, i%c.wide, v, c.want[i])
		}
	}
	for p := range c.pixels {
		want := make([]uint64, wd)
		for j := range c.wide {
			if c.want[p*c.wide+j] < 0 {
				want[j/64] |= 1 << (j % 64)
			}
		}
		for w := range want {
			if signs && bits[p*wd+w] != want[w] {
				t.Fatalf("clip %v: pixel %d word %d of signs is %#x, want %#x", c.clip, p, w, bits[p*wd+w], want[w])
			}
		}
	}
}

func TestConvLayer(t *testing.T) { eachTier(t, testConvLayer) }

func testConvLayer(t *testing.T) {
	for _, g := range append(firstGeometries, geometries...) {
		if g.Groups != 1 {
			continue
		}
		for copies := 1; copies <= 4; copies++ {
			t.Run(fmt.Sprintf("%s-x%d", g.name(), copies), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(copies), 21))
				for _, clip := range []bool{false, true} {
					c := newConvLayerCase(rng, g, copies, clip)
					for i := range 4 {
						c.check(t, rng, i&1 != 0, i&2 != 0)
					}
				}
			})
		}
	}
}

// FuzzConvLayer draws a float convolution and what follows it, and holds every tier against the formulas.
func FuzzConvLayer(f *testing.F) {
	f.Add(uint8(8), uint8(8), uint8(2), uint8(15), uint8(2), uint8(0), uint8(1), uint8(0), false, uint64(1))
	f.Add(uint8(3), uint8(3), uint8(0), uint8(23), uint8(0), uint8(1), uint8(0), uint8(1), true, uint64(2))
	f.Fuzz(func(t *testing.T, h, w, c, k, kernel, stride, pad, copies uint8, clip bool, seed uint64) {
		g := Geometry{H: int(h%9) + 1, W: int(w%20) + 1, C: int(c)%20 + 1, K: int(k%100) + 1, Kernel: int(kernel%5) + 1,
			Stride: int(stride%3) + 1, Groups: 1}
		g.Pad = int(pad) % g.Kernel
		if g.H+2*g.Pad < g.Kernel || g.W+2*g.Pad < g.Kernel {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		lc := newConvLayerCase(rng, g, int(copies%4)+1, clip)
		before := active
		defer func() { active = before }()
		for _, tier := range available {
			active = tier
			lc.check(t, rng, seed%3 != 0, seed%3 != 1)
		}
	})
}

func BenchmarkConvLayer(b *testing.B) {
	for _, g := range firstGeometries[:2] {
		b.Run(g.name(), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(9, 10))
			l := NewConvLayer(g, normals(rng, g.FilterLen()), normals(rng, g.K), normals(rng, g.K), 1, true)
			x, dst := normals(rng, g.InLen()), make([]float32, g.OutLen())
			signs, scratch := make([]uint64, g.OutH()*g.OutW()*Words(g.K)), make([]uint64, l.Scratch())
			b.SetBytes(int64(4*len(x) + 4*len(dst) + 8*len(signs)))
			for b.Loop() {
				l.Convolve(dst, signs, x, scratch)
			}
			b.ReportMetric(float64(g.OutH()*g.OutW()*g.FilterLen())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
		})
	}
}
