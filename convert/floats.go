package convert

import "github.com/bnntool/bnntool/runtime/artifact"

// addFloats makes a float map of exact sums where something takes them that computes in float32: an affine operation
// without scale and bias.
func addFloats(g *graph) {
	floats := make(map[*node]*node)
	float := func(x *node) *node {
		if x == nil || !x.counts() {
			return x
		}
		if floats[x] == nil {
			floats[x] = g.insert(artifact.Affine, x, ".float")
		}
		return floats[x]
	}
	for _, n := range g.nodes {
		switch n.op.Kind {
		case artifact.BinConv, artifact.MaxPool, artifact.Affine, artifact.Threshold:
			continue
		}
		for i, x := range n.in {
			n.in[i] = float(x)
		}
	}
	g.out = float(g.out)
}
