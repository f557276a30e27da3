package model

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxElements bounds the elements of one feature map, and the parameters of a network. A
// description that asks for more is refused before anything of that size is allocated.
const MaxElements = 1 << 28

// maxLayers bounds the layers of a network read from a file.
const maxLayers = 1 << 14

// maxExtent bounds each number in a layer, so that products of a few of them do not overflow.
const maxExtent = 1 << 20

// Node is a layer whose place in its network is resolved.
type Node struct {
	Layer
	// From holds for each input the index of the node that makes it, or -1 for the image.
	From []int
	// In holds the shapes of the inputs.
	In []Shape
	// Shape is the shape of the output.
	Shape Shape
}

// Nodes resolves every layer's inputs and shapes, in the order of n.Layers. It returns an error that names
// the layer if the description is not a network: a name missing or used twice, an input that is not an earlier layer, a
// number or shape that its operation cannot have, a field that its operation does not use. The last layer may have any
// shape, so that a part of a network is a network as well; Classes wants logits.
func (n *Net) Nodes() ([]Node, error) {
	if !printable(n.Name) {
		return nil, fmt.Errorf("model: the network's name %q has characters that cannot be printed", n.Name)
	}
	if len(n.Layers) == 0 {
		return nil, fmt.Errorf("model: network %q has no layers", n.Name)
	}
	if len(n.Layers) > maxLayers {
		return nil, fmt.Errorf("model: network %q has %d layers, at most %d are supported", n.Name, len(n.Layers), maxLayers)
	}
	if n.Beta < 1 {
		return nil, fmt.Errorf("model: network %q: beta is %d, want at least 1", n.Name, n.Beta)
	}
	if err := checkShape(n.Input); err != nil {
		return nil, fmt.Errorf("model: network %q: input: %w", n.Name, err)
	}
	nodes := make([]Node, 0, len(n.Layers))
	index := make(map[string]int, len(n.Layers))
	elements := 0
	for i, l := range n.Layers {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("model: network %q: layer %d %q (%s): %w", n.Name, i, l.Name, l.Op, fmt.Errorf(format, args...))
		}
		if l.Name == "" || l.Name == ImageInput {
			return nil, fail("the name must be neither empty nor %q", ImageInput)
		}
		if !printable(l.Name) {
			return nil, fail("the name has characters that cannot be printed")
		}
		if j, dup := index[l.Name]; dup {
			return nil, fail("layer %d has the same name", j)
		}
		node := Node{Layer: l}
		inputs := l.Inputs
		if len(inputs) == 0 {
			if i == 0 {
				inputs = []string{ImageInput}
			} else {
				inputs = []string{n.Layers[i-1].Name}
			}
		}
		for _, name := range inputs {
			if name == ImageInput {
				node.From, node.In = append(node.From, -1), append(node.In, n.Input)
				continue
			}
			j, ok := index[name]
			if !ok {
				return nil, fail("input %q is not an earlier layer", name)
			}
			node.From, node.In = append(node.From, j), append(node.In, nodes[j].Shape)
		}
		shape, err := l.outShape(node.In)
		if err == nil {
			err = l.checkUnused()
		}
		if err == nil {
			err = checkShape(shape)
		}
		if err != nil {
			return nil, fail("%w", err)
		}
		node.Shape = shape
		for _, t := range node.tensors(i) {
			elements += t.Len()
		}
		if elements > MaxElements {
			return nil, fail("the network has more than %d parameters up to here", MaxElements)
		}
		index[l.Name] = i
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// printable reports whether a name can stand in a table, a message and a tensor's name.
func printable(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError })
}

// Classes returns the number of logits, or an error if n is not a network or its last layer is not flat.
func (n *Net) Classes() (int, error) {
	nodes, err := n.Nodes()
	if err != nil {
		return 0, err
	}
	last := &nodes[len(nodes)-1]
	if last.Shape.H != 1 || last.Shape.W != 1 {
		return 0, fmt.Errorf("model: network %q: the last layer %q gives %v, want flat logits", n.Name, last.Name, last.Shape)
	}
	return last.Shape.C, nil
}

