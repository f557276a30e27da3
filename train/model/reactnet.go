package model

import "fmt"

// reactNetA is ReActNet-A for ImageNet (arXiv 2003.03488; the mobilenet network of its repository and of AdamBNN's):
// a real stem, 13 blocks, a real classifier.
func reactNetA(o Options) *Net {
	o = o.withDefaults(224, 1000, 32, 0)
	b := newBuilder(o.Input)
	b.realConv("feature.0.conv1", o.Width, 2, DefaultInit)
	x := b.add(Layer{Name: "feature.0.bn1", Op: BatchNorm})
	in := 1
	for i, ratio := range []int{2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32} {
		stride := 1
		if ratio != in && ratio != 2 {
			stride = 2
		}
		x = b.reactBlock(fmt.Sprintf("feature.%d.", i+1), x, o.Width*in, o.Width*ratio, stride)
		in = ratio
	}
	b.add(Layer{Name: "pool1", Op: GlobalAvgPool})
	b.add(Layer{Name: "fc", Op: Linear, Out: o.Classes})
	return b.net
}

// ReActBlock is one block of ReActNet-A as a network of its own: a map [H,W,C] in, a map with planes channels out,
// half as high and wide with stride 2. planes is C or 2·C, stride 1 or 2; the layers carry the names of the reference
// implementation without prefix (move11, binary_3x3, bn1, ...).
func ReActBlock(input Shape, planes, stride int) (*Net, error) {
	if (planes != input.C && planes != 2*input.C) || (stride != 1 && stride != 2) {
		return nil, fmt.Errorf("model: ReActNet block with %d channels in, %d out and stride %d: want as many or twice as many out, stride 1 or 2",
			input.C, planes, stride)
	}
	b := newBuilder(input)
	b.reactBlock("", ImageInput, input.C, planes, stride)
	b.net.Name = "reactnet-block"
	if _, err := b.net.Nodes(); err != nil {
		return nil, err
	}
	return b.net, nil
}

// reactBlock appends
//
//	h = RPReLU1(bn1(binary_3x3(RSign1(x))) + x')      x' = x, or its mean over 2x2 windows with stride 2
//	o = bn2(binary_pw(RSign2(h))) + h                  out = in
//	o = concat of two such branches                    out = 2·in
//	y = RPReLU2(o)
//
// RSign is a Bias and the sign that the convolution takes of its input, RPReLU a PReLU between two Biases.
func (b *builder) reactBlock(prefix, x string, in, out, stride int) string {
	b.add(Layer{Name: prefix + "move11", Op: Bias}, x)
	b.reactConv(prefix+"binary_3x3", in, 3, stride)
	y := b.add(Layer{Name: prefix + "bn1", Op: BatchNorm})
	if stride != 1 {
		x = b.add(Layer{Name: prefix + "pooling", Op: AvgPool, Kernel: 2, Stride: 2}, x)
	}
	b.add(Layer{Name: prefix + "add1", Op: Add}, y, x)
	h := b.rprelu(prefix, "move12", "prelu1", "move13")

	u := b.add(Layer{Name: prefix + "move21", Op: Bias}, h)
	if out == in {
		b.reactConv(prefix+"binary_pw", in, 1, 1, u)
		y = b.add(Layer{Name: prefix + "bn2", Op: BatchNorm})
		b.add(Layer{Name: prefix + "add2", Op: Add}, y, h)
	} else {
		var branches []string
		for _, i := range []string{"1", "2"} {
			b.reactConv(prefix+"binary_pw_down"+i, in, 1, 1, u)
			y = b.add(Layer{Name: prefix + "bn2_" + i, Op: BatchNorm})
			branches = append(branches, b.add(Layer{Name: prefix + "add2_" + i, Op: Add}, y, h))
		}
		b.add(Layer{Name: prefix + "concat", Op: Concat}, branches...)
	}
	return b.rprelu(prefix, "move22", "prelu2", "move23")
}

func (b *builder) rprelu(prefix, before, prelu, after string) string {
	b.add(Layer{Name: prefix + before, Op: Bias})
	b.add(Layer{Name: prefix + prelu, Op: PReLU})
	return b.add(Layer{Name: prefix + after, Op: Bias})
}

// reactConv appends ReActNet's 1-bit convolution, padded so that stride 1 keeps the map's size.
func (b *builder) reactConv(name string, out, kernel, stride int, inputs ...string) string {
	return b.add(Layer{Name: name, Op: Conv, Out: out, Kernel: kernel, Stride: stride, Pad: kernel / 2,
		WeightQuant: ScaledSignWeight, InputQuant: ApproxSignInput, Init: SmallUniformInit}, inputs...)
}
