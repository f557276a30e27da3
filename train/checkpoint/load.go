package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/train/model"
)

// Load reads a checkpoint and validates all of it. The error names the file and what in it is wrong: the tensor, the
// expected and the found shape or checksum, the metadata key.
func Load(path string) (*Checkpoint, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	return read(f, path)
}

// read decodes the checkpoint in f, which errors call name.
func read(f *safetensors.File, name string) (*Checkpoint, error) {
	c, err := decodeMetadata(f.Metadata())
	if err == nil {
		err = c.validate()
	}
	if err == nil {
		err = checkTensors(f, c.Net)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", name, err)
	}
	c.Weights, c.Solver = make(model.Weights), make(map[string][]float32)
	parameters, err := c.Net.Tensors()
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", name, err)
	}
	for _, t := range parameters {
		c.Weights[t.Name] = nil
	}
	for _, info := range f.Infos() {
		v, err := f.Float32(info.Name)
		if err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
		if err := checkFinite(v); err != nil {
			return nil, fmt.Errorf("checkpoint: %s: tensor %q: %w", name, info.Name, err)
		}
		if _, ok := c.Weights[info.Name]; ok {
			c.Weights[info.Name] = v
		} else {
			c.Solver[strings.TrimPrefix(info.Name, solverPrefix)] = v
		}
	}
	return c, nil
}

// decodeMetadata returns a checkpoint without tensors.
func decodeMetadata(m map[string]string) (*Checkpoint, error) {
	if m[formatKey] != formatName {
		return nil, fmt.Errorf("not a checkpoint: metadata %q is %q, want %q", formatKey, m[formatKey], formatName)
	}
	if m[versionKey] != formatVersion {
		return nil, fmt.Errorf("version %q is not supported, only %q is: use the bnntool that wrote the file", m[versionKey], formatVersion)
	}
	known := []string{formatKey, versionKey, netKey, preprocessKey, classesKey, datasetKey, recipeKey, stateKey}
	for _, key := range known {
		if _, ok := m[key]; !ok {
			return nil, fmt.Errorf("metadata %q is missing", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("metadata %q is unknown", key)
		}
	}
	if len(m[netKey]) > maxNetText {
		return nil, fmt.Errorf("metadata %q: %d bytes, at most %d are allowed", netKey, len(m[netKey]), maxNetText)
	}
	net, err := model.Decode([]byte(m[netKey]))
	if err != nil {
		return nil, fmt.Errorf("metadata %q: %w", netKey, err)
	}
	c := &Checkpoint{Net: net, Dataset: m[datasetKey], Recipe: m[recipeKey]}
	for _, field := range []struct {
		key string
		dst any
	}{
		{preprocessKey, &c.Preprocess}, {classesKey, &c.Classes}, {stateKey, &c.State},
	} {
		if err := safetensors.DecodeText(m[field.key], field.dst); err != nil {
			return nil, fmt.Errorf("metadata %q: %w", field.key, err)
		}
	}
	return c, nil
}

// checkTensors checks that f holds every tensor of the network and nothing else but solver state, each
// float32 and of its shape.
func checkTensors(f *safetensors.File, net *model.Net) error {
	list, err := net.Tensors()
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(list))
	for _, t := range list {
		known[t.Name] = true
		info, ok := f.Lookup(t.Name)
		if !ok {
			return fmt.Errorf("tensor %q is missing, network %q needs it", t.Name, net.Name)
		}
		if err := checkTensor(info, t.Shape); err != nil {
			return err
		}
	}
	parameters := parametersByName(list)
	for _, info := range f.Infos() {
		if known[info.Name] {
			continue
		}
		name, ok := strings.CutPrefix(info.Name, solverPrefix)
		if !ok {
			return fmt.Errorf("tensor %q does not belong to network %q", info.Name, net.Name)
		}
		t, err := solverTensor(parameters, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", info.Name, err)
		}
		if err := checkTensor(info, t.Shape); err != nil {
			return err
		}
	}
	return nil
}

func checkTensor(info safetensors.Info, shape []int) error {
	if info.DType != "F32" || !slices.Equal(info.Shape, shape) {
		return fmt.Errorf("tensor %q is %s %v, want F32 %v", info.Name, info.DType, info.Shape, shape)
	}
	return nil
}
