package model

import "fmt"

// recuVGGSmall is ReCU's VGG-small for CIFAR (arXiv 2103.12369; vgg_small_1w1a of its repository): six convolutions,
// the first one real, each followed by BatchNorm and Hardtanh, with a maximum over 2x2 windows between
// convolution and BatchNorm of every second one.
func recuVGGSmall(o Options) *Net {
	o = o.withDefaults(32, 10, 128, 0)
	b := newBuilder(o.Input)
	for i, l := range []struct {
		ratio int
		pool  bool
	}{{1, false}, {1, true}, {2, false}, {2, true}, {4, false}, {4, true}} {
		name := fmt.Sprintf("conv%d", i)
		if i == 0 {
			b.realConv(name, o.Width*l.ratio, 1, FanOutInit)
		} else {
			b.recuConv(name, o.Width*l.ratio, 1, FanOutInit)
		}
		if l.pool {
			b.add(Layer{Name: fmt.Sprintf("pool%d", i), Op: MaxPool, Kernel: 2, Stride: 2})
		}
		b.add(Layer{Name: fmt.Sprintf("bn%d", i), Op: BatchNorm})
		b.add(Layer{Name: fmt.Sprintf("hardtanh%d", i), Op: Hardtanh})
	}
	b.add(Layer{Name: "flatten", Op: Flatten})
	b.add(Layer{Name: "fc", Op: Linear, Out: o.Classes, Init: SmallNormalInit})
	return b.net
}
