package train

import (
	"testing"
	"unsafe"

	"github.com/bnntool/bnntool/train/model"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestGradientsShareBuffers: the gradients of a residual network's values take a few buffers, those of its parameters each
// one of their own.
func TestGradientsShareBuffers(t *testing.T) {
	net, err := model.New("recu-resnet20", model.Options{Input: model.Shape{H: 16, W: 16, C: 3}, Width: 8})
	if err != nil {
		t.Fatal(err)
	}
	const batch = 64
	pool := newWorkers(1)
	defer pool.close()
	b, err := newGraphBuilder(net, initWeights(t, net, 1), graphOptions{batch: batch}, pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.layers(make([]float32, batch*net.Input.Len())); err != nil {
		t.Fatal(err)
	}
	labels := G.NewVector(b.g, tensor.Float32, G.WithName("labels"), G.WithShape(batch))
	loss, err := b.tape.apply("loss", newCrossEntropy(b.m, 10, 0), nil, []bool{true, false}, b.values[len(b.values)-1], labels)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.differentiate(loss); err != nil {
		t.Fatal(err)
	}
	shared, own := map[*float32]int{}, map[*float32]bool{}
	for _, p := range b.order {
		own[unsafe.SliceData(p.grad.Float32s())] = true
	}
	for _, s := range b.tape.steps {
		for i, d := range s.op.dx {
			if d == nil {
				continue
			}
			at := unsafe.SliceData(d.Float32s())
			if param := b.params[s.in[i].Name()] != nil; param != own[at] {
				t.Errorf("%s: gradient by input %d: in a parameter's buffer %v, of a parameter %v", s.op.name, i, own[at], param)
			}
			if d.Shape().TotalSize() >= batch*8*8*8 { // a map of the smallest stage's size
				shared[at]++
			}
		}
	}
	if len(own) != len(b.order) {
		t.Errorf("%d buffers for the gradients of %d parameters", len(own), len(b.order))
	}
	if len(shared) > 5 {
		t.Errorf("%d buffers for the gradients of values, want at most 5: %v", len(shared), shared)
	}
}

// TestGradientRoom: a buffer is lent again only behind its last reader.
func TestGradientRoom(t *testing.T) {
	net := smallNet(t, 1)
	pool := newWorkers(1)
	defer pool.close()
	b, err := newGraphBuilder(net, initWeights(t, net, 1), graphOptions{batch: 2}, pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.layers(make([]float32, 2*net.Input.Len())); err != nil {
		t.Fatal(err)
	}
	r := newGradientRoom(b.tape.steps)
	// Any nodes will do for the order: a <- read <- next, and aside, which comes after neither.
	n := b.tape.steps[0].out
	nodes := b.g.AllNodes()
	read, next, aside := nodes[0], nodes[1], nodes[2]
	r.computed(next, read)
	r.computed(aside)
	l := &loan{floats: make([]float32, r.size), readers: []*G.Node{read}}
	r.free = append(r.free, l)
	if d := r.buffer(n, aside); unsafe.SliceData(d.Float32s()) == unsafe.SliceData(l.floats) {
		t.Error("lent to a node that does not come after the reader")
	}
	if d := r.buffer(n, next); unsafe.SliceData(d.Float32s()) != unsafe.SliceData(l.floats) {
		t.Error("not lent to a node that comes after the reader")
	}
	if len(r.free) != 0 {
		t.Errorf("%d buffers free, want 0", len(r.free))
	}
}
