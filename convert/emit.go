package convert

import (
	"strconv"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/checkpoint"
)

// emit writes a graph down as the model of an artifact: signs packed, tensors named after their operations.
func emit(g *graph, ck *checkpoint.Checkpoint) *artifact.Model {
	in := ck.Net.Input
	m := &artifact.Model{
		Name:       ck.Net.Name,
		Input:      [3]int{in.H, in.W, in.C},
		Classes:    ck.Classes,
		Preprocess: ck.Preprocess,
		Source:     source(ck),
		Tensors:    make(map[string]artifact.Tensor),
	}
	for _, n := range g.nodes {
		op := n.op
		for _, x := range n.in {
			name := artifact.ImageInput
			if x != nil {
				name = x.op.Name
			}
			op.Inputs = append(op.Inputs, name)
		}
		put := func(suffix string, t artifact.Tensor) string {
			if t.Shape == nil {
				return ""
			}
			name := op.Name + "." + suffix
			m.Tensors[name] = t
			return name
		}
		op.Weights = put("weight", n.weightTensor())
		op.Scale = put("scale", vector(n.scale))
		op.Bias = put("bias", vector(n.bias))
		op.Slope = put("slope", vector(n.slope))
		if n.op.Kind == artifact.Threshold {
			op.Threshold = put("threshold", artifact.I32([]int{n.c}, n.limits))
		}
		if n.flip != nil {
			op.Flip = put("flip", bitVector(n.flip))
		}
		m.Ops = append(m.Ops, op)
	}
	return m
}

// source tells where the network came from, as far as the checkpoint knows: an imported one does not say the seed and the
// last accuracy. Nothing in it depends on when or how fast it was trained.
func source(ck *checkpoint.Checkpoint) map[string]string {
	s := map[string]string{
		"dataset": ck.Dataset,
		"beta":    strconv.Itoa(ck.Net.Beta),
		"epoch":   strconv.Itoa(ck.State.Epoch),
	}
	if ck.State.Seed != 0 {
		s["seed"] = strconv.FormatUint(ck.State.Seed, 10)
	}
	if ck.State.LastTop1 != 0 {
		s["last_top1"] = strconv.FormatFloat(ck.State.LastTop1, 'g', -1, 64)
	}
	return s
}

// weightTensor returns the node's weights as the artifact stores them, or a tensor without shape if it has none.
func (n *node) weightTensor() artifact.Tensor {
	switch n.op.Kind {
	case artifact.BinConv:
		g := n.geometry()
		words := make([]uint64, g.FilterWords())
		kernel.PackFilters(words, n.weights, g)
		return artifact.Bits(n.filterShape(), words)
	case artifact.Conv:
		return artifact.F32(n.filterShape(), n.weights)
	case artifact.Linear:
		return artifact.F32([]int{n.op.Out, len(n.weights) / n.op.Out}, n.weights)
	}
	return artifact.Tensor{}
}

// filterShape returns [K,C/g,R,S].
func (n *node) filterShape() []int {
	return []int{n.op.Out, len(n.weights) / (n.op.Out * n.op.Kernel * n.op.Kernel), n.op.Kernel, n.op.Kernel}
}

// geometry returns what packing filters needs to know of a convolution: not the extent of its map.
func (n *node) geometry() kernel.Geometry {
	s, groups := n.filterShape(), n.op.GroupCount()
	return kernel.Geometry{C: s[1] * groups, K: s[0], Kernel: s[2], Groups: groups}
}

func vector(v []float32) artifact.Tensor {
	if v == nil {
		return artifact.Tensor{}
	}
	return artifact.F32([]int{len(v)}, v)
}

func bitVector(v []bool) artifact.Tensor {
	words := make([]uint64, kernel.Words(len(v)))
	for i, set := range v {
		if set {
			words[i/kernel.WordBits] |= 1 << (i % kernel.WordBits)
		}
	}
	return artifact.Bits([]int{len(v)}, words)
}

// tensorNames returns the names of all tensors that emit may have made of the node.
func (n *node) tensorNames() []string {
	var list []string
	for _, suffix := range []string{".weight", ".scale", ".bias", ".threshold", ".flip", ".slope"} {
		list = append(list, n.op.Name+suffix)
	}
	return list
}

// bytes returns the bytes of the node's tensors in m, an artifact's model that emit has made, without padding.
func (n *node) bytes(m *artifact.Model) int64 {
	total := 0
	for _, name := range n.tensorNames() {
		t := m.Tensors[name]
		total += t.Bytes()
	}
	return int64(total)
}
