package reptran

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/train/model"
)

// width says how many channels a tensor has in the replicated network, compared with the base network.
type width int

const (
	narrow width = iota // as many: the image and the stem
	wide                // β times as many
	logits              // as many: from the classifier on
)

// plan is what happens to each layer of the base network.
type plan struct {
	config    Config
	nodes     []model.Node
	consumers [][]int // of each node
	image     []int   // consumers of the image
	width     []width // of each node's output as its consumers see it, before a tile after the stem
	// tile is the factor by which a tile repeats the node's output, 0 for no tile. Narrow outputs are tiled where
	// wide layers need them.
	tile      []int
	tileImage int
}

func newPlan(nodes []model.Node, c Config) *plan {
	p := &plan{config: c, nodes: nodes, width: make([]width, len(nodes)), tile: make([]int, len(nodes))}
	p.consumers, p.image = model.Consumers(nodes)
	for i := range nodes {
		p.width[i] = p.widthOf(i)
	}
	for i := range nodes {
		if p.repConv(i) {
			p.tile[p.poolsBehind(i)] = c.Beta * c.Beta
		}
	}
	for i := range nodes {
		if p.width[i] == narrow && slices.ContainsFunc(p.consumers[i], p.readsWide) {
			p.tile[i] = c.Beta
		}
	}
	if slices.ContainsFunc(p.image, p.readsWide) {
		p.tileImage = c.Beta
	}
	return p
}

// widthOf returns the width of node i's output, after those of the nodes before it are known.
func (p *plan) widthOf(i int) width {
	node := &p.nodes[i]
	if node.Op == model.Linear {
		return logits
	}
	if !slices.ContainsFunc(node.From, func(from int) bool { return p.widthAt(from) != logits }) {
		return logits
	}
	if p.inStem(i) {
		return narrow
	}
	return wide
}

// widthAt returns the width of node i's output, -1 for the image.
func (p *plan) widthAt(i int) width {
	if i < 0 {
		return narrow
	}
	return p.width[i]
}

// inStem reports whether node i belongs to the stem, which keeps its width: a real convolution that reads the
// image, and the chain of layers behind it that work on each channel alone, up to the first fork, the first quantised
// convolution or its shift. With TileThenBatchNorm the stem ends behind the convolution and its pools.
func (p *plan) inStem(i int) bool {
	node := &p.nodes[i]
	from := node.From[0]
	if node.Op == model.Conv {
		return from < 0 && node.InputQuant == model.RealInput
	}
	if p.widthAt(from) != narrow || from < 0 || len(p.consumers[from]) != 1 {
		return false
	}
	switch node.Op {
	case model.MaxPool, model.AvgPool:
		return true
	case model.BatchNorm, model.Hardtanh, model.PReLU:
		return p.config.StemOrder != TileThenBatchNorm
	case model.Bias:
		return p.config.StemOrder != TileThenBatchNorm && !p.signShift(i)
	}
	return false
}

// signShift reports whether node i only shifts the inputs of quantised convolutions: the learned threshold of RSign,
// which each copy has to itself.
func (p *plan) signShift(i int) bool {
	for _, j := range p.consumers[i] {
		if p.nodes[j].InputQuant == model.RealInput {
			return false
		}
	}
	return len(p.consumers[i]) > 0
}

// repConv reports whether node i is a convolution that is replicated.
func (p *plan) repConv(i int) bool {
	return p.nodes[i].Op == model.Conv && p.width[i] == wide
}

// readsWide reports whether node i needs wide inputs.
func (p *plan) readsWide(i int) bool {
	return p.width[i] == wide || p.nodes[i].Op == model.Linear
}

// poolsBehind returns the last of the pools that directly follow node i and lead to a batch norm, i itself if there is none:
// pools work on each channel alone, so they run before the tile.
func (p *plan) poolsBehind(i int) int {
	last := i
	for len(p.consumers[last]) == 1 {
		next := p.consumers[last][0]
		switch p.nodes[next].Op {
		case model.MaxPool, model.AvgPool:
			last = next
			continue
		case model.BatchNorm:
			return last
		}
		break
	}
	return i
}

// check returns an error if the plan cannot be carried out.
func (p *plan) check() error {
	beta, common, found := p.config.Beta, 0, false
	for i := range p.nodes {
		if p.repConv(i) {
			common, found = gcd(common, p.nodes[i].Out/p.nodes[i].GroupCount()), true
		}
	}
	if !found {
		return fmt.Errorf("no convolution behind the stem, so there is nothing to replicate with beta %d", beta)
	}
	for i := range p.nodes {
		node := &p.nodes[i]
		for _, from := range node.From {
			if p.widthAt(from) == logits && p.width[i] != logits {
				return fmt.Errorf("layer %q joins features with what comes from the classifier %q", node.Name, p.nodes[from].Name)
			}
		}
		if !p.repConv(i) {
			continue
		}
		groups := node.GroupCount()
		switch {
		case groups > 1 && groups == node.In[0].C && groups == node.Out:
			return fmt.Errorf("layer %q is a depthwise convolution (%d groups of one channel): %d/%d filters cannot be split into %d groups, "+
				"so it has no replicated form of the same cost; use beta 1", node.Name, groups, node.Out, beta, groups)
		case node.Out%beta != 0:
			return fmt.Errorf("beta %d does not divide the %d filters of %s; use %s", beta, node.Out, node.Name, divisors(common))
		case node.Out/beta%groups != 0:
			return fmt.Errorf("beta %d leaves %d of the %d filters of %s, which its %d groups do not divide; use %s",
				beta, node.Out/beta, node.Out, node.Name, groups, divisors(common))
		}
	}
	last := len(p.nodes) - 1
	if shape := p.nodes[last].Shape; p.width[last] == wide && shape.H == 1 && shape.W == 1 {
		return fmt.Errorf("layer %q gives the logits without a linear classifier, so there would be %d in place of %d",
			p.nodes[last].Name, beta*shape.C, shape.C)
	}
	return nil
}

// divisors lists the divisors of n in words: "1, 2 or 4".
func divisors(n int) string {
	var list []string
	for d := 1; d <= n; d++ {
		if n%d == 0 {
			list = append(list, fmt.Sprint(d))
		}
	}
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
