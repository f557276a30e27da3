package convert

import "github.com/bnntool/bnntool/runtime/artifact"

// dropBeforeSigns lets 1-bit convolutions take what goes into a hardtanh instead of what comes out: clipping to
// -1..1 does not change a sign. The hardtanh itself goes if nothing else takes it.
func dropBeforeSigns(g *graph) {
	for _, n := range g.nodes {
		if n.op.Kind != artifact.BinConv {
			continue
		}
		for n.in[0] != nil && n.in[0].op.Kind == artifact.Hardtanh {
			n.in[0] = n.in[0].in[0]
		}
	}
}

// onlySigns reports whether all of users are 1-bit convolutions, and that there is one.
func onlySigns(users []*node) bool {
	for _, u := range users {
		if u.op.Kind != artifact.BinConv {
			return false
		}
	}
	return len(users) > 0
}
