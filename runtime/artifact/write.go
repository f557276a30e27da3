package artifact

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/internal/safetensors"
)

// The identification of the format.
const (
	formatName    = "bnntool.artifact"
	formatVersion = "1"
)

// The metadata keys besides the checksums.
const (
	formatKey  = "format"
	versionKey = "version"
	modelKey   = "model"   // JSON of description
	tensorsKey = "tensors" // JSON object of entry by tensor
)

// align is what every tensor's offset in the file and stored size are multiples of.
const align = 64

// rawCodec stores a tensor's data as it is.
const rawCodec = "raw"

// description is a Model without its tensors.
type description struct {
	Name       string            `json:"name"`
	Input      []int             `json:"input"` // H, W, C
	Classes    []string          `json:"classes"`
	Preprocess preprocess.Config `json:"preprocess"`
	Source     map[string]string `json:"source,omitempty"`
	Ops        opList            `json:"ops"`
}

// entry describes a tensor beyond what safetensors says of its stored bytes.
type entry struct {
	Shape   []int  `json:"shape"`
	Layout  Layout `json:"layout"`
	Codec   string `json:"codec"`
	RawSize int64  `json:"raw_size"` // bytes before coding and padding
}

// Write validates m and writes it to path. It is atomic: whatever fails, path holds what it held before. The same
// model gives the same bytes.
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

// encode returns what the file holds, the tensors in the order of their first use.
func (m *Model) encode() ([]safetensors.Tensor, safetensors.WriteOptions, error) {
	var o safetensors.WriteOptions
	if err := m.Validate(); err != nil {
		return nil, o, err
	}
	var tensors []safetensors.Tensor
	entries := make(map[string]entry, len(m.Tensors))
	for i := range m.Ops {
		for _, name := range m.Ops[i].tensorNames() {
			if _, done := entries[name]; done {
				continue
			}
			t := m.Tensors[name]
			entries[name] = entry{Shape: t.Shape, Layout: t.Layout, Codec: rawCodec, RawSize: int64(t.Bytes())}
			tensors = append(tensors, stored(name, &t))
		}
	}
	model, err := json.Marshal(description{Name: m.Name, Input: m.Input[:], Classes: m.Classes,
		Preprocess: m.Preprocess, Source: m.Source, Ops: m.Ops})
	if err != nil {
		return nil, o, fmt.Errorf("artifact: %w", err)
	}
	list, err := json.Marshal(entries)
	if err != nil {
		return nil, o, fmt.Errorf("artifact: %w", err)
	}
	if n := max(len(model), len(list)); n > maxText {
		return nil, o, fmt.Errorf("artifact: the description has %d bytes of JSON, at most %d are allowed", n, maxText)
	}
	o.Align = align
	o.Metadata = map[string]string{
		formatKey: formatName, versionKey: formatVersion, modelKey: string(model), tensorsKey: string(list),
	}
	return tensors, o, nil
}

// tensorNames returns the names of the operation's tensors, in the order of their storage.
func (o *Op) tensorNames() []string {
	var list []string
	for _, name := range []string{o.Weights, o.Scale, o.Bias, o.Threshold, o.Flip, o.Slope} {
		if name != "" {
			list = append(list, name)
		}
	}
	return list
}

// stored returns the tensor as the file has it: flat, followed by zeros up to a multiple of align bytes.
func stored(name string, t *Tensor) safetensors.Tensor {
	padded := int(padding(int64(t.Bytes())))
	switch {
	case t.Words != nil:
		data := make([]byte, padded)
		for i, w := range t.Words {
			binary.LittleEndian.PutUint64(data[8*i:], w)
		}
		return safetensors.Tensor{Name: name, DType: "U8", Shape: []int{padded}, Data: data}
	case t.Int32 != nil:
		v := make([]int32, padded/4)
		copy(v, t.Int32)
		return safetensors.I32(name, []int{len(v)}, v)
	}
	v := make([]float32, padded/4)
	copy(v, t.Float32)
	return safetensors.F32(name, []int{len(v)}, v)
}

// padding returns n rounded up to a multiple of align.
func padding(n int64) int64 { return (n + align - 1) / align * align }
