package train

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// operation is the arithmetic of one node of a graph. Slices are whole batches, [B,H,W,C] float32 with B the
// machine's capacity; only the rows of the machine's current images are read and written. Parameters have the
// shapes of model.Tensor.
type operation interface {
	// forward computes y from the inputs.
	forward(y []float32, in [][]float32)
	// backward writes to dx[i], for every i for which it is not nil, the gradient by in[i] of a loss whose gradient
	// by y is dy. It runs after forward, whose inputs, output and private state it finds unchanged.
	backward(dx [][]float32, dy []float32, in [][]float32, y []float32)
}

// graphOp is a Gorgonia operation around an operation: everything that Gorgonia asks of an op is answered here, once.
//
// Gorgonia's habits that shape it: Type must be a new object at each call (Gorgonia recycles it); nodes of equal
// hash are merged, so the name must be unique in the graph; Reset drops every register, so the output buffer is
// owned by the op; native ops may overwrite the buffer of a dead input, so none of them stands on the path.
type graphOp struct {
	m      *machine
	name   string
	op     operation
	inDims []int // dimensions of each input, 0 for a scalar
	shape  tensor.Shape
	out    *tensor.Dense // nil for a scalar result
	y      []float32
	scalar *G.F32 // the result if it is a scalar
	diff   []bool // which inputs have a gradient
	args   [][]float32
	dx     []*tensor.Dense
	grads  [][]float32
	room   *gradientRoom // where dx comes from; nil for buffers of their own
}

var _ G.SDOp = (*graphOp)(nil)

// newGraphOp wraps op. shape is the output's; nil means a scalar. diff tells for each input whether it has a gradient.
func newGraphOp(m *machine, name string, op operation, shape tensor.Shape, diff []bool) *graphOp {
	if shape != nil {
		return newGraphOpIn(m, name, op, newDense(shape, kernel.Make[float32](shape.TotalSize())), diff)
	}
	o := newGraphOpIn(m, name, op, nil, diff)
	o.shape = tensor.ScalarShape()
	o.scalar = G.NewF32(0)
	o.y = make([]float32, 1)
	return o
}

// newGraphOpIn is newGraphOp with a buffer for the result, not a scalar's.
func newGraphOpIn(m *machine, name string, op operation, out *tensor.Dense, diff []bool) *graphOp {
	o := &graphOp{m: m, name: name, op: op, out: out, diff: diff,
		args: make([][]float32, len(diff)), dx: make([]*tensor.Dense, len(diff)), grads: make([][]float32, len(diff))}
	if out != nil {
		o.shape, o.y = out.Shape(), out.Float32s()
	}
	return o
}

// apply puts the operation into the inputs' graph.
func (o *graphOp) apply(in ...*G.Node) (*G.Node, error) {
	o.inDims = o.inDims[:0]
	for _, n := range in {
		o.inDims = append(o.inDims, n.Shape().Dims())
	}
	n, err := G.ApplyOp(o, in...)
	if err != nil {
		return nil, fmt.Errorf("train: %s: %w", o.name, err)
	}
	return n, nil
}

func typeOf(dims int) hm.Type {
	if dims == 0 {
		return tensor.Float32
	}
	return G.TensorType{Dims: dims, Of: tensor.Float32}
}

func (o *graphOp) Arity() int { return len(o.diff) }

func (o *graphOp) Type() hm.Type {
	types := make([]hm.Type, 0, len(o.inDims)+1)
	for _, d := range o.inDims {
		types = append(types, typeOf(d))
	}
	return hm.NewFnType(append(types, typeOf(o.shape.Dims()))...)
}

func (o *graphOp) InferShape(...G.DimSizer) (tensor.Shape, error) { return o.shape.Clone(), nil }
func (o *graphOp) ReturnsPtr() bool                               { return true }
func (o *graphOp) CallsExtern() bool                              { return false }
func (o *graphOp) OverwritesInput() int                           { return -1 }
func (o *graphOp) WriteHash(h hash.Hash)                          { fmt.Fprint(h, o.name) }
func (o *graphOp) Hashcode() uint32                               { return hashcode(o) }
func (o *graphOp) String() string                                 { return o.name }

