package model

import (
	"fmt"
	"slices"

	"github.com/bnntool/bnntool/internal/nearest"
)

// Options adapt a network of the zoo to a data set. The zero value is the paper's network.
type Options struct {
	// Input is the image's size. 0 in a field: the paper's, 32x32x3 for CIFAR and 224x224x3 for ImageNet.
	Input Shape
	// Classes is the number of logits. 0: the paper's, 10 or 1000.
	Classes int
	// Width is the number of filters of the first convolution; the later ones keep their ratio to it. 0: the paper's.
	Width int
	// Blocks is the number of blocks in each stage, 0: the paper's. Only recu-resnet20 has it.
	Blocks int
}

// Names returns the names that New knows, in alphabetical order.
func Names() []string {
	return []string{"reactnet-a", "recu-resnet18", "recu-resnet20", "recu-vggsmall"}
}

// New builds a network of the zoo: one of Names. An unknown name is an error that suggests the nearest one; options
// that give no network are an error that names the layer at fault.
func New(name string, o Options) (*Net, error) {
	if o.Input.H < 0 || o.Input.W < 0 || o.Input.C < 0 || o.Classes < 0 || o.Width < 0 || o.Blocks < 0 {
		return nil, fmt.Errorf("model: network %q: negative option in %+v", name, o)
	}
	if o.Blocks != 0 && name != "recu-resnet20" && slices.Contains(Names(), name) {
		return nil, fmt.Errorf("model: network %q: the number of blocks is fixed, only recu-resnet20 can have %d", name, o.Blocks)
	}
	var n *Net
	switch name {
	case "recu-resnet20":
		n = recuResNet20(o)
	case "recu-resnet18":
		n = recuResNet18(o)
	case "recu-vggsmall":
		n = recuVGGSmall(o)
	case "reactnet-a":
		n = reactNetA(o)
	default:
		return nil, fmt.Errorf("model: unknown network %q, did you mean %q?", name, nearest.Name(name, Names()))
	}
	n.Name = name
	if _, err := n.Classes(); err != nil {
		return nil, err
	}
	return n, nil
}

// withDefaults returns o with the zero fields set to the paper's values.
func (o Options) withDefaults(size, classes, width, blocks int) Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Input.H, size)
	def(&o.Input.W, size)
	def(&o.Input.C, 3)
	def(&o.Classes, classes)
	def(&o.Width, width)
	def(&o.Blocks, blocks)
	// Beyond these no network fits into its limits, and long before products of widths overflow.
	o.Width, o.Blocks = min(o.Width, maxExtent), min(o.Blocks, maxLayers/16)
	return o
}

// builder collects layers. Its methods return the name of the last layer they added.
type builder struct {
	net  *Net
	last string
}

func newBuilder(input Shape) *builder {
	return &builder{net: &Net{Beta: 1, Input: input}, last: ImageInput}
}

// add appends l with the given inputs, none for the layer before it.
func (b *builder) add(l Layer, inputs ...string) string {
	if len(inputs) != 1 || inputs[0] != b.last {
		l.Inputs = inputs
	}
	b.net.Layers = append(b.net.Layers, l)
	b.last = l.Name
	return l.Name
}

// realConv appends a convolution of kernel 3, padding 1, with real weights and input: a stem.
func (b *builder) realConv(name string, out, stride int, init Init) string {
	return b.add(Layer{Name: name, Op: Conv, Out: out, Kernel: 3, Stride: stride, Pad: 1, Init: init})
}

// recuConv appends ReCU's 1-bit convolution of kernel 3, padding 1, with learned scales.
func (b *builder) recuConv(name string, out, stride int, init Init, inputs ...string) string {
	return b.add(Layer{Name: name, Op: Conv, Out: out, Kernel: 3, Stride: stride, Pad: 1,
		WeightQuant: ReCUWeight, InputQuant: ReCUInput, Alpha: true, Init: init}, inputs...)
}

// recuShortcut appends what leads x around a block of ReCU's ResNets: nothing, or where the block halves the map and
// doubles the channels, a mean over 2x2 windows and zero channels on both sides.
func (b *builder) recuShortcut(block, x string, in, out, stride int) string {
	if stride != 1 {
		x = b.add(Layer{Name: block + ".shortcut.pool", Op: AvgPool, Kernel: 2, Stride: 2}, x)
	}
	if in != out {
		x = b.add(Layer{Name: block + ".shortcut.pad", Op: PadChannels, Out: out}, x)
	}
	return x
}
