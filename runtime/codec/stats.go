package codec

import "math"

// Histogram counts the exponents.
func Histogram(exp []byte) [256]int {
	// Four counters for each, so that equal neighbours do not wait for each other.
	var part [4][256]int
	i := 0
	for ; i+4 <= len(exp); i += 4 {
		part[0][exp[i]]++
		part[1][exp[i+1]]++
		part[2][exp[i+2]]++
		part[3][exp[i+3]]++
	}
	for ; i < len(exp); i++ {
		part[0][exp[i]]++
	}
	var count [256]int
	for x := range count {
		count[x] = part[0][x] + part[1][x] + part[2][x] + part[3][x]
	}
	return count
}

// Entropy returns the bits of information in one exponent of those that were counted: no code of single exponents takes fewer
// on average. It is 0 for none.
func Entropy(count [256]int) float64 {
	n := 0
	for _, c := range count {
		n += c
	}
	h := 0.0
	for _, c := range count {
		if c > 0 {
			p := float64(c) / float64(n)
			h -= p * math.Log2(p)
		}
	}
	return h
}

// Ideal returns the share of a bfloat16 tensor's size that is left when its exponents take so many bits each; signs and mantissas
// stay as they are.
func Ideal(entropy float64) float64 { return (8 + entropy) / 16 }
