package train

import (
	"fmt"

	"github.com/bnntool/bnntool/train/model"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// trainGraph is a network's training graph: loss and gradients of one batch. The parameters and running statistics
// are the slices of the Weights that it was built from; it reads them at each step and updates the statistics.
type trainGraph struct {
	m      *machine
	vm     G.VM
	images []float32 // [B,H,W,C], filled by the caller
	labels []float32 // [B], class indices
	logits []float32 // [B,classes], valid after step
	loss   *crossEntropy
	value  *graphOp // of the loss
	params []*parameter
	nodes  int                  // of the Gorgonia graph
	output map[string][]float32 // layer outputs by name; layers inside a block and tiles that a batch norm absorbs have none
}

// parameter is a learned tensor and its gradient: gorgonia.ValueGrad.
type parameter struct {
	info  model.Tensor
	value *tensor.Dense
	node  *G.Node
	grad  *tensor.Dense
}

func (p *parameter) Name() string           { return p.info.Name }
func (p *parameter) Value() G.Value         { return p.value }
func (p *parameter) Grad() (G.Value, error) { return p.grad, nil }
func (p *parameter) data() []float32        { return p.value.Float32s() }
func (p *parameter) String() string         { return fmt.Sprintf("%s %v", p.info.Name, p.info.Shape) }

var _ G.ValueGrad = (*parameter)(nil)

// newTrainGraph builds the training graph of net over w.
func newTrainGraph(net *model.Net, w model.Weights, o graphOptions, pool *workers) (*trainGraph, error) {
	b, err := newGraphBuilder(net, w, o, pool)
	if err != nil {
		return nil, err
	}
	t := &trainGraph{m: b.m, images: make([]float32, o.batch*net.Input.Len()), labels: make([]float32, o.batch)}
	if err := b.layers(t.images); err != nil {
		return nil, err
	}
	classes := b.nodes[len(b.nodes)-1].Shape.C
	labels := G.NewVector(b.g, tensor.Float32, G.WithName("labels"), G.WithShape(o.batch),
		G.WithValue(tensor.New(tensor.WithShape(o.batch), tensor.WithBacking(t.labels))))
	t.loss = newCrossEntropy(b.m, classes, o.smoothing)
	out := b.values[len(b.values)-1]
	loss, err := b.tape.apply("loss", t.loss, nil, []bool{true, false}, out, labels)
	if err != nil {
		return nil, err
	}
	t.value = b.tape.steps[len(b.tape.steps)-1].op
	if err := b.differentiate(loss); err != nil {
		return nil, err
	}
	t.params, t.output = b.order, b.outputs()
	t.logits = out.Op().(*graphOp).y
	t.nodes = len(b.g.AllNodes())
	t.vm = G.NewTapeMachine(b.g)
	return t, nil
}

// step runs the graph on the first n images and returns their mean loss. The gradients are then in the parameters.
func (t *trainGraph) step(n int) (float64, error) {
	t.m.images = n
	t.vm.Reset()
	if err := t.vm.RunAll(); err != nil {
		return 0, fmt.Errorf("train: %w", err)
	}
	return float64(t.value.y[0]), nil
}

// sizes returns the number of elements of each parameter by name.
func (t *trainGraph) sizes() map[string]int {
	sizes := make(map[string]int, len(t.params))
	for _, p := range t.params {
		sizes[p.Name()] = len(p.data())
	}
	return sizes
}

// values returns the parameters as a solver takes them.
func (t *trainGraph) values() []G.ValueGrad {
	list := make([]G.ValueGrad, len(t.params))
	for i, p := range t.params {
		list[i] = p
	}
	return list
}

// close releases the graph's machine.
func (t *trainGraph) close() error { return t.vm.Close() }