// Consumers returns for each node the indices of the nodes that take its output, in ascending order, once for each time they
// take it, and the same for the image.
func Consumers(nodes []Node) (of [][]int, image []int) {
	of = make([][]int, len(nodes))
	for i := range nodes {
		for _, from := range nodes[i].From {
			if from < 0 {
				image = append(image, i)
			} else {
				of[from] = append(of[from], i)
			}
		}
	}
	return of, image
}

func checkShape(s Shape) error {
	if s.H < 1 || s.W < 1 || s.C < 1 || s.H > maxExtent || s.W > maxExtent || s.C > maxExtent {
		return fmt.Errorf("shape %v: every extent must be in 1..%d", s, maxExtent)
	}
	if s.H*s.W > MaxElements || s.H*s.W*s.C > MaxElements {
		return fmt.Errorf("shape %v has more than %d elements", s, MaxElements)
	}
	return nil
}

// outShape returns the shape of the layer's output for inputs of the given shapes, after checking the fields
// that its Op uses.
func (l *Layer) outShape(in []Shape) (Shape, error) {
	want := 1
	switch l.Op {
	case Add:
		want = 2
	case Concat:
		want = max(2, len(in))
	}
	if len(in) != want {
		return Shape{}, fmt.Errorf("%d inputs, want %d", len(in), want)
	}
	x := in[0]
	flat := func() error {
		if x.H != 1 || x.W != 1 {
			return fmt.Errorf("input %v is not flat: put a flatten or a globalavgpool before it", x)
		}
		return nil
	}
	switch l.Op {
	case Conv:
		return l.convShape(x)
	case Linear:
		if l.Out < 1 || l.Out > maxExtent {
			return Shape{}, fmt.Errorf("out is %d, want 1..%d", l.Out, maxExtent)
		}
		if !slices.Contains([]Init{DefaultInit, SmallNormalInit}, l.Init) {
			return Shape{}, fmt.Errorf("unknown init %q", l.Init)
		}
		if err := checkShape(Shape{1, x.C, l.Out}); err != nil {
			return Shape{}, fmt.Errorf("weights: %w", err)
		}
		return Shape{1, 1, l.Out}, flat()
	case BatchNorm, Hardtanh, Bias, PReLU:
		return x, nil
	case Add:
		if in[1] != x {
			return Shape{}, fmt.Errorf("inputs are %v and %v, want equal shapes", x, in[1])
		}
		return x, nil
	case Concat:
		c := 0
		for _, s := range in {
			if s.H != x.H || s.W != x.W {
				return Shape{}, fmt.Errorf("inputs are %v and %v, want equal heights and widths", x, s)
			}
			c += s.C
		}
		return Shape{x.H, x.W, c}, nil
	case Tile:
		if l.Factor < 1 || l.Factor > maxExtent {
			return Shape{}, fmt.Errorf("factor is %d, want 1..%d", l.Factor, maxExtent)
		}
		return Shape{x.H, x.W, x.C * l.Factor}, nil
	case PadChannels:
		if l.Out < x.C || (l.Out-x.C)%2 != 0 {
			return Shape{}, fmt.Errorf("out is %d for %d channels: want as many new channels on either side", l.Out, x.C)
		}
		return Shape{x.H, x.W, l.Out}, nil
	case TakeChannels:
		if l.Out < 1 || l.Out > x.C {
			return Shape{}, fmt.Errorf("out is %d, want 1..%d", l.Out, x.C)
		}
		return Shape{x.H, x.W, l.Out}, nil
	case AvgPool, MaxPool:
		return l.windowShape(x, x.C)
	case GlobalAvgPool:
		return Shape{1, 1, x.C}, nil
	case Flatten:
		return Shape{1, 1, x.Len()}, nil
	}
	return Shape{}, fmt.Errorf("unknown op")
}

