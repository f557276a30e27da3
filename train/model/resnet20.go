package model

import "fmt"

// recuResNet20 is ReCU's ResNet-20 for CIFAR (arXiv 2103.12369; resnet20_1w1a of its repository): three stages
// of o.Blocks blocks with a shortcut around every convolution,
//
//	h = hardtanh(bn1(conv1(x)) + shortcut(x));  y = hardtanh(bn2(conv2(h)) + h)
//
// and a BatchNorm between the mean over the map and the classifier.
func recuResNet20(o Options) *Net {
	o = o.withDefaults(32, 10, 16, 3)
	b := newBuilder(o.Input)
	b.realConv("conv1", o.Width, 1, DefaultInit)
	b.add(Layer{Name: "bn1", Op: BatchNorm})
	x := b.add(Layer{Name: "hardtanh1", Op: Hardtanh})
	in := o.Width
	for stage := range 3 {
		out := o.Width << stage
		for i := range o.Blocks {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			x = b.recuBlockTwoShortcuts(fmt.Sprintf("layer%d.%d", stage+1, i), x, in, out, stride)
			in = out
		}
	}
	b.head(o.Classes)
	return b.net
}

func (b *builder) recuBlockTwoShortcuts(name, x string, in, out, stride int) string {
	b.recuConv(name+".conv1", out, stride, DefaultInit, x)
	h := b.add(Layer{Name: name + ".bn1", Op: BatchNorm})
	b.add(Layer{Name: name + ".add1", Op: Add}, h, b.recuShortcut(name, x, in, out, stride))
	h = b.add(Layer{Name: name + ".hardtanh1", Op: Hardtanh})
	b.recuConv(name+".conv2", out, 1, DefaultInit, h)
	y := b.add(Layer{Name: name + ".bn2", Op: BatchNorm})
	b.add(Layer{Name: name + ".add2", Op: Add}, y, h)
	return b.add(Layer{Name: name + ".hardtanh2", Op: Hardtanh})
}

// head appends the end of ReCU's ResNets.
func (b *builder) head(classes int) {
	b.add(Layer{Name: "avgpool", Op: GlobalAvgPool})
	b.add(Layer{Name: "bn2", Op: BatchNorm})
	b.add(Layer{Name: "linear", Op: Linear, Out: classes})
}
