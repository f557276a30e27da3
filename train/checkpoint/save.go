package checkpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/train/model"
)

// The identification of the format, and the prefix of the solver's tensors.
const (
	formatName    = "bnntool.checkpoint"
	formatVersion = "1"
	solverPrefix  = "solver."
)

// The metadata keys besides the checksums.
const (
	formatKey     = "format"
	versionKey    = "version"
	netKey        = "net"        // JSON of model.Net
	preprocessKey = "preprocess" // JSON of preprocess.Config
	classesKey    = "classes"    // JSON array of strings
	datasetKey    = "dataset"
	recipeKey     = "recipe"
	stateKey      = "state" // JSON of TrainState
)

// maxNetText bounds the JSON of the network, which takes many times as much memory when it is decoded. A network has a
// few hundred bytes for each of its layers.
const maxNetText = 1 << 22

// Save writes c to path. It is atomic: whatever fails, path holds what it held before. The same c gives the same
// bytes. The error names the tensor or field of c that cannot be saved.
func Save(path string, c *Checkpoint) error {
	tensors, metadata, err := c.encode()
	if err != nil {
		return fmt.Errorf("checkpoint: saving %s: %w", path, err)
	}
	if err := safetensors.WriteFile(path, tensors, safetensors.WriteOptions{Metadata: metadata}); err != nil {
		return fmt.Errorf("checkpoint: saving: %w", err)
	}
	return nil
}

func (c *Checkpoint) encode() ([]safetensors.Tensor, map[string]string, error) {
	if err := c.validate(); err != nil {
		return nil, nil, err
	}
	if err := c.Weights.Check(c.Net); err != nil {
		return nil, nil, err
	}
	list, err := c.Net.Tensors()
	if err != nil {
		return nil, nil, err
	}
	var tensors []safetensors.Tensor
	add := func(name string, shape []int, v []float32) error {
		if err := checkFinite(v); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		tensors = append(tensors, safetensors.F32(name, shape, v))
		return nil
	}
	for _, t := range list {
		if err := add(t.Name, t.Shape, c.Weights[t.Name]); err != nil {
			return nil, nil, err
		}
	}
	parameters := parametersByName(list)
	for _, name := range slices.Sorted(maps.Keys(c.Solver)) {
		t, err := solverTensor(parameters, name)
		if err == nil && len(c.Solver[name]) != t.Len() {
			err = fmt.Errorf("%d elements, parameter %q has %d", len(c.Solver[name]), t.Name, t.Len())
		}
		if err != nil {
			return nil, nil, fmt.Errorf("solver %q: %w", name, err)
		}
		if err := add(solverPrefix+name, t.Shape, c.Solver[name]); err != nil {
			return nil, nil, err
		}
	}
	metadata := map[string]string{
		formatKey: formatName, versionKey: formatVersion, datasetKey: c.Dataset, recipeKey: c.Recipe,
	}
	for key, value := range map[string]any{netKey: c.Net, preprocessKey: c.Preprocess, classesKey: c.Classes, stateKey: c.State} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", key, err)
		}
		metadata[key] = string(text)
	}
	if n := len(metadata[netKey]); n > maxNetText {
		return nil, nil, fmt.Errorf("%s: %d bytes of JSON, at most %d are allowed", netKey, n, maxNetText)
	}
	return tensors, metadata, nil
}

// parametersByName indexes the tensors that are learned.
func parametersByName(list []model.Tensor) map[string]*model.Tensor {
	m := make(map[string]*model.Tensor, len(list))
	for i := range list {
		if !list[i].Buffer {
			m[list[i].Name] = &list[i]
		}
	}
	return m
}

// solverTensor returns the parameter whose shape the solver's buffer called name has.
func solverTensor(parameters map[string]*model.Tensor, name string) (*model.Tensor, error) {
	parameter, err := solverParameter(name)
	if err != nil {
		return nil, err
	}
	t, ok := parameters[parameter]
	if !ok {
		return nil, fmt.Errorf("the network has no parameter %q", parameter)
	}
	return t, nil
}
