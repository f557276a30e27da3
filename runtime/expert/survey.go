package expert

import (
	"context"
	"fmt"

	"github.com/bnntool/bnntool/runtime/codec"
)

// Kind is what the tensors of one role have in common: those of all experts of all layers that are alike.
type Kind struct {
	Role    string
	DType   string // in memory
	Coded   bool
	Tensors int64
	Bytes   int64 // in memory
	Sampled int64 // elements that Entropy and Codes are of
	Entropy float64
	Codes   []codec.Measurement // by code; nil if the exponents are not coded
}

// The sample of a kind: the start of tensors that are spread over layers and experts.
const (
	sampleTensors  = 8
	sampleElements = 1 << 18
)

// WeightReader reads an expert's tensor as it is in memory: dst is filled from its start.
type WeightReader func(layer, expert, tensor int, dst []byte) error

// Survey measures what codes make of the experts' weights, on a sample.
func Survey(ctx context.Context, layers []StoredLayer, read WeightReader) ([]Kind, error) {
	var kinds []Kind
	places := make(map[string][][2]int) // of each kind: layer and tensor
	for i := range layers {
		for k := range layers[i].Tensors {
			t := &layers[i].Tensors[k]
			key := fmt.Sprint(t.Role, t.DType, t.Coded)
			if places[key] == nil {
				kinds = append(kinds, Kind{Role: t.Role, DType: t.DType, Coded: t.Coded})
			}
			places[key] = append(places[key], [2]int{i, k})
		}
	}
	for i := range kinds {
		kind := &kinds[i]
		at := places[fmt.Sprint(kind.Role, kind.DType, kind.Coded)]
		for _, p := range at {
			l := &layers[p[0]]
			kind.Tensors += int64(l.Experts)
			kind.Bytes += int64(l.Experts) * l.Tensors[p[1]].FullBytes()
		}
		if !kind.Coded {
			continue
		}
		if err := kind.sample(ctx, layers, at, read); err != nil {
			return nil, err
		}
	}
	return kinds, nil
}

// sample measures tensors of a kind.
func (kind *Kind) sample(ctx context.Context, layers []StoredLayer, at [][2]int, read WeightReader) error {
	for s := range sampleTensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := at[s*len(at)/sampleTensors]
		l := &layers[p[0]]
		t := &l.Tensors[p[1]]
		weights := make([]byte, 2*min(t.Elements(), sampleElements))
		if err := read(p[0], s*l.Experts/sampleTensors, p[1], weights); err != nil {
			return err
		}
		exp, sm := make([]byte, len(weights)/2), make([]byte, len(weights)/2)
		codec.Split(exp, sm, weights)
		kind.Sampled += int64(len(exp))
		kind.Entropy += float64(len(exp)) * codec.Entropy(codec.Histogram(exp))
		list, err := codec.Measure(weights)
		if err != nil {
			return err
		}
		for c, m := range list {
			if kind.Codes == nil {
				kind.Codes = make([]codec.Measurement, len(list))
				for i := range list {
					kind.Codes[i].Code = list[i].Code
				}
			}
			kind.Codes[c] = kind.Codes[c].Add(m)
		}
	}
	kind.Entropy /= float64(kind.Sampled)
	return nil
}

// Weights returns a WeightReader of the store's experts.
func (s *Store) Weights() WeightReader {
	r := s.NewReader()
	return func(layer, expert, tensor int, dst []byte) error {
		full, err := r.Read(layer, expert)
		if err != nil {
			return err
		}
		l := &s.desc.Layers[layer]
		for i := range tensor {
			full = full[l.Tensors[i].FullBytes():]
		}
		copy(dst, full)
		return nil
	}
}

// SourceWeights returns a WeightReader of a source.
func SourceWeights(layers []StoredLayer, source Source) WeightReader {
	return func(layer, expert, tensor int, dst []byte) error {
		l := &layers[layer]
		name := l.TensorName(expert, tensor)
		if l.Tensors[tensor].Source == "" {
			return source.ReadAt(name, dst, 0)
		}
		wide := make([]byte, 2*len(dst))
		if err := source.ReadAt(name, wide, 0); err != nil {
			return err
		}
		narrow, _ := narrow(wide)
		copy(dst, narrow)
		return nil
	}
}

// Report returns what the store takes, as when it was built.
func (s *Store) Report() BuildReport {
	r := BuildReport{}
	for i := range s.records {
		l := &s.desc.Layers[i]
		for x := range s.records[i] {
			r.Experts++
			r.CodedBytes += s.records[i][x].used[ExponentPart]
			r.RestBytes += s.records[i][x].used[RestPart]
		}
		for k := range l.Tensors {
			r.SourceBytes += int64(l.Experts) * l.Tensors[k].SourceBytes()
		}
		r.FullBytes += int64(l.Experts) * l.FullBytes()
	}
	for _, info := range s.dense {
		r.DenseBytes += info.Size
	}
	if stat, err := s.file.Stat(); err == nil {
		r.FileBytes = stat.Size()
	}
	return r
}
