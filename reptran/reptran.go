// Package reptran turns a binary network into its replicated form with β times wider feature maps (RepBNN, arXiv
// 2207.09049), at the same number of 1-bit weights and 1-bit operations.
//
// A convolution of C channels to K filters becomes one of β·C channels to K/β filters, whose result is
// repeated β² times along the channels:
//
//	conv C → K          becomes          conv β·C → K/β, tile β²
//
// What comes after has β·K channels of its own: batch norms, shifts, slopes. The copies differ only by these, so
// they must stand behind the tile. The stem, which reads the image, keeps its filters and is repeated β times; the classifier
// reads β times more features.
//
// Apply is a function from a description to a description: weights are drawn or learned for the result. It is general over
// the layers of package model, not bound to the networks there.
//
// Caveats:
//
//   - β must divide the filters of every convolution behind the stem, and its groups must divide what is left of
//     them. A depthwise convolution has no form that costs the same.
//   - Parameters other than the 1-bit weights grow: batch norms, shifts and slopes β times, the classifier's
//     weights β times unless FC is FCFirst.
//   - Memory for feature maps and the work of elementwise layers grow β times.
package reptran

import (
	"fmt"

	"github.com/bnntool/bnntool/train/model"
)

// StemOrder says where in the stem the channels are repeated.
type StemOrder string

// FC says what the classifier reads.
type FC string

// The values of StemOrder and FC. "" is the default of each, the first one.
const (
	// BatchNormThenTile repeats the stem's result: convolution, batch norm and activation have the base network's width.
	BatchNormThenTile StemOrder = "bn_then_tile"
	// TileThenBatchNorm repeats the stem's convolution, so that each copy has a batch norm of its own.
	TileThenBatchNorm StemOrder = "tile_then_bn"

	// FCWide lets the classifier read all β·C features.
	FCWide FC = "wide"
	// FCFirst lets the classifier read the first C features.
	FCFirst FC = "first_c"
)

// Config chooses the transformation. The zero value, like Beta 1, leaves a network as it is.
type Config struct {
	// Beta is how many times wider the feature maps become; 0 means 1. It must divide the filters of every
	// convolution behind the stem.
	Beta int `yaml:"beta"`
	// StemOrder is bn_then_tile (default) or tile_then_bn.
	StemOrder StemOrder `yaml:"stem_order"`
	// FC is wide (default) or first_c.
	FC FC `yaml:"fc"`
	// Interleave puts the copies of a channel side by side (c0 c0 c1 c1 ...) in place of behind one another (c0 c1 ...
	// c0 c1 ...). The published order is the latter.
	Interleave bool `yaml:"interleave"`
}

// Validate returns an error that names the key and value which Apply would refuse for every network.
func (c Config) Validate() error {
	if c.Beta < 0 {
		return fmt.Errorf("reptran: beta is %d, want at least 1", c.Beta)
	}
	switch c.StemOrder {
	case "", BatchNormThenTile, TileThenBatchNorm:
	default:
		return fmt.Errorf("reptran: stem_order is %q, want %q or %q", c.StemOrder, BatchNormThenTile, TileThenBatchNorm)
	}
	switch c.FC {
	case "", FCWide, FCFirst:
	default:
		return fmt.Errorf("reptran: fc is %q, want %q or %q", c.FC, FCWide, FCFirst)
	}
	return nil
}

// Apply returns the replicated form of net, which it does not change; the result shares nothing with it. Beta 1 returns a
// copy. The result has the layers of net under their names, and tiles named after the layer they repeat:
// "layer1.0.conv1.tile".
//
// It returns an error if c is not valid, net is not a network or is replicated already, or c.Beta does not fit it: the error
// names the layer, its filters and the values of beta that do fit.
func Apply(net *model.Net, c Config) (*model.Net, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	nodes, err := net.Nodes()
	if err != nil {
		return nil, fmt.Errorf("reptran: %w", err)
	}
	if net.Beta != 1 {
		return nil, fmt.Errorf("reptran: network %q is replicated already, with beta %d; start from the base network", net.Name, net.Beta)
	}
	if c.Beta <= 1 {
		return net.Clone(), nil
	}
	p := newPlan(nodes, c)
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("reptran: network %q: %w", net.Name, err)
	}
	rep := &model.Net{Name: net.Name, Beta: c.Beta, Input: net.Input, Layers: p.rewrite()}
	if _, err := rep.Nodes(); err != nil {
		return nil, fmt.Errorf("reptran: beta %d: %w", c.Beta, err)
	}
	return rep, nil
}
