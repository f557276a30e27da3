// Package accuracy counts how often a classifier is right.
//
// Caveat: classes of equal logits rank by their index, the lower one first, so that two forms of one network are counted
// alike.
package accuracy

// Tally is the number of pictures seen and of those classified correctly. The zero value is an empty count.
type Tally struct {
	Images int
	// Best is how many pictures had the right class first, Best5 how many had it among the first five.
	Best, Best5 int
}

// Add counts one picture with its logits, one for each class, and its label, an index of logits. It panics if there is
// no such index.
func (t *Tally) Add(logits []float32, label int) {
	r := Rank(logits, label)
	t.Images++
	if r == 0 {
		t.Best++
	}
	if r < 5 {
		t.Best5++
	}
}

// Top1 returns the share of pictures with the right class first, in percent; 0 if there are none.
func (t Tally) Top1() float64 { return t.percent(t.Best) }

// Top5 returns the share of pictures with the right class among the first five, in percent; 0 if there are none.
func (t Tally) Top5() float64 { return t.percent(t.Best5) }

func (t Tally) percent(n int) float64 {
	if t.Images == 0 {
		return 0
	}
	return 100 * float64(n) / float64(t.Images)
}

// Rank returns how many classes come before the given one: those of a higher logit, and those of the same logit and a
// lower index. The logits may not hold NaN. It panics if class is no index of logits.
func Rank(logits []float32, class int) int {
	rank := 0
	for i, v := range logits {
		if v > logits[class] || (v == logits[class] && i < class) {
			rank++
		}
	}
	return rank
}

// Best returns the class of rank 0. It panics if there are no logits.
func Best(logits []float32) int {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return best
}
