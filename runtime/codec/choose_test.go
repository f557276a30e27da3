package codec_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bnntool/bnntool/runtime/codec"
)

// random returns n kernels without structure.
func random(n int) []uint16 {
	rng := rand.New(rand.NewPCG(9, uint64(n)))
	kernels := make([]uint16, n)
	for i := range kernels {
		kernels[i] = uint16(rng.IntN(512))
	}
	return kernels
}

func TestChoose(t *testing.T) {
	small := skewed(64 << 10)
	inverse := slices.Clone(skewed(4096)) // frequent where the others are rare
	for i, p := range inverse {
		inverse[i] = p ^ 0xff
	}
	for _, tt := range []struct {
		name    string
		tensors [][]uint16
		saving  float64
		want    []bool
	}{
		{"nothing", nil, 0.03, []bool{}},
		{"empty tensors", [][]uint16{{}, nil}, 0.03, []bool{false, false}},
		{"random", [][]uint16{random(4096), random(65536)}, 0.03, []bool{false, false}},
		{"skewed among random", [][]uint16{random(65536), skewed(16384)}, 0.03, []bool{false, true}},
		{"too little", [][]uint16{skewed(16384)}, 0.25, []bool{false}},
		{"one of few kernels alone", [][]uint16{small[:512]}, 0.03, []bool{false}},
		{"many of few kernels together", slices.Collect(slices.Chunk(small[:32<<9], 512)), 0.03, slices.Repeat([]bool{true}, 32)},
		{"one unlike the others", [][]uint16{small[:16384], inverse, small[16384:32768]}, 0.03, []bool{true, false, true}},
	} {
		got := codec.Choose(tt.tensors, tt.saving)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: chosen are %v, want %v", tt.name, got, tt.want)
		}
		var all []uint16
		for i, chosen := range got {
			if chosen {
				all = append(all, tt.tensors[i]...)
			}
		}
		if size := float64(len(codec.AppendPatterns(nil, all))); len(all) > 0 && size > (1-tt.saving)*float64(9*len(all))/8 {
			t.Errorf("%s: %d kernels take %v bytes, which saves less than %v", tt.name, len(all), size, tt.saving)
		}
	}
}

func TestShares(t *testing.T) {
	one := slices.Repeat([]uint16{0x155}, 4096)
	for _, tt := range []struct {
		tensors [][]uint16
		size    int
	}{
		{[][]uint16{skewed(100)}, 77}, {[][]uint16{one, random(4096)}, 5000}, {[][]uint16{{}, {}}, 3}, {nil, 0},
	} {
		shares := codec.Shares(tt.tensors, tt.size)
		sum := 0
		for _, s := range shares {
			if s < 0 {
				t.Errorf("shares of %d are %v", tt.size, shares)
			}
			sum += s
		}
		if len(tt.tensors) > 0 && sum != tt.size || len(shares) != len(tt.tensors) {
			t.Errorf("shares %v of %d bytes for %d tensors", shares, tt.size, len(tt.tensors))
		}
	}
	if s := codec.Shares([][]uint16{one, random(4096)}, 5000); s[0]*2 > s[1] {
		t.Errorf("shares %v: kernels of one pattern should take less than half of random ones", s)
	}
}
