package train

import (
	"github.com/bnntool/bnntool/internal/kernel"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// gradientRoom hands out the buffers of the gradients of a graph's values while the graph is built. A value's gradient has
// one reader, the gradient of the operation that computes the value, or a sum; behind it the buffer serves another
// gradient. Parameters' gradients live on and have buffers of their own, and so have small ones, such as those by quantised
// filters.
//
// Nothing is assumed of the order in which the machine runs nodes but that a node runs after its inputs: a buffer is lent
// again only to a node that all its readers come before.
type gradientRoom struct {
	size   int // elements of a shared buffer: those of the largest value
	inside map[*G.Node]bool
	before map[*G.Node]map[*G.Node]bool // gradient nodes by what reads them
	lent   map[*tensor.Dense]*loan
	free   []*loan
}

// smallGradient divides the size of the largest gradient: what is smaller shares no buffer.
const smallGradient = 64

// loan is a shared buffer and who still needs it.
type loan struct {
	floats  []float32
	holders int       // gradients in it that have not been read
	readers []*G.Node // nodes that read it
}

func newGradientRoom(steps []applied) *gradientRoom {
	r := &gradientRoom{inside: map[*G.Node]bool{}, before: map[*G.Node]map[*G.Node]bool{}, lent: map[*tensor.Dense]*loan{}}
	for _, s := range steps {
		r.inside[s.out] = true
		r.size = max(r.size, s.out.Shape().TotalSize())
	}
	return r
}

// buffer returns a buffer for the gradient by n, to be written by a node with the given inputs.
func (r *gradientRoom) buffer(n *G.Node, inputs ...*G.Node) *tensor.Dense {
	size := n.Shape().TotalSize()
	if !r.inside[n] || size < r.size/smallGradient {
		return newDense(n.Shape(), kernel.Make[float32](size))
	}
	l := r.unused(inputs)
	if l == nil {
		l = &loan{floats: kernel.Make[float32](r.size)}
	}
	d := newDense(n.Shape(), l.floats[:size])
	r.lent[d] = l
	return d
}

// unused takes a buffer from the free ones that every reader of is among the nodes or before them.
func (r *gradientRoom) unused(nodes []*G.Node) *loan {
	for i, l := range r.free {
		if r.follow(nodes, l.readers) {
			r.free = append(r.free[:i:i], r.free[i+1:]...)
			l.readers = nil
			return l
		}
	}
	return nil
}

// follow reports whether each reader is one of the nodes or comes before one.
func (r *gradientRoom) follow(nodes, readers []*G.Node) bool {
	for _, reader := range readers {
		found := false
		for _, n := range nodes {
			found = found || n == reader || r.before[n][reader]
		}
		if !found {
			return false
		}
	}
	return true
}

// over returns a tensor of n's shape in the place of the gradient in dy, nil if that is needed elsewhere too or smaller.
func (r *gradientRoom) over(n, dy *G.Node) *tensor.Dense {
	if !r.sole(dy) || !r.inside[n] || n.Shape().TotalSize() != dy.Shape().TotalSize() {
		return nil
	}
	l := r.lent[gradientOf(dy)]
	d := newDense(n.Shape(), l.floats[:n.Shape().TotalSize()])
	r.lent[d] = l
	return d
}

// sole reports whether n is the only gradient in its buffer.
func (r *gradientRoom) sole(n *G.Node) bool {
	l := r.lent[gradientOf(n)]
	return l != nil && l.holders == 1
}

// computed notes the gradients that a gradient node is computed from.
func (r *gradientRoom) computed(n *G.Node, inputs ...*G.Node) {
	set := map[*G.Node]bool{}
	for _, in := range inputs {
		set[in] = true
		for b := range r.before[in] {
			set[b] = true
		}
	}
	r.before[n] = set
}

// hold notes that n is a gradient that will be read.
func (r *gradientRoom) hold(n *G.Node) {
	if l := r.lent[gradientOf(n)]; l != nil {
		l.holders++
	}
}

// release notes that the gradient n has been read, by the given node if it is not nil.
func (r *gradientRoom) release(n, reader *G.Node) {
	l := r.lent[gradientOf(n)]
	if l == nil {
		return
	}
	if reader != nil {
		l.readers = append(l.readers, reader)
	}
	if l.holders--; l.holders == 0 {
		r.free = append(r.free, l)
	}
}

func newDense(shape tensor.Shape, floats []float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(floats))
}
