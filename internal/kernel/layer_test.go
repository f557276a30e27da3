package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// layerCase is a 1-bit convolution with random operands and what follows its counts.
type layerCase struct {
	g          Geometry
	factor     int
	interleave bool
	x, words   []uint64
	counts     []int32 // of BinConv
	limits     []int32
	flip       []uint64
	scale      []float32
	bias       []float32
	shortcut   []float32
}

func newLayerCase(rng *rand.Rand, g Geometry, factor int, interleave bool) *layerCase {
	wide := g.K * factor
	c := &layerCase{g: g, factor: factor, interleave: interleave, x: make([]uint64, g.InWords()), words: make([]uint64, g.FilterWords()),
		counts: make([]int32, g.OutLen()), limits: make([]int32, wide), flip: make([]uint64, Words(wide)), scale: normals(rng, wide),
		bias: normals(rng, wide), shortcut: normals(rng, g.OutH()*g.OutW()*wide)}
	PackSigns(c.x, normals(rng, g.InLen()), g.H*g.W*g.Groups, g.GroupC())
	PackFilters(c.words, normals(rng, g.FilterLen()), g)
	BinConv(c.counts, c.x, c.words, g)
	taps := g.Kernel * g.Kernel * g.GroupC()
	for j := range wide {
		switch c.limits[j] = int32(rng.IntN(taps/2+3) - taps/4 - 1); rng.IntN(8) {
		case 0: // never and always
			c.limits[j] = []int32{-1 << 31, 1<<31 - 1, int32(-taps), int32(taps), int32(taps + 1)}[rng.IntN(5)]
		case 1: // a limit that occurs
			c.limits[j] = c.counts[rng.IntN(len(c.counts))]
		}
		c.flip[j/64] |= uint64(rng.IntN(2)) << (j % 64)
		c.scale[j] /= float32(taps)
	}
	for i := range c.shortcut { // so that some sums are exactly 0 and ±1
		if rng.IntN(4) == 0 {
			j := i % wide
			c.shortcut[i] = float32(rng.IntN(3)-1) - c.value(i/wide, j)
		}
	}
	return c
}

// source returns the count channel of channel j.
func (c *layerCase) source(j int) int {
	if c.interleave {
		return j / c.factor
	}
	return j % c.g.K
}

// value is channel j of pixel p before the shortcut.
func (c *layerCase) value(p, j int) float32 {
	return float32(c.scale[j]*float32(c.counts[p*c.g.K+c.source(j)])) + c.bias[j]
}

// filters returns the prepared filters, and scratch full of anything.
func (c *layerCase) filters() *SignFilters {
	f := NewSignFilters(c.g)
	f.Load(c.words)
	return f
}

func dirty(rng *rand.Rand, n int) []uint64 {
	s := make([]uint64, n)
	for i := range s {
		s[i] = rng.Uint64()
	}
	return s
}

func (c *layerCase) check(t *testing.T, rng *rand.Rand) {
	t.Helper()
	c.checkBits(t, rng, c.flip)
	c.checkBits(t, rng, nil)
	for i := range 16 {
		c.checkFloats(t, rng, i&1 != 0, i&2 != 0, i&4 != 0, i&8 != 0)
	}
}

const canary = 0xdead_beef_dead_beef

// guardedWords returns n elements of anything, from an address that rng chooses among the places in a cache line, and a function
// that fails unless the elements behind them are as they were.
func guardedWords(t *testing.T, rng *rand.Rand, what string, n int) (s []uint64, check func()) {
	at := rng.IntN(8)
	room := dirty(rng, at+n+8)
	for i := range 8 {
		room[at+n+i] = canary
	}
	return room[at : at+n : at+n], func() {
		t.Helper()
		for i, v := range room[at+n:] {
			if v != canary {
				t.Fatalf("%s: wrote element %d of %d", what, n+i, n)
			}
		}
	}
}

