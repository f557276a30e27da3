package artifact

import (
	"math/rand/v2"
	"testing"
)

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
