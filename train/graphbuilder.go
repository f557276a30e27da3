package train

import (
	"fmt"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/train/model"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// graphBuilder makes Gorgonia nodes of a network's layers.
type graphBuilder struct {
	net       *model.Net
	m         *machine
	g         *G.ExprGraph
	tape      *tape
	nodes     []model.Node
	consumers [][]int
	values    []*G.Node // by layer
	image     *G.Node
	weights   model.Weights
	params    map[string]*parameter
	order     []*parameter
	imageGrad []float32      // with imageGradient
	frozen    **model.Frozen // evaluation graphs: where layers with tensors take them from
	graphOptions
}

// graphOptions say what a differentiable graph is built for.
type graphOptions struct {
	batch     int     // capacity in images
	smoothing float64 // of the labels
	// evaluation gives the layers their evaluation forms: running statistics, unscaled signs.
	evaluation bool
	// imageGradient asks for the gradient by the image as well.
	imageGradient bool
	// composed builds every layer as an operation of its own, also where block fits.
	composed bool
}

func newGraphBuilder(net *model.Net, w model.Weights, o graphOptions, pool *workers) (*graphBuilder, error) {
	nodes, err := net.Nodes()
	if err != nil {
		return nil, err
	}
	if err := w.Check(net); err != nil {
		return nil, err
	}
	m := newMachine(o.batch, pool)
	b := &graphBuilder{net: net, m: m, g: G.NewGraph(), tape: newTape(m), nodes: nodes, values: make([]*G.Node, len(nodes)),
		weights: w, params: map[string]*parameter{}, graphOptions: o}
	b.consumers, _ = model.Consumers(nodes)
	tensors, err := net.Tensors()
	if err != nil {
		return nil, err
	}
	for _, info := range tensors {
		if info.Buffer {
			continue
		}
		v := tensor.New(tensor.WithShape(info.Shape...), tensor.WithBacking(w[info.Name]))
		node := G.NewTensor(b.g, tensor.Float32, len(info.Shape), G.WithName(info.Name), G.WithShape(info.Shape...), G.WithValue(v))
		p := &parameter{info: info, value: v, node: node}
		b.params[info.Name] = p
		b.order = append(b.order, p)
	}
	return b, nil
}

// layers adds the nodes of every layer, over the given image buffer.
func (b *graphBuilder) layers(images []float32) error {
	in := b.net.Input
	shape := tensor.Shape{b.m.capacity, in.H, in.W, in.C}
	b.image = G.NewTensor(b.g, tensor.Float32, 4, G.WithName("image"), G.WithShape(shape...),
		G.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(images))))
	var plan fusion
	if b.frozen == nil && !b.evaluation && !b.composed {
		plan = planFusion(b.nodes, b.consumers)
	}
	for i := range b.nodes {
		if plan.inside[i] {
			continue
		}
		var err error
		n := &b.nodes[i]
		block, isBlock := plan.blocks[i]
		norm, isNorm := plan.norms[i]
		switch {
		case isBlock:
			b.values[i], err = b.block(block)
		case isNorm:
			b.values[i], err = b.normTanh(norm)
		case plan.shortcuts[i]:
			b.values[i], err = b.pooledShortcut(n)
		case b.absorbed(i):
			b.values[i] = b.input(n, 0)
		case b.frozen != nil && n.HasTensors():
			b.values[i], err = b.put(n, newFrozenLayer(b, n, i), b.input(n, 0))
		default:
			b.values[i], err = b.layer(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// absorbed reports whether layer i is a tile that the batch norm behind it makes without copying.
func (b *graphBuilder) absorbed(i int) bool {
	c := b.consumers[i]
	return b.nodes[i].Op == model.Tile && len(c) == 1 && b.nodes[c[0]].Op == model.BatchNorm
}

// input returns the node of a layer's input.
func (b *graphBuilder) input(n *model.Node, i int) *G.Node {
	if n.From[i] < 0 {
		return b.image
	}
	return b.values[n.From[i]]
}

// learns reports whether gradients flow into a value: the image has none unless asked for.
func (b *graphBuilder) learns(n *G.Node) bool { return n != b.image || b.imageGradient }

func (b *graphBuilder) param(n *model.Node, suffix string) *G.Node {
	return b.params[n.Name+"."+suffix].node
}

// put adds the operation of layer n with the given inputs: values first, then parameters.
func (b *graphBuilder) put(n *model.Node, op operation, in ...*G.Node) (*G.Node, error) {
	diff := make([]bool, len(in))
	for i := range in {
		diff[i] = b.learns(in[i])
	}
	return b.tape.apply(n.Name, op, tensor.Shape{b.m.capacity, n.Shape.H, n.Shape.W, n.Shape.C}, diff, in...)
}

// layer adds one layer.
func (b *graphBuilder) layer(n *model.Node) (*G.Node, error) {
	x, in, m := b.input(n, 0), n.In[0], b.m
	switch n.Op {
	case model.Conv:
		return b.conv(n, x)
	case model.Linear:
		return b.put(n, newLinear(m, in.C, n.Out), x, b.param(n, "weight"), b.param(n, "bias"))
	case model.BatchNorm:
		return b.put(n, b.batchNorm(n), append([]*G.Node{x}, b.normParams(n)...)...)
	case model.Hardtanh:
		return b.put(n, newHardtanh(m), x)
	case model.Bias:
		return b.put(n, newChannelBias(m, in.C), x, b.param(n, "bias"))
	case model.PReLU:
		return b.put(n, newPReLU(m, in.C), x, b.param(n, "weight"))
	case model.Add:
		return b.put(n, newAdd(m), x, b.input(n, 1))
	case model.Concat:
		var nodes []*G.Node
		var channels []int
		for i := range n.In {
			nodes, channels = append(nodes, b.input(n, i)), append(channels, n.In[i].C)
		}
		return b.put(n, newConcat(m, channels), nodes...)
	case model.Tile:
		return b.put(n, newTile(m, in.C, n.Factor, n.Interleave), x)
	case model.PadChannels, model.TakeChannels:
		from := padChannels(in.C, n.Out)
		if n.Op == model.TakeChannels {
			from = takeChannels(n.Out)
		}
		return b.put(n, newRearrange(m, in.C, from), x)
	case model.AvgPool, model.MaxPool:
		return b.put(n, newPool(m, poolOf(n), n.Op == model.MaxPool), x)
	case model.GlobalAvgPool:
		return b.put(n, newGlobalAvgPool(m), x)
	case model.Flatten:
		return b.put(n, newFlatten(m, in.H*in.W), x)
	}
	return nil, fmt.Errorf("train: layer %q: operation %q cannot be trained", n.Name, n.Op)
}

// batchNorm makes the operation of a batch norm, with the tile in front of it if there is one.
func (b *graphBuilder) batchNorm(n *model.Node) *batchNorm {
	in := n.In[0]
	channels, factor, interleave := in.C, 1, false
	if from := n.From[0]; from >= 0 && b.absorbed(from) {
		tile := &b.nodes[from]
		channels, factor, interleave = tile.In[0].C, tile.Factor, tile.Interleave
	}
	return newBatchNorm(b.m, in.H*in.W, channels, factor, interleave, !b.evaluation,
		b.weights[n.Name+".running_mean"], b.weights[n.Name+".running_var"])
}

// block adds a block of layers as one operation, named for its last layer.
func (b *graphBuilder) block(at blockAt) (*G.Node, error) {
	n, norm := &b.nodes[at.conv], &b.nodes[at.norm]
	x := b.input(n, 0)
	w, err := b.quantised(n)
	if err != nil {
		return nil, err
	}
	in := append([]*G.Node{x, w}, b.normParams(norm)...)
	identity, separate := false, false
	if at.shortcut >= 0 {
		if s := b.values[at.shortcut]; s == x {
			identity = true
		} else {
			separate = true
			in = append(in, s)
		}
	}
	conv := newBinConv(b.m, geometry(n), n, true, false)
	if from, ok := x.Op().(*graphOp); ok && conv.g.Groups == 1 {
		if before, ok := from.op.(makesSigns); ok {
			conv.take(before.outputSigns())
		}
	}
	op := newBlock(b.m, conv, b.batchNorm(norm), identity, separate)
	return b.put(&b.nodes[at.end], op, in...)
}

// normTanh adds a batch norm, the hardtanh behind it and the tile behind that as one operation.
func (b *graphBuilder) normTanh(at normAt) (*G.Node, error) {
	n, factor, interleave := &b.nodes[at.norm], 1, false
	if at.tile >= 0 {
		factor, interleave = b.nodes[at.tile].Factor, b.nodes[at.tile].Interleave
	}
	op := newNormTanh(b.m, b.batchNorm(n), factor, interleave)
	return b.put(&b.nodes[at.end], op, append([]*G.Node{b.input(n, 0)}, b.normParams(n)...)...)
}

// pooledShortcut adds the channel padding n and the pooling in front of it as one operation.
func (b *graphBuilder) pooledShortcut(n *model.Node) (*G.Node, error) {
	pool := &b.nodes[n.From[0]]
	return b.put(n, newPooledShortcut(b.m, poolOf(pool), n.Out), b.input(pool, 0))
}

func poolOf(n *model.Node) kernel.Pool {
	return kernel.Pool{H: n.In[0].H, W: n.In[0].W, C: n.In[0].C, Kernel: n.Kernel, Stride: n.Stride}
}

// quantised returns the weights that a convolution multiplies with: the quantiser of its latent weights as a node of
// its own.
func (b *graphBuilder) quantised(n *model.Node) (*G.Node, error) {
	w := b.param(n, "weight")
	var quant operation
	switch n.WeightQuant {
	case model.ReCUWeight:
		quant = newReCUWeight(b.m, n.Out)
	case model.ScaledSignWeight:
		quant = newScaledSignWeight(b.m, n.Out)
	}
	if quant == nil {
		return w, nil
	}
	return b.tape.apply(n.Name+".weight quantised", quant, w.Shape(), []bool{true}, w)
}

// conv adds a convolution: one of the two kinds of arithmetic.
func (b *graphBuilder) conv(n *model.Node, x *G.Node) (*G.Node, error) {
	w, err := b.quantised(n)
	if err != nil {
		return nil, err
	}
	g, alpha := geometry(n), n.Alpha && b.alphaTaker(n) == nil
	if n.Binary() {
		return b.convolve(n, newBinConv(b.m, g, n, !b.evaluation, alpha), alpha, x, w)
	}
	if n.InputQuant != model.RealInput {
		s := tensor.Shape{b.m.capacity, n.In[0].H, n.In[0].W, n.In[0].C}
		if x, err = b.tape.apply(n.Name+" input signs", newSignInput(b.m, n.InputQuant, !b.evaluation), s, []bool{b.learns(x)}, x); err != nil {
			return nil, err
		}
	}
	return b.convolve(n, newConv(b.m, g, alpha), alpha, x, w)
}

func (b *graphBuilder) convolve(n *model.Node, op operation, alpha bool, x, w *G.Node) (*G.Node, error) {
	if alpha {
		return b.put(n, op, x, w, b.param(n, "alpha"))
	}
	return b.put(n, op, x, w)
}

// alphaTaker returns the batch norm that takes over the alpha of convolution n: the one right behind it, or behind the
// tile that it absorbs; nil if there is none.
func (b *graphBuilder) alphaTaker(n *model.Node) *model.Node {
	for i := range b.nodes {
		if &b.nodes[i] != n {
			continue
		}
		for len(b.consumers[i]) == 1 {
			next := b.consumers[i][0]
			if b.nodes[next].Op == model.BatchNorm {
				return &b.nodes[next]
			}
			if !b.absorbed(next) {
				return nil
			}
			i = next
		}
	}
	return nil
}

// normParams returns the parameters of batch norm n: gamma, delta, and the alpha that it takes over.
func (b *graphBuilder) normParams(n *model.Node) []*G.Node {
	list := []*G.Node{b.param(n, "weight"), b.param(n, "bias")}
	from := n.From[0]
	if from >= 0 && b.absorbed(from) {
		from = b.nodes[from].From[0]
	}
	if from >= 0 && b.nodes[from].Alpha && b.alphaTaker(&b.nodes[from]) == n {
		list = append(list, b.param(&b.nodes[from], "alpha"))
	}
	return list
}

// geometry returns the shape of a convolution layer's arithmetic.
func geometry(n *model.Node) kernel.Geometry {
	return kernel.Geometry{H: n.In[0].H, W: n.In[0].W, C: n.In[0].C, K: n.Out, Kernel: n.Kernel, Stride: n.Stride,
		Pad: n.Pad, Groups: n.GroupCount()}
}

// differentiate adds the gradients of loss and gives each parameter its own.
func (b *graphBuilder) differentiate(loss *G.Node) error {
	grads, err := b.tape.gradients(loss)
	if err != nil {
		return err
	}
	for _, p := range b.order {
		if p.grad = gradientOf(grads[p.node]); p.grad == nil {
			return fmt.Errorf("train: the loss does not depend on %s", p.info.Name)
		}
	}
	if b.imageGradient {
		b.imageGrad = gradientOf(grads[b.image]).Float32s()
	}
	return nil
}

// gradientOf returns the buffer that a gradient node's value lives in.
func gradientOf(n *G.Node) *tensor.Dense {
	if n == nil {
		return nil
	}
	switch op := n.Op().(type) {
	case *gradOp:
		return op.of.dx[op.result]
	case *sideOp:
		return op.of.dx[op.result]
	case *graphOp:
		return op.out
	}
	return nil
}

// outputs returns the output buffers of the layers by name.
func (b *graphBuilder) outputs() map[string][]float32 {
	out := make(map[string][]float32, len(b.nodes))
	for i := range b.nodes {
		if b.values[i] != nil && !b.absorbed(i) {
			out[b.nodes[i].Name] = b.values[i].Op().(*graphOp).y
		}
	}
	return out
}
