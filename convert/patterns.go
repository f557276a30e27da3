package convert

import (
	"maps"
	"slices"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// codePatterns returns m with those 3x3 filters coded that become at least 3 % smaller. The others stay as they are: a
// device can use them where the file is mapped.
func codePatterns(m *artifact.Model) *artifact.Model {
	c := withTensors(m)
	for _, name := range slices.Sorted(maps.Keys(m.Tensors)) {
		t := m.Tensors[name]
		coded, err := t.Recode(artifact.AsPatterns)
		if err != nil {
			continue // they are no such filters
		}
		if 100*coded.Bytes() <= 97*t.Bytes() {
			c.Tensors[name] = coded
		}
	}
	return c
}
