package convert

import (
	"fmt"

	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/model"
)

// lower makes one operation of each layer, and a second one of a 1-bit convolution that has kept its scale.
func lower(f *model.Frozen) (*graph, error) {
	g := &graph{names: map[string]bool{artifact.ImageInput: true}}
	for i := range f.Nodes {
		g.names[f.Nodes[i].Name] = true
	}
	values := make([]*node, len(f.Nodes)) // of the layers
	for i := range f.Nodes {
		l := &f.Nodes[i]
		n := &node{
			op: artifact.Op{Name: l.Name, Out: l.Out, Kernel: l.Kernel, Stride: l.Stride, Pad: l.Pad, Groups: l.Groups,
				Factor: l.Factor, Interleave: l.Interleave},
			c: l.Shape.C, layer: i, shows: i,
			weights: l.Filters, scale: l.Scale, bias: l.Bias, slope: l.Slope,
		}
		for _, from := range l.From {
			if from < 0 {
				n.in = append(n.in, nil)
				continue
			}
			n.in = append(n.in, values[from])
		}
		if l.Op == model.Conv && l.InputQuant != model.RealInput && !l.Binary() {
			return nil, fmt.Errorf("convert: layer %q has a 1-bit input (%s) and real weights: there is no such operation on the device; "+
				"train the weights to 1 bit first (weight_quant)", l.Name, l.InputQuant)
		}
		var err error
		if n.op.Kind, err = kindOf(&l.Node); err != nil {
			return nil, fmt.Errorf("convert: layer %q: %w", l.Name, err)
		}
		g.nodes = append(g.nodes, n)
		values[i] = n
		if n.op.Kind == artifact.BinConv && n.scale != nil {
			scaled := g.insert(artifact.Affine, n, ".scaled")
			scaled.scale, n.scale, n.shows = n.scale, nil, -1
			values[i] = scaled
		}
	}
	g.out = values[len(values)-1]
	return g, nil
}

// kindOf returns the operation that computes a layer.
func kindOf(l *model.Node) (artifact.Kind, error) {
	switch l.Op {
	case model.Conv:
		if l.Binary() {
			return artifact.BinConv, nil
		}
		return artifact.Conv, nil
	case model.Linear:
		return artifact.Linear, nil
	case model.BatchNorm, model.Bias:
		return artifact.Affine, nil
	case model.Hardtanh:
		return artifact.Hardtanh, nil
	case model.PReLU:
		return artifact.PReLU, nil
	case model.Add:
		return artifact.Add, nil
	case model.Concat:
		return artifact.Concat, nil
	case model.Tile:
		return artifact.Tile, nil
	case model.PadChannels:
		return artifact.PadChannels, nil
	case model.TakeChannels:
		return artifact.TakeChannels, nil
	case model.AvgPool:
		return artifact.AvgPool, nil
	case model.MaxPool:
		return artifact.MaxPool, nil
	case model.GlobalAvgPool:
		return artifact.GlobalAvgPool, nil
	case model.Flatten:
		return artifact.Flatten, nil
	}
	return "", fmt.Errorf("no operation on the device computes %q", l.Op)
}
