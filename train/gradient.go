package train

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// tape records the applications of one graph in order, and makes their gradients.
//
// It does what gorgonia.Grad does (reverse order, SymDiff of each op, sum where a value has several consumers) but for the
// sum: Gorgonia's is its native Add, which allocates its result at every step and runs on one core, and every
// residual network has one at each shortcut. TestTapeEqualsGrad holds the two against each other.
type tape struct {
	m     *machine
	names map[string]bool
	steps []applied
}

type applied struct {
	op  *graphOp
	in  G.Nodes
	out *G.Node
}

func newTape(m *machine) *tape { return &tape{m: m, names: map[string]bool{}} }

// apply puts op, under a name made unique, into the graph of its inputs. shape nil is a scalar result.
func (t *tape) apply(name string, op operation, shape tensor.Shape, diff []bool, in ...*G.Node) (*G.Node, error) {
	unique := name
	for i := 2; t.names[unique]; i++ {
		unique = fmt.Sprintf("%s (%d)", name, i)
	}
	t.names[unique] = true
	o := newGraphOp(t.m, unique, op, shape, diff)
	out, err := o.apply(in...)
	if err != nil {
		return nil, err
	}
	t.steps = append(t.steps, applied{o, in, out})
	return out, nil
}

// gradients adds the nodes of the gradients of loss, a scalar, to the graph and returns them by the node that they
// are the gradient of: every node between the loss and the inputs that an operation has a gradient by.
func (t *tape) gradients(loss *G.Node) (map[*G.Node]*G.Node, error) {
	grads := map[*G.Node]*G.Node{loss: G.NewConstant(float32(1), G.In(loss.Graph()), G.WithName("gradient of the loss"))}
	room := newGradientRoom(t.steps)
	for i := len(t.steps) - 1; i >= 0; i-- {
		s := t.steps[i]
		dy := grads[s.out]
		if dy == nil {
			continue
		}
		s.op.room = room
		if onto := grads[s.in[0]]; onto != nil {
			sum, err := s.op.addTo(s.in, dy, onto)
			if err != nil {
				return nil, err
			}
			if sum != nil {
				room.hold(sum)
				room.release(onto, sum)
				room.release(dy, sum)
				grads[s.in[0]] = sum
				continue
			}
		}
		dx, err := s.op.SymDiff(s.in, s.out, dy)
		if err != nil {
			return nil, err
		}
		var reader *G.Node // the one that reads dy, if it is not handed on
		for j, n := range s.in {
			if dx[j] == nil {
				continue
			}
			room.hold(dx[j])
			if reader == nil && dx[j] != dy {
				reader = dx[j]
			}
			if grads[n] == nil {
				grads[n] = dx[j]
				continue
			}
			if grads[n], err = t.sum(fmt.Sprintf("sum of gradients at input %d of %s", j, s.op.name), room, n, grads[n], dx[j]); err != nil {
				return nil, err
			}
		}
		room.release(dy, reader)
	}
	return grads, nil
}

// sum adds the node of a + b, gradients by n.
func (t *tape) sum(name string, room *gradientRoom, n, a, b *G.Node) (*G.Node, error) {
	op := newGraphOpIn(t.m, name, newAdd(t.m), room.buffer(n, a, b), []bool{false, false})
	sum, err := op.apply(a, b)
	if err != nil {
		return nil, err
	}
	room.computed(sum, a, b)
	room.hold(sum)
	room.release(a, sum)
	room.release(b, sum)
	return sum, nil
}
