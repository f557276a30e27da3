package model

// Frozen is a network with its weights in evaluation form, ready to be computed layer by layer: latent
// weights replaced by what they multiply with, batch norm by one scale and one bias for each channel. Everything
// that evaluates a network (the oracle Forward, the evaluation graph of package train, package convert) starts from
// Freeze, so that they agree bit for bit on every value a sign is taken of.
//
// The arithmetic of a frozen network is float32 with every product rounded before it is added:
//
//	y = float32(Scale*x) + Bias
//
// Sums run in ascending order: a convolution over rows, columns and channels of its window, a linear layer over its
// inputs (the bias is added last), a pool over rows and columns (then times float32(1)/float32(n)). A 1-bit
// convolution's sum is an exact integer.
type Frozen struct {
	Net   *Net
	Nodes []FrozenNode // one for each layer, in the order of Net.Layers
}

// FrozenNode is one layer of a Frozen network.
type FrozenNode struct {
	Node
	// Filters are a Conv's weights [K,C/g,R,S] or a Linear's [Out,In]. Quantised weights are exactly -1 or +1.
	Filters []float32
	// Scale and Bias have one entry for each output channel, or are nil where they do nothing.
	//
	//   Conv       Scale: alpha times the quantiser's scale, unless the batch norm behind it has taken it over
	//   Linear     Bias
	//   BatchNorm  Scale = a·gamma/√(var+1e-5), Bias = delta - mean·gamma/√(var+1e-5), computed in float64 and
	//              rounded once; a is the scale taken over from the convolution before it
	//   Bias       Bias
	//
	// A convolution's scale is taken over by the batch norm that follows it with nothing but Tile and MaxPool in
	// between, each the only consumer of its input. Where the scale is negative the filter's signs are flipped
	// and its absolute value is taken over, so that MaxPool commutes with it.
	Scale, Bias []float32
	// Slope is a PReLU's, one entry for each channel.
	Slope []float32
}
