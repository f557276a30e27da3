package artifact

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// Write validates m and writes it to path. It is atomic: whatever fails, path holds what it held before. The same
// model gives the same bytes. A tensor is held in its Coding; one that Recode has rounded and that was changed since is an
// error that names it.
//
// A file does not hold the names of tensors: Read calls each as its operation and what it is to it
// ("fc.weight", "bn1.scale", "bn1.bias", "sign.threshold", "sign.flip", "act.slope"). A tensor that several operations
// use is held once for each.
func Write(path string, m *Model) error {
	tensors, o, err := m.encode()
	if err != nil {
		return err
	}
	if err := safetensors.WriteFile(path, tensors, o); err != nil {
		return fmt.Errorf("artifact: writing: %w", err)
	}
	return nil
}

// encode returns what the file holds.
func (m *Model) encode() ([]safetensors.Tensor, safetensors.WriteOptions, error) {
	var o safetensors.WriteOptions
	if err := m.Validate(); err != nil {
		return nil, o, err
	}
	w := sectionWriter{data: make(map[string][]byte)}
	ops := slices.Clone(m.Ops)
	before := ImageInput
	for i := range ops {
		if in := ops[i].Inputs; len(in) == 1 && in[0] == before {
			ops[i].Inputs = nil
		}
		before = ops[i].Name
		for _, f := range ops[i].tensorFields() {
			if *f.name == "" {
				continue
			}
			t := m.Tensors[*f.name]
			if err := w.put(&t); err != nil {
				return nil, o, fmt.Errorf("artifact: tensor %q: %w", *f.name, err)
			}
			*f.name = string(t.Coding())
		}
	}
	text, err := json.Marshal(description{Name: m.Name, Input: m.Input[:], Classes: m.Classes,
		Preprocess: m.Preprocess, Source: m.Source, Ops: ops})
	if err == nil {
		w.data[modelSection], err = deflate(text)
	}
	if err != nil {
		return nil, o, fmt.Errorf("artifact: %w", err)
	}
	o.Align = dataAlign
	o.Metadata = map[string]string{formatKey: formatName, versionKey: version2}
	return w.tensors(), o, nil
}

// tensorField is a field of an Op that names a tensor.
type tensorField struct {
	name *string
	role string // what the tensor is to the operation
}

// tensorFields returns the fields of o that name tensors, in the order in which a file holds the tensors.
func (o *Op) tensorFields() []tensorField {
	return []tensorField{
		{&o.Weights, "weight"}, {&o.Scale, "scale"}, {&o.Bias, "bias"},
		{&o.Threshold, "threshold"}, {&o.Flip, "flip"}, {&o.Slope, "slope"},
	}
}
