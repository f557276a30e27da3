package reptran

import (
	"slices"

	"github.com/bnntool/bnntool/train/model"
)

// rewrite returns the layers of the replicated network.
func (p *plan) rewrite() []model.Layer {
	w := writer{plan: p, names: p.takenNames(), tiles: map[int]string{}}
	if p.tileImage > 0 {
		w.addTile(-1, model.ImageInput, p.tileImage)
	}
	for i := range p.nodes {
		w.addLayer(i)
		if p.tile[i] > 0 {
			w.addTile(i, p.nodes[i].Name, p.tile[i])
		}
	}
	return w.layers
}

// writer collects the layers of the replicated network.
type writer struct {
	*plan
	layers []model.Layer
	names  map[string]bool
	tiles  map[int]string // the tile behind a node, -1 the image
}

func (p *plan) takenNames() map[string]bool {
	names := make(map[string]bool, len(p.nodes))
	for i := range p.nodes {
		names[p.nodes[i].Name] = true
	}
	return names
}

// fresh returns name, with a prime for each layer that has it already.
func (w *writer) fresh(name string) string {
	for w.names[name] {
		name += "'"
	}
	w.names[name] = true
	return name
}

// add appends l with the given inputs, left out where they are just the layer before.
func (w *writer) add(l model.Layer, inputs []string) {
	before := model.ImageInput
	if len(w.layers) > 0 {
		before = w.layers[len(w.layers)-1].Name
	}
	if l.Inputs = inputs; len(inputs) == 1 && inputs[0] == before {
		l.Inputs = nil
	}
	w.layers = append(w.layers, l)
}

func (w *writer) addTile(node int, source string, factor int) {
	name := w.fresh(source + ".tile")
	w.tiles[node] = name
	w.add(model.Layer{Name: name, Op: model.Tile, Factor: factor, Interleave: w.config.Interleave}, []string{source})
}

// addLayer appends node i with its own numbers changed.
func (w *writer) addLayer(i int) {
	node, beta := &w.nodes[i], w.config.Beta
	l := node.Layer
	inputs := make([]string, len(node.From))
	for j, from := range node.From {
		inputs[j] = w.source(i, from)
	}
	switch {
	case w.repConv(i):
		l.Out /= beta
	case w.width[i] == wide && (l.Op == model.PadChannels || l.Op == model.TakeChannels):
		l.Out *= beta
	case l.Op == model.Linear && w.widthAt(node.From[0]) != logits && w.config.FC == FCFirst:
		take := model.Layer{Name: w.fresh(l.Name + ".first"), Op: model.TakeChannels, Out: node.In[0].C}
		w.add(take, inputs)
		inputs = []string{take.Name}
	}
	w.add(l, slices.Clone(inputs))
}

// source returns the name under which node i reads the output of node from, -1 the image.
func (w *writer) source(i, from int) string {
	name := model.ImageInput
	if from >= 0 {
		name = w.nodes[from].Name
	}
	tile, tiled := w.tiles[from]
	// Behind a stem both forms are there: wide layers read the tile. A pool between a convolution and its tile has
	// no tile before it.
	if tiled && (w.widthAt(from) == wide || w.readsWide(i)) {
		return tile
	}
	return name
}
