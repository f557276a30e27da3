package runtime

import (
	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// Info describes an engine.
type Info struct {
	Name       string
	H, W, C    int      // of one image
	Classes    []string // names of the logits, in order
	Preprocess preprocess.Config
	Source     map[string]string // where the network came from, for people
	Ops        []OpInfo          // in the order of the artifact
	Layers     []LayerInfo       // in the order of execution

	FileBytes   int64 // of the artifact; 0 for an engine that was not opened from a file
	WeightBytes int64 // of the tensors, as the file stores them but without its padding
	ArenaBytes  int64 // of working memory for each image computed at the same time
	MACs        int64 // multiplications of one image, 1-bit and float
}

// OpInfo describes one operation of the artifact.
type OpInfo struct {
	Name        string
	Kind        artifact.Kind
	H, W, C     int // of its value
	Values      artifact.ValueKind
	WeightBytes int64
	MACs        int64 // of one image
	Layer       int   // index of the layer that computes it; -1 if the logits do not depend on it
}

// LayerInfo describes one step of the plan: an operation with those that are fused with it, or the packing of a value's
// signs ahead of one.
type LayerInfo struct {
	Name        string        // of the operation, the first of those that are fused
	Kind        artifact.Kind // of that operation
	Kernel      string        // what computes it, and what it makes: "binconv3x3 lookup bits->float+bits"
	Fused       []string      // names of the operations that are computed with it, in order
	Why         string        // what is fused with a convolution, or why nothing is
	H, W, C     int           // of the result
	Values      artifact.ValueKind
	WeightBytes int64
	MACs        int64 // of one image
}

func newInfo(m *artifact.Model, p *plan) Info {
	info := Info{
		Name: m.Name, H: m.Input[0], W: m.Input[1], C: m.Input[2],
		Classes: m.Classes, Preprocess: m.Preprocess, Source: m.Source,
		Ops: p.ops, ArenaBytes: p.bytes(),
	}
	for i := range p.steps {
		s := &p.steps[i]
		info.Layers = append(info.Layers, s.LayerInfo)
		info.MACs += s.MACs
		info.WeightBytes += s.WeightBytes
	}
	return info
}

// opBytes returns the bytes of the tensors of op.
func opBytes(m *artifact.Model, op *artifact.Op) int64 {
	n := 0
	for _, name := range []string{op.Weights, op.Scale, op.Bias, op.Threshold, op.Flip, op.Slope} {
		t := m.Tensors[name] // the zero Tensor for no name
		n += t.Bytes()
	}
	return int64(n)
}
