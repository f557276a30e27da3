package codec

import "math"

// Choose returns which of some tensors of kernels to code together, so that each of them becomes smaller by the share saving
// (0.03: 3 %) or more. Tensors share the table of codes, which is why small ones can be worth coding and why one
// that has other patterns than the rest is better left out: of all, the one that saves least goes as long as it saves
// too little.
func Choose(tensors [][]uint16, saving float64) []bool {
	chosen := make([]bool, len(tensors))
	counts := make([]histogram, len(tensors))
	left := 0
	for i, t := range tensors {
		counts[i].add(t)
		if chosen[i] = len(t) > 0; chosen[i] {
			left++
		}
	}
	for left > 0 {
		bits := costs(counts, chosen)
		worst, least := -1, math.Inf(1)
		for i, t := range tensors {
			if !chosen[i] {
				continue
			}
			if s := 1 - bits[i]/float64(PatternBits*len(t)); s < least {
				worst, least = i, s
			}
		}
		if least >= saving && savesAtLeast(tensors, chosen, saving) {
			break
		}
		chosen[worst] = false
		left--
	}
	return chosen
}

// savesAtLeast reports whether the chosen tensors really become smaller by the share saving.
func savesAtLeast(tensors [][]uint16, chosen []bool, saving float64) bool {
	var all []uint16
	for i, t := range tensors {
		if chosen[i] {
			all = append(all, t...)
		}
	}
	return float64(8*len(AppendPatterns(nil, all))) <= (1-saving)*float64(PatternBits*len(all))
}

// Shares divides size bytes, which tensors of kernels take when they are coded together, among them by the lengths of
// their codes. The shares are whole bytes and their sum is size.
func Shares(tensors [][]uint16, size int) []int {
	counts := make([]histogram, len(tensors))
	chosen := make([]bool, len(tensors))
	for i, t := range tensors {
		counts[i].add(t)
		chosen[i] = true
	}
	bits := costs(counts, chosen)
	total := 0.0
	for _, b := range bits {
		total += b
	}
	shares := make([]int, len(tensors))
	given, until := 0, 0.0
	for i, b := range bits {
		until += b
		to := size
		if total > 0 && i < len(bits)-1 {
			to = int(math.Round(float64(size) * until / total))
		}
		shares[i], given = to-given, to
	}
	return shares
}

// histogram counts the symbols of kernels.
type histogram struct {
	symbols [256]float64
	kernels int
}

func (h *histogram) add(kernels []uint16) {
	for _, p := range kernels {
		if p&lastTap != 0 {
			p = ^p
		}
		h.symbols[byte(p)]++
	}
	h.kernels += len(kernels)
}

// tableBits is about what the table of codes of a DEFLATE block takes.
const tableBits = 8 * 110

// costs returns how many bits each of the chosen tensors takes, coded with the others: its last taps, the ideal codes of
// its symbols, and its part of the table. It is 0 for those that are not chosen.
func costs(counts []histogram, chosen []bool) []float64 {
	var all histogram
	for i := range counts {
		if !chosen[i] {
			continue
		}
		for s, n := range counts[i].symbols {
			all.symbols[s] += n
		}
		all.kernels += counts[i].kernels
	}
	var length [256]float64 // of each symbol's code
	for s, n := range all.symbols {
		if n > 0 {
			length[s] = max(1, math.Log2(float64(all.kernels)/n))
		}
	}
	bits := make([]float64, len(counts))
	for i := range counts {
		if !chosen[i] {
			continue
		}
		bits[i] = float64(counts[i].kernels) * (1 + tableBits/float64(max(1, all.kernels)))
		for s, n := range counts[i].symbols {
			bits[i] += float64(n * length[s]) // not fused, so that every machine chooses alike
		}
	}
	return bits
}
