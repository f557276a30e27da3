package artifact

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestHalvesSurvive: every number of the 16-bit formats has itself as the nearest.
func TestHalvesSurvive(t *testing.T) {
	for _, f := range []struct {
		name string
		to   func(float32) uint16
		from func(uint16) float32
	}{{"float16", toFloat16, fromFloat16}, {"bfloat16", toBFloat16, fromBFloat16}} {
		for h := range 1 << 16 {
			x := f.from(uint16(h))
			if got := f.to(x); x == x && got != uint16(h) {
				t.Errorf("%s: %#04x is %v, whose nearest is %#04x", f.name, h, x, got)
			} else if x != x && f.from(got) == f.from(got) {
				t.Errorf("%s: %#04x is NaN, which becomes %#04x", f.name, h, got)
			}
		}
	}
}

// TestHalvesAreNearest compares with the two neighbours: none is nearer, and of two as near the even one is taken.
func TestHalvesAreNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var cases []float32
	for range 200_000 {
		cases = append(cases, math.Float32frombits(rng.Uint32()))
	}
	for h := range uint16(0x7bff) { // the middle between two halves, and just beside it
		middle := (fromFloat16(h) + fromFloat16(h+1)) / 2
		cases = append(cases, middle, -middle, math.Nextafter32(middle, 0), math.Nextafter32(middle, 1e9))
	}
	cases = append(cases, 65519.996, 65520, 65536, 1e10)
	for _, f := range []struct {
		name string
		to   func(float32) uint16
		from func(uint16) float32
	}{{"float16", toFloat16, fromFloat16}, {"bfloat16", toBFloat16, fromBFloat16}} {
		for _, x := range cases {
			h := f.to(x)
			y := float64(f.from(h))
			if x != x || math.IsInf(y, 0) {
				continue
			}
			d := math.Abs(float64(x) - y)
			for _, n := range []uint16{h - 1, h + 1} {
				z := float64(f.from(n))
				if z != z || math.IsInf(z, 0) || math.Signbit(z) != math.Signbit(y) {
					continue
				}
				if dn := math.Abs(float64(x) - z); dn < d || dn == d && h&1 != 0 {
					t.Fatalf("%s: %v becomes %v, but %v is nearer, or as near and even", f.name, x, y, z)
				}
			}
		}
	}
	for x, want := range map[float32]uint16{65519.996: 0x7bff, 65520: 0x7c00, -65536: 0xfc00, 1e-10: 0, 1: 0x3c00, -2: 0xc000} {
		if got := toFloat16(x); got != want {
			t.Errorf("float16 of %v is %#04x, want %#04x", x, got, want)
		}
	}
}

func TestPackBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, n := range []int{1, 3, 7, 8, 9, 16, 31, 63, 64, 65, 127, 128, 129, 200} {
		for _, rows := range []int{1, 2, 3, 8, 64, 65} {
			in := make([]uint64, rows*words(n))
			for i := range in {
				if in[i] = rng.Uint64(); i%words(n) == words(n)-1 && n%wordBits != 0 {
					in[i] &= 1<<(n%wordBits) - 1
				}
			}
			b := packBits([]byte{1, 2}, in, n)
			if len(b) != 2+denseBytes(rows, n) {
				t.Fatalf("%d rows of %d bits take %d bytes, want %d", rows, n, len(b)-2, denseBytes(rows, n))
			}
			for r := range rows {
				for i := range n {
					at := r*n + i
					if got, want := b[2+at/8]>>(at%8)&1, byte(in[r*words(n)+i/wordBits]>>(i%wordBits)&1); got != want {
						t.Fatalf("rows of %d bits: bit %d of row %d is %d, want %d", n, i, r, got, want)
					}
				}
			}
			out := make([]uint64, len(in))
			if err := unpackBits(out, b[2:], n); err != nil {
				t.Fatal(err)
			}
			for i := range in {
				if in[i] != out[i] {
					t.Fatalf("%d rows of %d bits: word %d is %#x, want %#x", rows, n, i, out[i], in[i])
				}
			}
			if rest := rows * n % 8; rest != 0 {
				b[len(b)-1] |= 0x80
				if err := unpackBits(out, b[2:], n); err == nil {
					t.Errorf("%d rows of %d bits: a set bit behind the last goes unnoticed", rows, n)
				}
			}
		}
	}
}