// Do runs the forward pass. The result is the op's own buffer, overwritten by the next run.
func (o *graphOp) Do(in ...G.Value) (G.Value, error) {
	if err := o.bind(in); err != nil {
		return nil, err
	}
	begin := o.m.begin()
	o.op.forward(o.y, o.args)
	o.m.end(begin, o, false)
	return o.value(), nil
}

func (o *graphOp) value() G.Value {
	if o.scalar != nil {
		*o.scalar = G.F32(o.y[0])
		return o.scalar
	}
	return o.out
}

func (o *graphOp) bind(in []G.Value) error {
	for i, v := range in {
		d, ok := v.(*tensor.Dense)
		if !ok {
			return fmt.Errorf("train: %s: input %d is a %T, want a dense tensor", o.name, i, v)
		}
		o.args[i] = d.Float32s()
	}
	return nil
}

// DiffWRT is part of Gorgonia's SDOp.
func (o *graphOp) DiffWRT(int) []bool { return o.diff }

// SymDiff returns the nodes of the gradients by the inputs: one node that computes them all and is the first, and
// for each of the others one that hands it out.
func (o *graphOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	if s, ok := o.op.(sharesGradient); ok && s.sharesGradient() {
		return G.Nodes{grad, grad}, nil
	}
	nodes := make(G.Nodes, len(in))
	var first *G.Node
	for i, n := range in {
		if !o.diff[i] {
			continue
		}
		o.dx[i] = o.gradientBuffer(i, n, grad)
		o.grads[i] = o.dx[i].Float32s()
		var err error
		if first == nil {
			first, err = G.ApplyOp(&gradOp{of: o, result: i, dims: append([]int{grad.Shape().Dims()}, o.inDims...)},
				append(G.Nodes{grad}, in...)...)
			nodes[i] = first
		} else {
			nodes[i], err = G.ApplyOp(&sideOp{of: o, result: i, dims: first.Shape().Dims()}, first)
		}
		if err != nil {
			return nil, fmt.Errorf("train: gradient of %s: %w", o.name, err)
		}
		if o.room != nil {
			o.room.computed(nodes[i], grad)
		}
	}
	return nodes, nil
}

// gradientBuffer returns the buffer for the gradient by input i, the node n, given the node of the result's gradient.
func (o *graphOp) gradientBuffer(i int, n, grad *G.Node) *tensor.Dense {
	if o.room == nil {
		return newDense(n.Shape(), kernel.Make[float32](n.Shape().TotalSize()))
	}
	if p, ok := o.op.(replacesGradient); ok && i == 0 && p.replacesGradient() {
		if d := o.room.over(n, grad); d != nil {
			return d
		}
	}
	return o.room.buffer(n, grad)
}

// addsGradient marks an operation of one input whose gradient can be added to another by the same input, in its place:
// backwardAdd is then what backward and a sum would be, bit for bit.
type addsGradient interface {
	addsGradient() bool
	backwardAdd(dx, dy []float32)
}

// addTo returns the node that adds the gradient by in[0] to the one in the node onto, in its place; nil if that cannot be.
func (o *graphOp) addTo(in G.Nodes, grad, onto *G.Node) (*G.Node, error) {
	a, ok := o.op.(addsGradient)
	if !ok || !o.diff[0] || !a.addsGradient() || !o.room.sole(onto) {
		return nil, nil
	}
	o.dx[0] = gradientOf(onto)
	o.grads[0] = o.dx[0].Float32s()
	n, err := G.ApplyOp(&gradOp{of: o, onto: a, dims: append([]int{grad.Shape().Dims(), onto.Shape().Dims()}, o.inDims...)},
		append(G.Nodes{grad, onto}, in...)...)
	if err != nil {
		return nil, fmt.Errorf("train: gradient of %s: %w", o.name, err)
	}
	o.room.computed(n, grad, onto)
	return n, nil
}

