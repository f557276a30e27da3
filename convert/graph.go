package convert

import (
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/model"
)

// node is one operation while passes work on it. Its op has all fields but the names of inputs and tensors, which emit
// sets.
type node struct {
	op artifact.Op
	in []*node // nil stands for the image
	c  int     // channels of the result
	// layer is the index of the network's layer that the node's tensors come from.
	layer int
	// shows is the index of the layer whose output the node computes (or its sign, for a threshold; or its value as
	// an exact sum), or -1.
	shows int

	weights     []float32 // conv, linear: as model.Frozen has them; binconv: -1 or +1
	scale, bias []float32 // nil where they do nothing
	slope       []float32
	limits      []int32
	flip        []bool // nil if no channel is flipped
}

// graph is a network between two passes.
type graph struct {
	nodes []*node // in no particular order; those that out does not reach are gone
	out   *node
	names map[string]bool
}

// counts reports whether the node's value is a map of exact sums.
func (n *node) counts() bool {
	return n.op.Kind == artifact.BinConv || n.op.Kind == artifact.MaxPool && n.in[0] != nil && n.in[0].counts()
}

// users returns for each node the nodes that take it, once for each time they do.
func (g *graph) users() map[*node][]*node {
	users := make(map[*node][]*node, len(g.nodes))
	for _, n := range g.nodes {
		for _, x := range n.in {
			if x != nil {
				users[x] = append(users[x], n)
			}
		}
	}
	return users
}

// take makes n take new wherever it takes old.
func (n *node) take(old, new *node) {
	for i, x := range n.in {
		if x == old {
			n.in[i] = new
		}
	}
}

// replace makes every user of old, and the network's output, take new.
func (g *graph) replace(old, new *node) {
	for _, n := range g.nodes {
		n.take(old, new)
	}
	if g.out == old {
		g.out = new
	}
}

// insert adds a node of the given kind behind x, named after x. Nothing takes it yet.
func (g *graph) insert(kind artifact.Kind, x *node, suffix string) *node {
	name := x.op.Name + suffix
	for g.names[name] {
		name += "_"
	}
	g.names[name] = true
	n := &node{op: artifact.Op{Name: name, Kind: kind}, in: []*node{x}, c: x.c, layer: x.layer, shows: x.shows}
	g.nodes = append(g.nodes, n)
	return n
}

// sweep removes the nodes that the output does not depend on and puts the others in an order in which each follows
// its inputs.
func (g *graph) sweep() {
	order := make([]*node, 0, len(g.nodes))
	seen := make(map[*node]bool, len(g.nodes))
	var visit func(n *node)
	visit = func(n *node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		for _, x := range n.in {
			visit(x)
		}
		order = append(order, n)
	}
	visit(g.out)
	g.nodes = order
}

// passes are the steps from a frozen network to a graph that emit can write.
func passes(f *model.Frozen) (*graph, error) {
	g, err := lower(f)
	if err != nil {
		return nil, err
	}
	for _, pass := range []func(*graph){dropIdentities, foldTiles, dropBeforeSigns, chooseThresholds, addFloats} {
		pass(g)
		g.sweep()
	}
	return g, nil
}
