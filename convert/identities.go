package convert

import "github.com/bnntool/bnntool/runtime/artifact"

// dropIdentities removes operations that return what they take: a tile by 1, no channel to pad, all channels to take,
// a pool over one pixel. One that takes the image itself stays, so that every network has an operation.
func dropIdentities(g *graph) {
	for _, n := range g.nodes {
		x := n.in[0]
		if x == nil {
			continue
		}
		same := false
		switch n.op.Kind {
		case artifact.Tile:
			same = n.op.FactorCount() == 1
		case artifact.PadChannels, artifact.TakeChannels:
			same = n.c == x.c
		case artifact.MaxPool, artifact.AvgPool:
			same = n.op.Kernel == 1 && n.op.Stride == 1
		}
		if same {
			g.replace(n, x)
		}
	}
}