// checkUnused returns an error that names a field of l which is set though the layer's Op does not use it.
func (l *Layer) checkUnused() error {
	for _, f := range []struct {
		name string
		set  bool
		ops  []Op
	}{
		{"out", l.Out != 0, []Op{Conv, Linear, PadChannels, TakeChannels}},
		{"kernel", l.Kernel != 0, []Op{Conv, AvgPool, MaxPool}},
		{"stride", l.Stride != 0, []Op{Conv, AvgPool, MaxPool}},
		{"pad", l.Pad != 0, []Op{Conv}},
		{"groups", l.Groups != 0, []Op{Conv}},
		{"weight_quant", l.WeightQuant != RealWeight, []Op{Conv}},
		{"input_quant", l.InputQuant != RealInput, []Op{Conv}},
		{"alpha", l.Alpha, []Op{Conv}},
		{"init", l.Init != DefaultInit, []Op{Conv, Linear}},
		{"factor", l.Factor != 0, []Op{Tile}},
		{"interleave", l.Interleave, []Op{Tile}},
	} {
		if f.set && !slices.Contains(f.ops, l.Op) {
			return fmt.Errorf("%s is set, which only %v uses", f.name, f.ops)
		}
	}
	return nil
}

func (l *Layer) convShape(x Shape) (Shape, error) {
	if l.Out < 1 || l.Out > maxExtent {
		return Shape{}, fmt.Errorf("out is %d, want 1..%d", l.Out, maxExtent)
	}
	g := l.GroupCount()
	if g < 1 || x.C%g != 0 || l.Out%g != 0 {
		return Shape{}, fmt.Errorf("%d groups do not divide %d input channels and %d filters", g, x.C, l.Out)
	}
	if !slices.Contains([]WeightQuant{RealWeight, ReCUWeight, ScaledSignWeight}, l.WeightQuant) {
		return Shape{}, fmt.Errorf("unknown weight quantiser %q", l.WeightQuant)
	}
	if !slices.Contains([]InputQuant{RealInput, ReCUInput, ApproxSignInput}, l.InputQuant) {
		return Shape{}, fmt.Errorf("unknown input quantiser %q", l.InputQuant)
	}
	if !slices.Contains([]Init{DefaultInit, FanOutInit, SmallUniformInit}, l.Init) {
		return Shape{}, fmt.Errorf("unknown init %q", l.Init)
	}
	out, err := l.windowShape(x, l.Out)
	if err != nil {
		return Shape{}, err
	}
	if err := checkShape(Shape{l.Kernel * l.Kernel, x.C / g, l.Out}); err != nil {
		return Shape{}, fmt.Errorf("weights: %w", err)
	}
	return out, nil
}

func (l *Layer) windowShape(x Shape, c int) (Shape, error) {
	if l.Kernel < 1 || l.Kernel > 1024 || l.Stride < 1 || l.Stride > 1024 || l.Pad < 0 || l.Pad >= l.Kernel {
		return Shape{}, fmt.Errorf("kernel %d, stride %d, pad %d: want kernel and stride in 1..1024 and 0 <= pad < kernel",
			l.Kernel, l.Stride, l.Pad)
	}
	h, w := x.H+2*l.Pad-l.Kernel, x.W+2*l.Pad-l.Kernel
	if h < 0 || w < 0 {
		return Shape{}, fmt.Errorf("a %dx%d window does not fit into %v with padding %d", l.Kernel, l.Kernel, x, l.Pad)
	}
	return Shape{h/l.Stride + 1, w/l.Stride + 1, c}, nil
}

// GroupCount returns the convolution's groups, 1 where Groups is 0.
func (l *Layer) GroupCount() int {
	if l.Groups == 0 {
		return 1
	}
	return l.Groups
}
