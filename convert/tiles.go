package convert

import (
	"slices"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// foldTiles lets the affine operations that follow a tile read the untiled map, since scale and bias of a batch norm
// behind a tile are all that tell its copies apart. A tile before a max pool first moves behind it: the pool then has
// fewer channels. A tile of exact sums that is left becomes an affine operation without scale and bias.
func foldTiles(g *graph) {
	users := g.users()
	for _, n := range slices.Backward(g.nodes) {
		for n.op.Kind == artifact.Tile && g.out != n && len(users[n]) == 1 && users[n][0].op.Kind == artifact.MaxPool {
			sink(g, n, users[n][0], users)
		}
	}
	for _, n := range g.nodes {
		if x := n.in[0]; n.op.Kind == artifact.Affine && x != nil && x.op.Kind == artifact.Tile && n.op.FactorCount() == 1 {
			n.in = x.in
			n.op.Factor, n.op.Interleave = x.op.Factor, x.op.Interleave
		}
	}
	for _, n := range g.nodes {
		if x := n.in[0]; n.op.Kind == artifact.Tile && x != nil && x.counts() {
			n.op.Kind = artifact.Affine
		}
	}
}

// sink exchanges a tile with the max pool that alone takes it.
func sink(g *graph, tile, pool *node, users map[*node][]*node) {
	for _, u := range users[pool] {
		u.take(pool, tile)
	}
	if g.out == pool {
		g.out = tile
	}
	x := tile.in[0]
	pool.take(tile, x)
	tile.take(x, pool)
	users[tile], users[pool] = users[pool], []*node{tile}
	if i := slices.Index(users[x], tile); i >= 0 {
		users[x][i] = pool
	}
	pool.c = tile.c / tile.op.FactorCount()
	tile.shows, pool.shows = pool.shows, -1
}
