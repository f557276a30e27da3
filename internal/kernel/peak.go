package kernel

// peakChains is the number of independent sums of MultiplyAdds.
const peakChains = 12

// MultiplyAdds does rounds times some float32 multiply-adds on registers alone, in the active tier's widest form, and
// returns how many: what they take is the least that as many take anywhere.
func MultiplyAdds(rounds int) int {
	if rounds < 1 {
		return 0
	}
	if k := active.multiplyAdds; k != nil {
		k(rounds)
		return rounds * peakChains * active.lanes
	}
	var s0, s1, s2, s3 float32
	x := float32(rounds)
	for range rounds {
		s0 += float32(x * x)
		s1 += float32(x * x)
		s2 += float32(x * x)
		s3 += float32(x * x)
	}
	if sum := s0 + s1 + s2 + s3; sum != sum {
		return 0 // never, but the compiler cannot know, and keeps the loop
	}
	return 4 * rounds
}
