package accuracy

import (
	"fmt"
	"testing"
)

func TestRank(t *testing.T) {
	for _, tt := range []struct {
		logits []float32
		want   []int // of each class
	}{
		{[]float32{1}, []int{0}},
		{[]float32{1, 3, 2}, []int{2, 0, 1}},
		{[]float32{0, 0, 0}, []int{0, 1, 2}},
		{[]float32{-1, 5, 5, -2}, []int{2, 0, 1, 3}},
	} {
		for class, want := range tt.want {
			if got := Rank(tt.logits, class); got != want {
				t.Errorf("Rank(%v, %d) = %d, want %d", tt.logits, class, got, want)
			}
			if got := Best(tt.logits) == class; got != (want == 0) {
				t.Errorf("Best(%v) is %d: %v, but its rank is %d", tt.logits, class, got, want)
			}
		}
	}
}

func TestTally(t *testing.T) {
	var tally Tally
	if tally.Top1() != 0 || tally.Top5() != 0 {
		t.Errorf("an empty tally has %v %% and %v %%, want 0", tally.Top1(), tally.Top5())
	}
	logits := []float32{7, 6, 5, 4, 3, 2, 1}
	for label := range logits[:6] {
		tally.Add(logits, label)
	}
	tally.Add(logits, 6)
	tally.Add(logits, 0)
	if tally != (Tally{Images: 8, Best: 2, Best5: 6}) || tally.Top1() != 25 || tally.Top5() != 75 {
		t.Errorf("%+v, %v %%, %v %%, want 2 and 6 of 8", tally, tally.Top1(), tally.Top5())
	}
}

func ExampleTally() {
	var t Tally
	t.Add([]float32{0.1, 2.5, -1}, 1)
	t.Add([]float32{0.1, 2.5, -1}, 0)
	fmt.Printf("%.0f %% of %d\n", t.Top1(), t.Images)
	// Output: 50 % of 2
}
