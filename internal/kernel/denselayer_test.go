package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestDenseLayer(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, in := range []int{1, 2, 64, 100} {
			for _, out := range []int{1, 7, 8, 9, 10, 16, 17, 31, 32, 33, 40, 64, 65, 100, 129} {
				t.Run(fmt.Sprintf("%d-%d", in, out), func(t *testing.T) { testDenseLayer(t, in, out) })
			}
		}
	})
}

func testDenseLayer(t *testing.T, in, out int) {
	rng := rand.New(rand.NewPCG(uint64(in), uint64(out)))
	w, x, bias := normals(rng, in*out), normals(rng, in), normals(rng, out)
	l := NewDenseLayer(w, bias)
	got, scratch := normals(rng, out+1), make([]uint64, l.Scratch())
	behind := got[out]
	for i := range scratch {
		scratch[i] = rng.Uint64()
	}
	l.Apply(got[:out], x, scratch)
	for o := range out {
		var want float32
		for i := range in {
			want += float32(w[o*in+i] * x[i])
		}
		want += bias[o]
		if got[o] != want {
			t.Fatalf("output %d is %v, want %v", o, got[o], want)
		}
	}
	if got[out] != behind {
		t.Error("wrote behind the output")
	}
}

func FuzzDenseLayer(f *testing.F) {
	f.Add(uint8(3), uint8(9))
	f.Fuzz(func(t *testing.T, in, out uint8) {
		before := active
		defer func() { active = before }()
		for _, tier := range available {
			active = tier
			testDenseLayer(t, int(in)+1, int(out)+1)
		}
	})
}

func BenchmarkDenseLayer(b *testing.B) {
	for _, size := range [][2]int{{64, 10}, {8192, 10}, {1024, 1000}} {
		b.Run(fmt.Sprintf("%d-%d", size[0], size[1]), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			l := NewDenseLayer(normals(rng, size[0]*size[1]), normals(rng, size[1]))
			x, dst, scratch := normals(rng, size[0]), make([]float32, size[1]), make([]uint64, l.Scratch())
			b.SetBytes(int64(4 * size[0] * size[1]))
			for b.Loop() {
				l.Apply(dst, x, scratch)
			}
		})
	}
}
