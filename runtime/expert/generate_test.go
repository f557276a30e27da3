package expert_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

// TestGenerate: traces are valid and repeatable, and have the statistics that they are drawn from.
func TestGenerate(t *testing.T) {
	for _, tt := range []struct {
		model         string
		entropy, most float64 // of popularity, and how far off it may be
	}{{"deepseek", 5.85, .03}, {"qwen", 5.85, .03}, {"switch", 4.55, .25}} {
		s := generated(t, tt.model, 100)
		var b, again bytes.Buffer
		if err := s.Encode(&b); err != nil {
			t.Fatal(err)
		}
		if err := generated(t, tt.model, 100).Encode(&again); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Errorf("%s: two traces of the same description differ", tt.model)
		}
		if _, _, err := expert.DecodeTrace(&b); err != nil {
			t.Errorf("%s: %v", tt.model, err)
		}
		if got := s.Reuse(); !near(got, .41, .01) {
			t.Errorf("%s: %.3f of the choices repeat, want 0.41", tt.model, got)
		}
		if got := s.Counts().Statistics().Entropy; !near(got, tt.entropy, tt.most) {
			t.Errorf("%s: popularity has %.3f bits, want %v", tt.model, got, tt.entropy)
		}
	}
	y := expert.PublishedSynthetic(shape(t, "qwen"))
	y.Prompts, y.Keep = 100, 0
	s, err := y.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Reuse(); !near(got, .14, .01) { // the sum of the squares of the probabilities, by 4
		t.Errorf("without keeping, %.3f of the choices repeat, want 0.14", got)
	}
	y.Seed++
	if other, err := y.Generate(); err != nil || reflect.DeepEqual(s, other) {
		t.Error("another seed gives the same trace")
	}
}

func TestGenerateRefuses(t *testing.T) {
	for name, change := range map[string]func(*expert.Synthetic){
		"no prompts":       func(y *expert.Synthetic) { y.Prompts = 0 },
		"no steps":         func(y *expert.Synthetic) { y.Steps = 0 },
		"too many":         func(y *expert.Synthetic) { y.Prompts = 1 << 40 },
		"no ranks":         func(y *expert.Synthetic) { y.Inclusion = nil },
		"too many ranks":   func(y *expert.Synthetic) { y.Inclusion = make([]float64, 61) },
		"keeps everything": func(y *expert.Synthetic) { y.Keep = 1 },
		"no layers":        func(y *expert.Synthetic) { y.Model.Layers = 0 },
	} {
		y := expert.PublishedSynthetic(shape(t, "qwen"))
		change(&y)
		if _, err := y.Generate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestArrange: the order that is made up has the counts that it is made of.
func TestArrange(t *testing.T) {
	c, _, err := expert.DecodeTrace(strings.NewReader(countsFile))
	if err != nil {
		t.Fatal(err)
	}
	more := generated(t, "deepseek", 3).Counts()
	for _, c := range []*expert.Counts{c, more} {
		s := c.Arrange(1)
		if got := s.Counts(); !reflect.DeepEqual(got, c) {
			t.Errorf("%s: the order has other counts", c.Model)
		}
		var b bytes.Buffer
		if err := s.Encode(&b); err != nil {
			t.Fatal(err)
		}
		if _, _, err := expert.DecodeTrace(&b); err != nil {
			t.Errorf("%s: %v", c.Model, err)
		}
	}
	if reflect.DeepEqual(more.Arrange(1), more.Arrange(2)) {
		t.Error("two seeds give the same order")
	}
}
