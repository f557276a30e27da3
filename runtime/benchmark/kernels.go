package benchmark

import (
	"context"
	"math/rand/v2"

	"github.com/bnntool/bnntool/internal/kernel"
)

// Kernel is the time of a 1-bit convolution of 3x3 filters, stride 1, one row and column of padding: bits in, compared
// with thresholds, bits out.
type Kernel struct {
	H, W, Cin, Cout int
	Name            string // of what computes it: the tier and its way
	Samples
}

// GMACs returns 10⁹ multiplications a second at the minimum, those with padding included.
func (k Kernel) GMACs() float64 {
	return 9 * float64(k.H) * float64(k.W) * float64(k.Cin) * float64(k.Cout) / (k.Min().Seconds() * 1e9)
}

// kernelShapes are the 3x3 layers of ResNet-20 for pictures of 32x32 and of ResNet-18 for pictures of 224x224.
var kernelShapes = [][3]int{{32, 16, 16}, {16, 32, 32}, {8, 64, 64}, {56, 64, 64}, {28, 128, 128}, {14, 256, 256}, {7, 512, 512}}

// Kernels measures the 1-bit convolutions of the usual networks on one thread, each MinSamples times.
func Kernels(ctx context.Context) ([]Kernel, error) {
	var list []Kernel
	for _, s := range kernelShapes {
		k, err := measure(ctx, kernel.Geometry{H: s[0], W: s[0], C: s[1], K: s[2], Kernel: 3, Stride: 1, Pad: 1, Groups: 1})
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

// measure samples one geometry with random operands.
func measure(ctx context.Context, g kernel.Geometry) (Kernel, error) {
	rng := rand.New(rand.NewPCG(1, uint64(g.C)))
	weights := make([]float32, g.FilterLen())
	for i := range weights {
		weights[i] = float32(rng.IntN(2)) - 0.5
	}
	filters := kernel.NewSignFilters(g)
	filters.Pack(weights)
	x, limits := make([]uint64, g.InWords()), make([]int32, g.K)
	for i := range x {
		if x[i] = rng.Uint64(); g.C < kernel.WordBits {
			x[i] &= 1<<g.C - 1
		}
	}
	for i := range limits {
		limits[i] = int32(rng.IntN(21) - 10)
	}
	layer := kernel.NewBitLayer(filters, limits, nil, false)
	dst, scratch := make([]uint64, g.OutH()*g.OutW()*kernel.Words(g.K)), make([]uint64, layer.Scratch())
	times, err := repeat(ctx, MinSamples, func() { layer.Convolve(dst, x, scratch) })
	tier, _ := kernel.Tier()
	return Kernel{H: g.H, W: g.W, Cin: g.C, Cout: g.K, Name: tier + " " + layer.Kernel(), Samples: times}, err
}
