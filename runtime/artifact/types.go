package artifact

import "github.com/bnntool/bnntool/internal/preprocess"

// Model is a network as the device runs it: operations in evaluation order over feature maps [H,W,C], one image at
// a time, with the tensors they use. The last operation's value is the logits.
type Model struct {
	// Name is the network's, for people.
	Name string
	// Input is the extent of the image, H rows, W columns, C channels; float32, normalised as Preprocess says.
	Input [3]int
	// Classes names the logits, in order.
	Classes []string
	// Preprocess says how a picture becomes the image. Its H, W, C equal Input.
	Preprocess preprocess.Config
	// Source tells where the network came from (recipe, epoch, top1), for people. It does not matter to the result.
	Source map[string]string
	// Ops are the operations. Each takes values of earlier ones.
	Ops []Op
	// Tensors holds the tensors by the names that Ops use; none is unused.
	Tensors map[string]Tensor
}

// ImageInput is the name by which an operation takes the image.
const ImageInput = "image"

// Op is one step. Its result is a value, named as the Op. Fields that its Kind does not use are zero.
type Op struct {
	// Name is unique in the model and not ImageInput.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Inputs names the values the operation takes: operations before this one, or ImageInput. Never empty.
	Inputs []string `json:"inputs,omitempty"`

	Out        int  `json:"out,omitempty"`        // Conv, BinConv: filters; Linear: features; PadChannels, TakeChannels: channels of the result
	Kernel     int  `json:"kernel,omitempty"`     // Conv, BinConv, MaxPool, AvgPool: rows = columns of the window
	Stride     int  `json:"stride,omitempty"`     // Conv, BinConv, MaxPool, AvgPool
	Pad        int  `json:"pad,omitempty"`        // Conv, BinConv: zeros on every side
	Groups     int  `json:"groups,omitempty"`     // Conv, BinConv; 0 means 1
	Factor     int  `json:"factor,omitempty"`     // Affine, Threshold, Tile; 0 means 1
	Interleave bool `json:"interleave,omitempty"` // Affine, Threshold, Tile: y channel j reads x channel j/Factor instead of j mod n

	// Names of tensors, empty where the operation has none.
	Weights   string `json:"weights,omitempty"`   // Conv, BinConv, Linear
	Scale     string `json:"scale,omitempty"`     // Conv, Affine
	Bias      string `json:"bias,omitempty"`      // Affine, Linear
	Threshold string `json:"threshold,omitempty"` // Threshold
	Flip      string `json:"flip,omitempty"`      // Threshold
	Slope     string `json:"slope,omitempty"`     // PReLU
}

// GroupCount returns the convolution's groups, 1 where Groups is 0.
func (o *Op) GroupCount() int { return max(o.Groups, 1) }

// FactorCount returns how many output channels read one input channel, 1 where Factor is 0.
func (o *Op) FactorCount() int { return max(o.Factor, 1) }

// Kind names what an Op computes.
type Kind string

// The kinds. x is the input, y the result, c an input channel, n their number, j an output channel, K = Out, g = Groups.
// All float arithmetic is float32 with every product rounded before it is added. Sums run in ascending order: a
// convolution over rows, columns and channels of its window, a linear layer over its inputs (the bias last), a pool
// over rows and columns (then times float32(1)/float32(count)). A tap outside the map contributes 0.
//
// Where a kind has Factor f and Interleave, output channel j of n·f reads input channel j mod n, or j/f with Interleave.
const (
	// Conv is a convolution of a float map. Weights [K,C/g,R,R] F32; with Scale [K], y_j = Scale_j·sum_j.
	Conv Kind = "conv"
	// BinConv is a convolution of ±1 with ±1: the signs of a float map or a counts map (x < 0 is -1, everything else
	// +1), or a bit map. Weights [K,C/g,R,R] 1 bit. y is a counts map of exact sums.
	BinConv Kind = "binconv"
	// MaxPool is the maximum over windows, without padding. x is a float map or a counts map, y is what x is.
	MaxPool Kind = "maxpool"
	// Affine is y_j = float32(Scale_j·x) + Bias_j of a float map or a counts map; y is a float map. Factor, Interleave.
	// Scale and Bias [n·f] F32; a missing one does nothing.
	Affine Kind = "affine"
	// Threshold is y_j = bit (x < Threshold_j) xor Flip_j of a counts map; y is a bit map. Factor, Interleave.
	// Threshold [n·f] I32, Flip [n·f] 1 bit; a missing Flip flips nothing. So a channel without Flip is -1 below
	// its threshold and +1 from it on, one with Flip is -1 from its threshold on. NeverBelow makes a channel that is
	// always +1 (with Flip: always -1).
	Threshold Kind = "threshold"
	// Hardtanh is y = min(1, max(-1, x)) of a float map.
	Hardtanh Kind = "hardtanh"
	// PReLU is y = x where x > 0, else Slope_c·x, of a float map. Slope [C] F32.
	PReLU Kind = "prelu"
	// Add is the sum of two float maps of one shape.
	Add Kind = "add"
	// Concat joins two or more float maps of one height and width along the channels, in order.
	Concat Kind = "concat"
	// Tile repeats the channels of a float map Factor times, in the order that Interleave says.
	Tile Kind = "tile"
	// PadChannels puts (Out-C)/2 zero channels on either side of a float map.
	PadChannels Kind = "padchannels"
	// TakeChannels keeps the first Out channels of a float map.
	TakeChannels Kind = "takechannels"
	// AvgPool is the mean over windows of a float map, without padding.
	AvgPool Kind = "avgpool"
	// GlobalAvgPool is the mean over H and W of a float map; y is flat.
	GlobalAvgPool Kind = "globalavgpool"
	// Flatten makes a float map flat in PyTorch's order: y[(c·H+h)·W+w] = x[h,w,c].
	Flatten Kind = "flatten"
	// Linear is y = x·Wᵀ + Bias of a flat float map. Weights [Out,In] F32, Bias [Out] F32 or missing.
	Linear Kind = "linear"
)

// NeverBelow is the threshold that no count is below. Every count c has NeverBelow < c < -NeverBelow, so
// that math.MaxInt32 is one that every count is below.
const NeverBelow = -1 << 31
