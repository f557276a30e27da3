package expert

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// TestPolicies drives each policy by hand: uses in order, then who goes, and who gets in.
func TestPolicies(t *testing.T) {
	all := []int{3, 1, 0, 2} // the order of candidates must not matter
	for _, tt := range []struct {
		policy  string
		steps   [][]int // experts that each step uses
		dropped []int   // after the steps
		victim  int
		admits  []int // who would get the victim's place
	}{
		{"lru", [][]int{{0, 1}, {2, 3}, {0}}, nil, 1, []int{0, 1, 2, 3, 4}},
		{"fifo", [][]int{{1, 0}, {2, 3}, {1}}, nil, 1, []int{0, 1, 2, 3, 4}},
		{"lfu", [][]int{{0, 1, 2, 3}, {0, 1, 3}, {0, 3}}, nil, 2, []int{0, 1, 2, 3, 4}},
		{"lfu", [][]int{{0, 1, 2, 3}, {2, 1, 0, 3}}, nil, 2, nil}, // of equals the one that was used first
		{"lfu-kept", [][]int{{0, 1, 2, 3}, {0, 1, 2}, {0, 3, 4}, {4}, {0, 2, 3}}, nil, 1, []int{0, 2, 3}},
		{"lfu-kept", [][]int{{0, 1, 2, 3}, {1, 2, 3}}, []int{1}, 0, []int{1, 2, 3}},
		// 0 was used more often, but so long ago that 0.9^8 + 0.9^9 < 1 - a little.
		{"decayed", [][]int{{0}, {0}, {1, 2, 3}, {1, 2, 3}, {1, 2, 3}, {1, 2, 3}, {1, 2, 3}, {1, 2, 3}, {1, 2, 3}, {4}}, nil, 0, []int{1, 2, 3, 4}},
		{"value", [][]int{{0}, {1}, {2}, {3}, {3}, {2}, {1}}, nil, 0, []int{1, 2, 3}},
	} {
		p, err := NewPolicy(tt.policy, 5, 1)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		for _, step := range tt.steps {
			for _, e := range step {
				p.Use(e, 1, Decode, seen[e])
				seen[e] = true
			}
			p.EndStep()
		}
		for _, e := range tt.dropped {
			p.Dropped(e)
		}
		victim := p.Victim(all)
		if victim != tt.victim {
			t.Errorf("%s after %v: %d goes, want %d", tt.policy, tt.steps, victim, tt.victim)
		}
		for e := range 5 {
			if want := slices.Contains(tt.admits, e); tt.admits != nil && p.Admits(e, victim) != want {
				t.Errorf("%s after %v: admits %d for %d: %v, want %v", tt.policy, tt.steps, e, victim, !want, want)
			}
		}
	}
}

// TestPolicyMemory: what policies forget, and what prompts do to them.
func TestPolicyMemory(t *testing.T) {
	new := func(name string) Policy {
		p, err := NewPolicy(name, 4, 1)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// An expert that lfu has dropped begins anew when it comes back, and tokens count.
	p := new("lfu")
	p.Use(0, 9, Decode, false)
	p.Use(0, 9, Decode, true)
	p.Use(1, 1, Decode, false)
	p.Use(1, 1, Decode, true)
	p.Dropped(0)
	if p.Use(0, 9, Decode, false); p.Victim([]int{0, 1}) != 0 {
		t.Error("lfu: an expert that came back has its old count")
	}
	// The tokens of a prompt do not count for those that decode.
	for _, name := range []string{"lfu-kept", "decayed"} {
		p := new(name)
		p.Use(0, 100, Prefill, false)
		if p.Use(1, 1, Decode, false); p.Victim([]int{0, 1}) != 0 {
			t.Errorf("%s: a prompt outweighs decoding", name)
		}
	}
	// For value they do, while the prompt lasts.
	p = new("value")
	p.Use(0, 30, Prefill, false)
	p.Use(1, 10, Prefill, false)
	p.EndStep()
	if p.Victim([]int{0, 1}) != 1 {
		t.Error("value: the prompt's experts are no more worth to it than others")
	}
	p.EndPrompt()
	if p.Use(1, 1, Decode, true); p.Victim([]int{0, 1}) != 0 {
		t.Error("value: the last prompt counts for the next one")
	}
	// Counts of any age stay finite.
	d := new("decayed")
	for step := range 20_000 {
		d.Use(step%2, 1, Decode, true)
		if step < 10_000 {
			d.Use(2, 1, Decode, true)
		}
		d.EndStep()
	}
	if v := d.(*decayed); math.IsInf(v.count[0], 0) || d.Victim([]int{0, 1, 2}) != 2 || d.Victim([]int{0, 1}) != 0 {
		t.Errorf("decayed: counts %v after 20000 steps", v.count)
	}
}

// TestMarking: nobody with a mark goes while there is one without, and of those without everybody may.
func TestMarking(t *testing.T) {
	p, err := NewPolicy("marking", 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.Use(0, 1, Decode, true)
	p.Use(1, 1, Decode, true)
	var count [4]int
	for range 1000 {
		count[p.Victim([]int{0, 1, 2, 3})]++
	}
	if count[0]+count[1] > 0 || count[2] < 400 || count[3] < 400 {
		t.Errorf("of 0 and 1, which have marks, and 2 and 3 went %v", count)
	}
	clear(count[:])
	for range 1000 {
		p.Use(0, 1, Decode, true)
		p.Use(1, 1, Decode, true)
		count[p.Victim([]int{0, 1})]++
	}
	if count[0] < 400 || count[1] < 400 {
		t.Errorf("where all have marks %v went", count)
	}
	p.Use(2, 1, Decode, true)
	p.Dropped(2)
	if p.Victim([]int{2}) != 2 {
		t.Error("the only candidate does not go")
	}
}

func TestNewPolicyRefuses(t *testing.T) {
	_, err := NewPolicy("LRU1", 1, 0)
	if err == nil || !strings.Contains(err.Error(), `there is no policy "LRU1", did you mean lru? There are lru, lfu, lfu-kept, decayed, marking, fifo, value`) {
		t.Errorf("error %v", err)
	}
	for _, name := range PolicyNames() {
		if _, err := NewPolicy(name, 3, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
