package model

import "fmt"

// recuResNet18 is ReCU's ResNet-18 for CIFAR (arXiv 2103.12369; resnet18_1w1a of its repository): four stages
// of two blocks with one shortcut each,
//
//	h = hardtanh(bn1(conv1(x)));  y = hardtanh(bn2(conv2(h)) + shortcut(x))
//
// a stem without activation, and a BatchNorm between the mean over the map and the classifier.
func recuResNet18(o Options) *Net {
	o = o.withDefaults(32, 10, 64, 2)
	b := newBuilder(o.Input)
	b.realConv("conv1", o.Width, 1, DefaultInit)
	x := b.add(Layer{Name: "bn1", Op: BatchNorm})
	in := o.Width
	for stage := range 4 {
		out := o.Width << stage
		for i := range o.Blocks {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			x = b.recuBlockOneShortcut(fmt.Sprintf("layer%d.%d", stage+1, i), x, in, out, stride)
			in = out
		}
	}
	b.head(o.Classes)
	return b.net
}

func (b *builder) recuBlockOneShortcut(name, x string, in, out, stride int) string {
	b.recuConv(name+".conv1", out, stride, DefaultInit, x)
	b.add(Layer{Name: name + ".bn1", Op: BatchNorm})
	b.add(Layer{Name: name + ".hardtanh1", Op: Hardtanh})
	b.recuConv(name+".conv2", out, 1, DefaultInit)
	y := b.add(Layer{Name: name + ".bn2", Op: BatchNorm})
	b.add(Layer{Name: name + ".add", Op: Add}, y, b.recuShortcut(name, x, in, out, stride))
	return b.add(Layer{Name: name + ".hardtanh2", Op: Hardtanh})
}
