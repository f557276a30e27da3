package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sizes straddle the word boundaries that packing can get wrong.
var sizes = []int{1, 2, 3, 8, 16, 24, 31, 32, 33, 40, 48, 56, 63, 64, 65, 127, 128, 129, 191, 192, 193}

func TestPackSignsOfSpecialValues(t *testing.T) {
	for _, tt := range []struct {
		name string
		x    float32
		want uint64
	}{
		{"zero is +1", 0, 0},
		{"minus zero is +1", float32(math.Copysign(0, -1)), 0},
		{"tiny negative is -1", -math.SmallestNonzeroFloat32, 1},
		{"minus infinity is -1", float32(math.Inf(-1)), 1},
		{"NaN is +1", float32(math.NaN()), 0},
		{"negative NaN is +1", math.Float32frombits(0xffc00000), 0},
	} {
		dst := []uint64{^uint64(0)} // dirty: the padding must be cleared
		PackSigns(dst, []float32{tt.x}, 1, 1)
		if dst[0] != tt.want {
			t.Errorf("%s: PackSigns(%v) = %#x, want %#x", tt.name, tt.x, dst[0], tt.want)
		}
	}
}

func TestPackSignsLayout(t *testing.T) { eachTier(t, testPackSignsLayout) }

func testPackSignsLayout(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range sizes {
		const rows = 3
		src := normals(rng, rows*c)
		src[0], src[c-1], src[rows*c-1] = float32(math.Copysign(0, -1)), float32(math.NaN()), math.Float32frombits(0xffc00000)
		canary := []uint64{0xdead, 0xbeef}
		buf := append(make([]uint64, rows*Words(c)), canary...)
		for i := range rows * Words(c) {
			buf[i] = ^uint64(0)
		}
		PackSigns(buf[:rows*Words(c)], src, rows, c)
		if !slices.Equal(buf[rows*Words(c):], canary) {
			t.Fatalf("c=%d: wrote behind the output", c)
		}
		for r := range rows {
			for i := range Words(c) * WordBits {
				got := buf[r*Words(c)+i/WordBits]>>(i%WordBits)&1 == 1
				if want := i < c && src[r*c+min(i, c-1)] < 0; got != want {
					t.Fatalf("c=%d row %d bit %d is %v, want %v", c, r, i, got, want)
				}
			}
		}
		back := make([]float32, rows*c)
		UnpackSigns(back, buf[:rows*Words(c)], rows, c)
		for i, v := range src {
			if want := float32(1 - 2*b2i(v < 0)); back[i] != want {
				t.Fatalf("c=%d: unpacked %d is %v, want %v", c, i, back[i], want)
			}
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func FuzzPackUnpack(f *testing.F) {
	f.Add([]byte{0, 1, 128, 255, 7}, uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, c uint8) {
		if c == 0 || len(raw) < int(c) {
			return
		}
		rows := len(raw) / int(c)
		x := make([]float32, rows*int(c))
		for i := range x {
			x[i] = float32(int8(raw[i]))
		}
		bits, y := make([]uint64, rows*Words(int(c))), make([]float32, len(x))
		PackSigns(bits, x, rows, int(c))
		UnpackSigns(y, bits, rows, int(c))
		for i, v := range x {
			if (v < 0) != (y[i] < 0) || (y[i] != 1 && y[i] != -1) {
				t.Fatalf("element %d: %v came back as %v", i, v, y[i])
			}
		}
	})
}

// FuzzBinConv compares the counts of BinConv and, on every tier, of SignFilters with the float convolution of the same
// signs, which is exact.
func FuzzBinConv(f *testing.F) {
	f.Add(uint8(5), uint8(4), uint8(70), uint8(3), uint8(3), uint8(1), uint8(1), uint64(1))
	f.Add(uint8(8), uint8(6), uint8(15), uint8(15), uint8(2), uint8(0), uint8(1), uint64(2))
	f.Add(uint8(7), uint8(0), uint8(130), uint8(99), uint8(2), uint8(1), uint8(1), uint64(3))
	f.Fuzz(func(t *testing.T, h, w, c, k, kernel, stride, pad uint8, seed uint64) {
		g := Geometry{H: int(h%9) + 1, W: int(w%9) + 1, C: int(c)%200 + 1, K: int(k%150) + 1, Kernel: int(kernel%4) + 1,
			Stride: int(stride%3) + 1, Groups: 1}
		g.Pad = int(pad) % g.Kernel
		if g.H+2*g.Pad < g.Kernel || g.W+2*g.Pad < g.Kernel {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		x, wt := signs(rng, g.InLen()), signs(rng, g.FilterLen())
		px, pw := make([]uint64, g.InWords()), make([]uint64, g.FilterWords())
		PackSigns(px, x, g.H*g.W, g.C)
		PackFilters(pw, wt, g)
		counts := make([]int32, g.OutLen())
		BinConv(counts, px, pw, g)
		hwi, y := make([]float32, g.FilterLen()), make([]float32, g.OutLen())
		FiltersToHWI(hwi, wt, g)
		Conv(y, x, hwi, nil, g)
		for i := range y {
			if float32(counts[i]) != y[i] {
				t.Fatalf("%+v: count %d is %d, want %v", g, i, counts[i], y[i])
			}
		}
		before := active
		defer func() { active = before }()
		for _, tier := range available {
			active = tier
			filters := NewSignFilters(g)
			scratch := make([]uint64, filters.Scratch())
			for i := range scratch {
				scratch[i] = rng.Uint64()
			}
			filters.Load(pw)
			got := make([]int32, g.OutLen())
			filters.Convolve(got, px, scratch)
			for i, want := range counts {
				if got[i] != want {
					t.Fatalf("%s, %+v: count %d is %d, want %d", tier.name, g, i, got[i], want)
				}
			}
		}
	})
}

func TestWrongLengthsPanic(t *testing.T) {
	g := Geometry{H: 4, W: 4, C: 3, K: 2, Kernel: 3, Stride: 1, Pad: 1, Groups: 1}
	for name, call := range map[string]func(){
		"PackSigns": func() { PackSigns(make([]uint64, 1), make([]float32, 65), 1, 65) },
		"BinConv":   func() { BinConv(make([]int32, 1), make([]uint64, g.InWords()), make([]uint64, g.FilterWords()), g) },
		"Conv":      func() { Conv(make([]float32, g.OutLen()), make([]float32, 1), make([]float32, g.FilterLen()), nil, g) },
		"Affine": func() {
			Affine(make([]float32, 4), make([]float32, 4), make([]float32, 2), make([]float32, 1), 1, false)
		},
		"Check": func() { Geometry{H: 2, W: 2, C: 1, K: 1, Kernel: 3, Stride: 1, Groups: 1}.Check() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

func ExampleBinConv() {
	// Two pixels of three channels, one 1x1 filter: agreeing signs minus differing ones.
	g := Geometry{H: 1, W: 2, C: 3, K: 1, Kernel: 1, Stride: 1, Groups: 1}
	x, w := make([]uint64, g.InWords()), make([]uint64, g.FilterWords())
	PackSigns(x, []float32{0.5, -2, 1 /**/, -1, -1, -1}, 2, 3)
	PackFilters(w, []float32{1, -1, -1}, g)
	counts := make([]int32, g.OutLen())
	BinConv(counts, x, w, g)
	fmt.Println(counts)
	// Output: [1 1]
}
