package model

import (
	"fmt"
	"slices"
)

// Shape is the extent of one image or feature map: H rows, W columns, C channels. A flat vector of n
// features is {1, 1, n}.
type Shape struct {
	H int `json:"h"`
	W int `json:"w"`
	C int `json:"c"`
}

// Len returns the number of elements, H·W·C.
func (s Shape) Len() int { return s.H * s.W * s.C }

// String returns the shape as HxWxC.
func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.H, s.W, s.C) }

// Op names what a layer computes.
type Op string

// The operations a layer can have. x is the layer's input, y its output, both [B,H,W,C].
const (
	// Conv is a 2-D convolution without bias term: K = Out filters of Kernel x Kernel taps, Stride, zero
	// padding Pad on every side (a tap outside the image contributes 0), Groups. With WeightQuant and
	// InputQuant it is a 1-bit convolution; with Alpha each filter's result is multiplied by a learned scale.
	Conv Op = "conv"
	// Linear is y = x·Wᵀ + b over a flat input, with Out features and always with bias.
	Linear Op = "linear"
	// BatchNorm normalises each channel (or each feature of a flat input), eps 1e-5, momentum 0.1.
	BatchNorm Op = "batchnorm"
	// Hardtanh is y = min(1, max(-1, x)).
	Hardtanh Op = "hardtanh"
	// Bias adds a learned shift to each channel: the shift of RSign and the two shifts of RPReLU.
	Bias Op = "bias"
	// PReLU is y = x where x > 0, else slope_c·x with a learned slope for each channel.
	PReLU Op = "prelu"
	// Add is the sum of two inputs of one shape.
	Add Op = "add"
	// Concat joins two or more inputs of one height and width along the channels, in order.
	Concat Op = "concat"
	// Tile repeats the channels Factor times: y[r·C+c] = x[c], or with Interleave y[c·Factor+r] = x[c].
	Tile Op = "tile"
	// PadChannels puts (Out-C)/2 zero channels on either side.
	PadChannels Op = "padchannels"
	// TakeChannels keeps the first Out channels.
	TakeChannels Op = "takechannels"
	// AvgPool is the mean over Kernel x Kernel windows at Stride, without padding.
	AvgPool Op = "avgpool"
	// MaxPool is the maximum over Kernel x Kernel windows at Stride, without padding.
	MaxPool Op = "maxpool"
	// GlobalAvgPool is the mean over H and W; the result is flat.
	GlobalAvgPool Op = "globalavgpool"
	// Flatten makes a feature map flat in PyTorch's order: y[(c·H+h)·W+w] = x[h,w,c].
	Flatten Op = "flatten"
)

// WeightQuant names how a convolution's latent weights become the weights it multiplies with.
type WeightQuant string

// The weight quantisers. w is [K,C,R,S]; statistics are per filter k unless said otherwise.
const (
	// RealWeight leaves the weights as they are.
	RealWeight WeightQuant = ""
	// ReCUWeight is ReCU's: standardise to 2√2·(w-mean)/√(var+1e-5), clamp to ±Q(τ), take the sign
	// (arXiv 2103.12369, section 3; the clamp acts on the gradient only).
	ReCUWeight WeightQuant = "recu"
	// ScaledSignWeight is mean|w|·sign(w), with the identity gradient where |w| ≤ 1: Bi-Real Net's and
	// ReActNet's.
	ScaledSignWeight WeightQuant = "scaledsign"
)

// InputQuant names how a convolution's input becomes ±1.
type InputQuant string

// The input quantisers. Both have the derivative max(0, 2-|2x|) of Bi-Real Net's approximation of sign.
const (
	// RealInput leaves the input as it is.
	RealInput InputQuant = ""
	// ReCUInput is sign(x/√(var+1e-5)) with the variance over one image; the division matters to the
	// gradient only, and is left out in evaluation.
	ReCUInput InputQuant = "recu"
	// ApproxSignInput is sign(x).
	ApproxSignInput InputQuant = "approxsign"
)

// Init names how a layer's weights start.
type Init string

// The initialisers. fan-in is C·R·S of the layer's own weights, fan-out K·R·S.
const (
	// DefaultInit is normal(0, √(2/fan-in)) for a convolution, uniform(±1/√in) for a linear layer's weights and biases.
	DefaultInit Init = ""
	// FanOutInit is normal(0, √(2/fan-out)).
	FanOutInit Init = "fanout"
	// SmallNormalInit is normal(0, 0.01) for the weights and 0 for the biases.
	SmallNormalInit Init = "smallnormal"
	// SmallUniformInit is uniform [0, 0.001): ReActNet's latent weights.
	SmallUniformInit Init = "smalluniform"
)

// ImageInput is the name by which a layer takes the network's input image.
const ImageInput = "image"

// Layer is one step of a network. Fields that its Op does not use are zero.
type Layer struct {
	// Name is unique in the network and prefixes the names of the layer's tensors ("layer1.0.conv1" has
	// "layer1.0.conv1.weight"), as in the reference implementations' state dictionaries.
	Name string `json:"name"`
	Op   Op     `json:"op"`
	// Inputs names the layers whose outputs this layer takes, or ImageInput. Empty: the layer before this
	// one in the list, or the image for the first.
	Inputs []string `json:"inputs,omitempty"`

	Out         int         `json:"out,omitempty"`    // Conv: filters; Linear: features; PadChannels, TakeChannels: channels of the result
	Kernel      int         `json:"kernel,omitempty"` // Conv, AvgPool, MaxPool
	Stride      int         `json:"stride,omitempty"` // Conv, AvgPool, MaxPool
	Pad         int         `json:"pad,omitempty"`    // Conv
	Groups      int         `json:"groups,omitempty"` // Conv; 0 means 1
	WeightQuant WeightQuant `json:"weight_quant,omitempty"`
	InputQuant  InputQuant  `json:"input_quant,omitempty"`
	Alpha       bool        `json:"alpha,omitempty"`      // Conv: a learned scale for each filter
	Init        Init        `json:"init,omitempty"`       // Conv, Linear
	Factor      int         `json:"factor,omitempty"`     // Tile
	Interleave  bool        `json:"interleave,omitempty"` // Tile
}

// Binary reports whether the layer is a 1-bit convolution: both operands are ±1.
func (l *Layer) Binary() bool {
	return l.Op == Conv && l.WeightQuant != RealWeight && l.InputQuant != RealInput
}

// Net is a network as data: layers in evaluation order. The last layer's output are the logits. The zero
// value is not a network; build one with New or read one with Decode. Nodes checks one that was put together
// by hand.
type Net struct {
	Name string `json:"name"`
	// Beta is RepTran's β: how many times wider the feature maps are than the base network's. 1 for a base network.
	Beta   int     `json:"beta"`
	Input  Shape   `json:"input"`
	Layers []Layer `json:"layers"`
}

// Clone returns a copy of n that shares nothing with it.
func (n *Net) Clone() *Net {
	c := *n
	c.Layers = slices.Clone(n.Layers)
	for i := range c.Layers {
		c.Layers[i].Inputs = slices.Clone(c.Layers[i].Inputs)
	}
	return &c
}