func (c *layerCase) checkBits(t *testing.T, rng *rand.Rand, flip []uint64) {
	t.Helper()
	wide := c.g.K * c.factor
	pixels, wd := c.g.OutH()*c.g.OutW(), Words(wide)
	l := NewBitLayer(c.filters(), c.limits, flip, c.interleave)
	got, checkGot := guardedWords(t, rng, "output", pixels*wd)
	scratch, checkScratch := guardedWords(t, rng, "scratch", l.Scratch())
	for range 2 {
		l.Convolve(got, c.x, scratch)
	}
	checkGot()
	checkScratch()
	for p := range pixels {
		want := make([]uint64, wd)
		for j := range wide {
			if c.counts[p*c.g.K+c.source(j)] < c.limits[j] {
				want[j/64] |= 1 << (j % 64)
			}
		}
		for w := range want {
			if flip != nil {
				want[w] ^= flip[w]
			}
			if got[p*wd+w] != want[w] {
				t.Fatalf("%s, flip %v: pixel %d word %d is %#x, want %#x", l.Kernel(), flip != nil, p, w, got[p*wd+w], want[w])
			}
		}
	}
}

func (c *layerCase) checkFloats(t *testing.T, rng *rand.Rand, floats, shortcut, clip, signs bool) {
	t.Helper()
	wide := c.g.K * c.factor
	pixels, wd := c.g.OutH()*c.g.OutW(), Words(wide)
	l := NewFloatLayer(c.filters(), c.scale, c.bias, c.interleave, clip)
	var add, dst []float32
	var bits []uint64
	scratch, checkScratch := guardedWords(t, rng, "scratch", l.Scratch())
	checkBits := func() {}
	room := normals(rng, pixels*wide+16)
	last := room[pixels*wide]
	if floats {
		dst = room[:pixels*wide]
	}
	if signs {
		bits, checkBits = guardedWords(t, rng, "signs", pixels*wd)
	}
	for range 2 {
		if add = nil; shortcut {
			add = c.shortcut
			if floats { // in place
				copy(dst, add)
				add = dst
			}
		}
		l.Convolve(dst, bits, c.x, add, scratch)
	}
	checkScratch()
	checkBits()
	if room[pixels*wide] != last {
		t.Fatalf("%s: wrote behind the output", l.Kernel())
	}
	for p := range pixels {
		want := make([]uint64, wd)
		for j := range wide {
			v := c.value(p, j)
			if shortcut {
				v += c.shortcut[p*wide+j]
			}
			if clip {
				v = min(1, max(-1, v))
			}
			if v < 0 {
				want[j/64] |= 1 << (j % 64)
			}
			if floats && dst[p*wide+j] != v {
				t.Fatalf("%s, shortcut %v, clip %v: pixel %d channel %d is %v, want %v", l.Kernel(), shortcut, clip, p, j, dst[p*wide+j], v)
			}
		}
		for w := range want {
			if signs && bits[p*wd+w] != want[w] {
				t.Fatalf("%s, shortcut %v, clip %v: pixel %d word %d of signs is %#x, want %#x", l.Kernel(), shortcut, clip, p, w, bits[p*wd+w], want[w])
			}
		}
	}
}

func TestLayers(t *testing.T) { eachTier(t, testLayers) }

func testLayers(t *testing.T) {
	for _, g := range append(geometries, wideGeometries...) {
		for factor := 1; factor <= 4; factor++ {
			for _, interleave := range []bool{false, true} {
				if interleave && factor == 1 {
					continue
				}
				t.Run(fmt.Sprintf("%s-x%d-%v", g.name(), factor, interleave), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(uint64(factor), 11))
					newLayerCase(rng, g, factor, interleave).check(t, rng)
				})
			}
		}
	}
}

