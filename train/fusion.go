package train

import (
	"math"

	"github.com/bnntool/bnntool/train/model"
)

// fusion says which layers of a network are built together, as one operation. Every layer of a group but the last has the
// next one as its only consumer.
type fusion struct {
	blocks    map[int]blockAt // by their last layer
	norms     map[int]normAt  // by their last layer
	shortcuts map[int]bool    // channel paddings, with the pooling in front of them
	inside    map[int]bool    // the other layers of all groups
}

// blockAt is the pattern of a block in a network, by layer; shortcut is -1 without one.
type blockAt struct {
	conv, norm, shortcut, end int
}

// normAt is the pattern of a normTanh, by layer; tile is -1 without one.
type normAt struct {
	norm, tile, end int
}

// layerPattern finds patterns in a network.
type layerPattern struct {
	nodes     []model.Node
	consumers [][]int
}

// next returns the only consumer of a layer if it is of the given kind, else -1; -1 for layer -1.
func (l *layerPattern) next(at int, op model.Op) int {
	if at < 0 || len(l.consumers[at]) != 1 || l.nodes[l.consumers[at][0]].Op != op {
		return -1
	}
	return l.consumers[at][0]
}

// planFusion finds the groups of a network.
func planFusion(nodes []model.Node, consumers [][]int) fusion {
	plan := fusion{map[int]blockAt{}, map[int]normAt{}, map[int]bool{}, map[int]bool{}}
	l := &layerPattern{nodes, consumers}
	enclose := func(first, end int) {
		for i := first; i != end; i = consumers[i][0] {
			plan.inside[i] = true
		}
	}
	for i := range nodes {
		if b, ok := l.block(i); ok {
			plan.blocks[b.end] = b
			enclose(b.conv, b.end)
		}
		if pad := l.next(i, model.PadChannels); nodes[i].Op == model.AvgPool && pad >= 0 {
			plan.shortcuts[pad] = true
			enclose(i, pad)
		}
	}
	for i := range nodes {
		if n, ok := l.norm(i); ok && !plan.inside[i] {
			plan.norms[n.end] = n
			enclose(n.norm, n.end)
		}
	}
	return plan
}

// block returns the block that begins with layer i.
func (l *layerPattern) block(i int) (b blockAt, ok bool) {
	n := &l.nodes[i]
	if !n.Binary() || n.WeightQuant != model.ReCUWeight || n.Kernel*n.Kernel*n.In[0].C/n.GroupCount() > math.MaxInt16 {
		return b, false // the result is not of int16
	}
	b = blockAt{conv: i, shortcut: -1}
	before := i
	if tile := l.next(i, model.Tile); tile >= 0 {
		before = tile
	}
	b.norm = l.next(before, model.BatchNorm)
	b.end = l.next(b.norm, model.Hardtanh)
	if sum := l.next(b.norm, model.Add); sum >= 0 {
		b.end = l.next(sum, model.Hardtanh)
		b.shortcut = l.nodes[sum].From[0]
		if b.shortcut == b.norm {
			b.shortcut = l.nodes[sum].From[1]
		}
		if b.shortcut < 0 { // the image: it may have no gradient
			return b, false
		}
	}
	return b, b.norm >= 0 && b.end >= 0
}

// norm returns the normTanh that begins with layer i. Its batch norm has no tile in front of it, and its input is not the
// image.
func (l *layerPattern) norm(i int) (n normAt, ok bool) {
	if l.nodes[i].Op != model.BatchNorm || l.nodes[i].From[0] < 0 || l.next(l.nodes[i].From[0], model.BatchNorm) == i && l.nodes[l.nodes[i].From[0]].Op == model.Tile {
		return n, false
	}
	n = normAt{norm: i, tile: -1, end: l.next(i, model.Hardtanh)}
	if tile := l.next(n.end, model.Tile); tile >= 0 && l.next(tile, model.BatchNorm) < 0 {
		n.tile, n.end = tile, tile
	}
	return n, n.end >= 0
}
