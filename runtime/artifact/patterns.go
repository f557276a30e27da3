package artifact

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bnntool/bnntool/runtime/codec"
)

// minPatternChannels is the number of channels, in one group, from which filters may be coded as patterns. It bounds
// what a word of memory costs a file.
const minPatternChannels = 16

// CodePatterns returns m with those 3x3 filters in the coding AsPatterns that thereby become smaller by the share saving (0.03:
// 3 %) or more, and all other filters AsBits. Filters that are coded share a table, so that they are chosen together.
func (m *Model) CodePatterns(saving float64) *Model {
	c := *m
	c.Tensors = maps.Clone(m.Tensors)
	var names []string
	var kernels [][]uint16
	for _, name := range slices.Sorted(maps.Keys(m.Tensors)) {
		t := m.Tensors[name]
		if t.Words == nil {
			continue
		}
		t.coding, t.coded = "", 0
		c.Tensors[name] = t
		if checkPatternShape(t.Layout, t.Shape) == nil {
			names, kernels = append(names, name), append(kernels, t.patterns())
		}
	}
	var coded []string
	for i, chosen := range codec.Choose(kernels, saving) {
		if chosen {
			t := c.Tensors[names[i]]
			t.coding = AsPatterns
			c.Tensors[names[i]] = t
			coded = append(coded, names[i])
		}
	}
	c.sharePatterns(coded)
	return &c
}

// sharePatterns sets how many bytes each of the tensors of those names, all there are that are coded as patterns, takes of the
// section.
func (m *Model) sharePatterns(names []string) {
	var kernels [][]uint16
	for _, name := range names {
		t := m.Tensors[name]
		kernels = append(kernels, t.patterns())
	}
	size := len(codec.AppendPatterns(nil, slices.Concat(kernels...)))
	m.setShares(names, kernels, size)
}

func (m *Model) setShares(names []string, kernels [][]uint16, size int) {
	for i, share := range codec.Shares(kernels, size) {
		t := m.Tensors[names[i]]
		t.coded = share
		m.Tensors[names[i]] = t
	}
}

// checkPatternShape returns an error if filters of that shape cannot be coded as patterns.
func checkPatternShape(layout Layout, shape []int) error {
	if layout != BitFilters || shape[2] != 3 || shape[3] != 3 || shape[1] < minPatternChannels {
		return fmt.Errorf("coding %q is for 3x3 filters over %d or more channels, not for shape %v with layout %q",
			AsPatterns, minPatternChannels, shape, layout)
	}
	return nil
}

// patterns returns the kernels of filters [K,C,3,3], K·C of them, each a pattern for package codec.
func (t *Tensor) patterns() []uint16 {
	k, c := t.Shape[0], t.Shape[1]
	row := words(c)
	kernels := make([]uint16, k*c)
	for f := range k {
		filter := t.Words[f*codec.PatternBits*row : (f+1)*codec.PatternBits*row]
		for tap := range codec.PatternBits {
			for ch := range c {
				bit := filter[tap*row+ch/wordBits] >> (ch % wordBits) & 1
				kernels[f*c+ch] |= uint16(bit) << tap
			}
		}
	}
	return kernels
}

// setPatterns is the inverse of patterns: it sets Words, which are clear.
func (t *Tensor) setPatterns(kernels []uint16) {
	k, c := t.Shape[0], t.Shape[1]
	row := words(c)
	for f := range k {
		filter := t.Words[f*codec.PatternBits*row : (f+1)*codec.PatternBits*row]
		for tap := range codec.PatternBits {
			for ch := range c {
				bit := uint64(kernels[f*c+ch] >> tap & 1)
				filter[tap*row+ch/wordBits] |= bit << (ch % wordBits)
			}
		}
	}
}