// wideGeometries have more filters than are computed side by side, in whole words and not.
var wideGeometries = []Geometry{
	{H: 5, W: 9, C: 64, K: 64, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 4, W: 7, C: 32, K: 96, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 3, W: 6, C: 16, K: 100, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 7, W: 7, C: 256, K: 128, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 9, W: 8, C: 64, K: 4, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 9, W: 8, C: 8, K: 1, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
}

// FuzzLayers draws a convolution and what follows it, and holds every tier against the formulas.
func FuzzLayers(f *testing.F) {
	f.Add(uint8(8), uint8(8), uint8(15), uint8(15), uint8(2), uint8(0), uint8(1), uint8(0), false, uint64(1))
	f.Add(uint8(9), uint8(3), uint8(63), uint8(47), uint8(2), uint8(1), uint8(1), uint8(1), false, uint64(2))
	f.Add(uint8(4), uint8(17), uint8(130), uint8(7), uint8(0), uint8(0), uint8(2), uint8(3), true, uint64(3))
	f.Fuzz(func(t *testing.T, h, w, c, k, kernel, stride, pad, factor uint8, interleave bool, seed uint64) {
		g := Geometry{H: int(h%9) + 1, W: int(w%20) + 1, C: int(c)%200 + 1, K: int(k%150) + 1, Kernel: int(kernel%4) + 1,
			Stride: int(stride%3) + 1, Groups: 1}
		g.Pad = int(pad) % g.Kernel
		if g.H+2*g.Pad < g.Kernel || g.W+2*g.Pad < g.Kernel {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		lc := newLayerCase(rng, g, int(factor%5)+1, interleave)
		before := active
		defer func() { active = before }()
		for _, tier := range available {
			active = tier
			lc.check(t, rng)
		}
	})
}

// TestLayersAllocateNothing: a call works in the caller's memory.
func TestLayersAllocateNothing(t *testing.T) { eachTier(t, testLayersAllocateNothing) }

func testLayersAllocateNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 13))
	g := Geometry{H: 8, W: 8, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1}
	for _, interleave := range []bool{false, true} {
		c := newLayerCase(rng, g, 2, interleave)
		counts, bits, floats := make([]int32, g.OutLen()), make([]uint64, 64), make([]float32, 64*32)
		f := c.filters()
		bitLayer, floatLayer := NewBitLayer(f, c.limits, c.flip, interleave), NewFloatLayer(f, c.scale, c.bias, interleave, true)
		scratch := make([]uint64, max(f.Scratch(), bitLayer.Scratch(), floatLayer.Scratch()))
		if n := testing.AllocsPerRun(10, func() {
			f.Convolve(counts, c.x, scratch)
			bitLayer.Convolve(bits, c.x, scratch)
			floatLayer.Convolve(floats, bits, c.x, c.shortcut, scratch)
			floatLayer.Convolve(nil, bits, c.x, nil, scratch)
		}); n != 0 {
			t.Errorf("interleave %v: %v allocations, want none", interleave, n)
		}
	}
}

// BenchmarkLayers has bits to bits, and bits to floats and bits with a shortcut.
func BenchmarkLayers(b *testing.B) {
	for _, g := range binShapes {
		factor := max(1, g.C/g.K) // what RepTran's tile makes of it
		rng := rand.New(rand.NewPCG(9, 10))
		c := newLayerCase(rng, g, factor, false)
		pixels, wide := g.OutH()*g.OutW(), g.K*factor
		bits, floats := make([]uint64, pixels*Words(wide)), make([]float32, pixels*wide)
		run := func(name string, bytes int, call func()) {
			b.Run(fmt.Sprintf("%s/%s-x%d", name, g.name(), factor), func(b *testing.B) {
				b.SetBytes(int64(bytes))
				for b.Loop() {
					call()
				}
				b.ReportMetric(float64(pixels*g.FilterLen())*float64(b.N)/1e9/b.Elapsed().Seconds(), "GMAC/s")
			})
		}
		bitLayer, floatLayer := NewBitLayer(c.filters(), c.limits, c.flip, false), NewFloatLayer(c.filters(), c.scale, c.bias, false, true)
		scratch := make([]uint64, max(bitLayer.Scratch(), floatLayer.Scratch()))
		run("bits", 8*(len(c.x)+len(bits)), func() { bitLayer.Convolve(bits, c.x, scratch) })
		run("floats", 8*(len(c.x)+len(bits))+8*len(floats), func() { floatLayer.Convolve(floats, bits, c.x, c.shortcut, scratch) })
	}
}
