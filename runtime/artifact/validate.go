package artifact

import (
	"fmt"
	"maps"
	"slices"
)

// Validate returns an error that names the operation, tensor or field which cannot be, and nil for a model that an
// engine can run: the graph resolves, every tensor has the shape its operation wants and finite elements, the
// logits have names and the preprocessing makes the input.
func (m *Model) Validate() error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	return nil
}

func (m *Model) validate() error {
	values, err := m.resolve()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tensors)) {
		t := m.Tensors[name]
		if err := t.checkContent(); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
	}
	if logits := values[len(values)-1].C; len(m.Classes) != logits {
		return fmt.Errorf("classes: %d names for %d logits", len(m.Classes), logits)
	}
	p := m.Preprocess
	if err := p.Validate(); err != nil {
		return err
	}
	if m.Input != [3]int{p.H, p.W, p.C} {
		return fmt.Errorf("preprocess: the picture is %dx%dx%d, the image is %s", p.H, p.W, p.C, values[0].shape())
	}
	return nil
}
