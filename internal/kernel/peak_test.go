package kernel

import "testing"

func TestMultiplyAdds(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		if n := MultiplyAdds(0); n != 0 {
			t.Errorf("%d in no rounds", n)
		}
		one, ten := MultiplyAdds(1), MultiplyAdds(10)
		if one < 1 || ten != 10*one {
			t.Errorf("%d in one round, %d in ten", one, ten)
		}
	})
}

func BenchmarkMultiplyAdds(b *testing.B) {
	const rounds = 1000
	b.SetBytes(int64(4 * MultiplyAdds(rounds)))
	for b.Loop() {
		MultiplyAdds(rounds)
	}
}