// replacesGradient marks an operation whose backward pass may be given one buffer for the gradient by its result and for
// that by its first input.
type replacesGradient interface{ replacesGradient() bool }

// sharesGradient marks an operation of two inputs whose gradients both are the gradient of its result.
type sharesGradient interface{ sharesGradient() bool }

// gradOp computes all gradients of an operation and returns the one by its first differentiable input. Its inputs
// are the gradient of the operation's result, with onto the gradient that it adds to, and the operation's inputs.
type gradOp struct {
	of     *graphOp
	result int
	dims   []int
	onto   addsGradient
	one    [1]float32 // holds a scalar gradient
}

func (o *gradOp) Arity() int { return len(o.dims) }

func (o *gradOp) Type() hm.Type {
	types := make([]hm.Type, 0, len(o.dims)+1)
	for _, d := range o.dims {
		types = append(types, typeOf(d))
	}
	return hm.NewFnType(append(types, typeOf(o.of.dx[o.result].Dims()))...)
}

func (o *gradOp) InferShape(...G.DimSizer) (tensor.Shape, error) {
	return o.of.dx[o.result].Shape().Clone(), nil
}
func (o *gradOp) ReturnsPtr() bool      { return true }
func (o *gradOp) CallsExtern() bool     { return false }
func (o *gradOp) OverwritesInput() int  { return -1 }
func (o *gradOp) WriteHash(h hash.Hash) { fmt.Fprint(h, o.String()) }
func (o *gradOp) Hashcode() uint32      { return hashcode(o) }
func (o *gradOp) String() string        { return "gradient of " + o.of.name }

func (o *gradOp) Do(in ...G.Value) (G.Value, error) {
	var dy []float32
	switch v := in[0].(type) {
	case *tensor.Dense:
		dy = v.Float32s()
	case *G.F32:
		o.one[0] = float32(*v)
		dy = o.one[:]
	default:
		return nil, fmt.Errorf("train: %s: the incoming gradient is a %T", o, in[0])
	}
	if err := o.of.bind(in[len(in)-len(o.of.args):]); err != nil {
		return nil, err
	}
	begin := o.of.m.begin()
	if o.onto != nil {
		o.onto.backwardAdd(o.of.grads[0], dy)
	} else {
		o.of.op.backward(o.of.grads, dy, o.of.args, o.of.y)
	}
	o.of.m.end(begin, o.of, true)
	return o.of.dx[o.result], nil
}

// sideOp hands out a further gradient that a gradOp has computed; its input is that gradOp's node, so it runs later.
type sideOp struct {
	of     *graphOp
	result int
	dims   int
}

func (o *sideOp) Arity() int { return 1 }

func (o *sideOp) Type() hm.Type {
	return hm.NewFnType(typeOf(o.dims), typeOf(o.of.dx[o.result].Dims()))
}

func (o *sideOp) InferShape(...G.DimSizer) (tensor.Shape, error) {
	return o.of.dx[o.result].Shape().Clone(), nil
}
func (o *sideOp) ReturnsPtr() bool      { return true }
func (o *sideOp) CallsExtern() bool     { return false }
func (o *sideOp) OverwritesInput() int  { return -1 }
func (o *sideOp) WriteHash(h hash.Hash) { fmt.Fprint(h, o.String()) }
func (o *sideOp) Hashcode() uint32      { return hashcode(o) }
func (o *sideOp) String() string        { return fmt.Sprintf("gradient %d of %s", o.result, o.of.name) }

func (o *sideOp) Do(...G.Value) (G.Value, error) { return o.of.dx[o.result], nil }

func hashcode(o G.Op) uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}
