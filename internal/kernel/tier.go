package kernel

import "fmt"

// The tiers, from plain Go up. A tier is an instruction set that some functions of this package have assembly for; what
// a tier does not speed up runs in plain Go. Results are the same bits on every tier.
const (
	Generic = "generic"
	AVX2    = "avx2"
	AVX512  = "avx512"
	NEON    = "neon" // the only one of arm64
)

// tier is the assembly of one instruction set.
type tier struct {
	name          string
	lanes         int // float32 lanes of a vector, 0 without assembly
	tiles         tiles
	signs         []signKernels // by lanes, the most first
	signLayout    signLayout
	flat          flatKernels
	device        deviceKernels
	affine        []affineKernels // by channels of a vector, the most first
	wide          []wideKernels   // by elements of a vector, the most first
	blocks        []blockKernels  // for sources of 16, 8 and 4 channels
	normForward   func(y *float32, mask *uint16, signs *uint64, sum, squares *float64, x, s *float32, scale, bias *float64, pixels, steps, copies, signSkip int)
	countMoments  func(dst *int16, sum, squares, counts *int32, pixels, step int)
	maskGrad      func(dx, dy *float32, mask *uint16, steps int)
	combineMasked func(dst, d, x, dy *float32, mask *uint16, steps int, p, q, r float64)
	multiplyAdds  func(rounds int)
	gatherRows    func(dst, src *float32, pixels, rows, run, srcRow, srcPixel, dstPixel int)
	packSigns     func(dst *uint64, src *float32, words, vectors int)
	unpackSigns   func(dst *float32, src *uint64, words, vectors int)
	// signRows plan 1-bit convolutions, the best first; nil for what one does not do.
	signRows []func(g Geometry) *signRows
	bf16     *bf16Kernels // nil where the tier has none
}

// deviceKernels are what only inference uses.
type deviceKernels struct {
	convLayer []flatTile    // by channels and then by pixels, the largest first; the last of one pixel
	dense     []denseKernel // the largest first
	mean      []meanKernel  // the largest first
	avgPool   avgPoolKernel
	avgPool2  poolKernel[float32]
	maxPool2  poolKernel[int32]
	// activation, by channels of a vector, the most first.
	activation []activationKernel
}

// vectorsPerWord returns the vectors of signs in one packed word of rows of c elements, 0 if rows are not whole vectors or
// their words not equally full.
func (t *tier) vectorsPerWord(c int) int {
	switch {
	case t.packSigns == nil || c%t.lanes != 0:
		return 0
	case c%WordBits == 0:
		return WordBits / t.lanes
	case c < WordBits:
		return c / t.lanes
	}
	return 0
}

// flatKernels are passes over float32 vectors; the functions of the same names say what they compute. Counts are of whole
// vectors, at least 1.
type flatKernels struct {
	add, hardtanhGrad func(dst, a, b *float32, vectors int)
	hardtanh          func(dst, src *float32, vectors int)
	scaleChannels     func(dst, src, scale *float32, pixels, step int)
	scaleCounts       func(dst *float32, counts *int32, scale *float32, pixels, step int)
	addAvgPoolGrad    func(dx, dy *float32, pixels, rows, taps, xRow, xTap, xPixel, dyPixel int, scale float32)
}

// affineKernels are Affine over lanes of channels.
type affineKernels struct {
	lanes  int
	floats func(dst, src, scale, bias *float32, pixels, dstStep, srcStep int)
	counts func(dst *float32, src *int32, scale, bias *float32, pixels, dstStep, srcStep int)
}

// affineFor returns the active tier's kernels whose vectors divide n channels, nil if there are none.
func affineFor(n int) *affineKernels {
	for i := range active.affine {
		if n%active.affine[i].lanes == 0 {
			return &active.affine[i]
		}
	}
	return nil
}

// wideKernels are passes that compute in float64, with half elements in a vector: of channels for the passes of batch
// norm, else in steps of 16.
type wideKernels struct {
	half          int
	moments       func(sum, squares *float64, x *float32, pixels, step int)
	batchNorm     func(y, x *float32, scale, bias *float64, pixels, yStep, xStep int)
	batchNormSums func(sum, products *float64, dy, x *float32, pixels, dyStep, xStep int)
	batchNormGrad func(dx, dy, x *float32, scale, a, b *float64, pixels, copies, dyStep, xStep int)
	sumSquares    func(sum, squares *float64, x *float32, steps int)
	signGrad      func(sum *float64, d, x *float32, steps int, inv float64)
	combine       func(d, x *float32, steps int, p, q, r float64)
}

// blockKernels are the passes of Block; a step is maskBits channels.
type blockKernels struct {
	forward func(y *float32, mask *uint16, signs *uint64, sum, squares *float64, counts *int16, s *float32, scale, bias *float64, pixels, steps, copies, signSkip int)
	reduce  func(sum, products *float64, dy *float32, mask *uint16, counts *int16, pixels, dyStep, countStep int)
	spread  func(dx, dy *float32, mask *uint16, counts *int16, scale, a, b *float64, pixels, steps, dxPixel, copyStep int)
}

// wideFor returns the active tier's kernels whose vectors divide n channels, nil if there are none.
func wideFor(n int) *wideKernels {
	for i := range active.wide {
		if n%active.wide[i].half == 0 {
			return &active.wide[i]
		}
	}
	return nil
}

// tiles are the routines for convolutions and their gradients.
type tiles struct {
	conv []convTile // by vectors and then by pixels, the largest first
	grad []gradTile // by vectors and then by filters, the largest first
}

// convTile computes blocks of pixels by some vectors of channels:
//
//	dst[p*dstPixel+c] = sum over r < rows, s < taps, d < depth of
//	                    src[p*srcPixel+r*srcRow+s*depth+d] * w[((r*taps+s)*depth+d)*wStep+c]
//
// one sum over d for each tap, and then over the taps, each from 0 and in ascending order.
type convTile struct {
	vectors, pixels int
	run             func(dst, src, w *float32, blocks, rows, taps, depth, srcRow, srcPixel, dstPixel, wStep int)
}

// gradTile is, for k < filters and i < vectors·lanes, with one sum in ascending order that is then added,
//
//	dw[k*dwStep+i] += sum over y < rows, z < pixels of dy[y*dyRow+z*dyPixel+k] * x[y*xRow+z*xPixel+i]
type gradTile struct {
	filters, vectors int
	run              func(dw, dy, x *float32, rows, pixels, dyRow, dyPixel, xRow, xPixel, dwStep int)
}

// available lists the tiers of this machine, the best last; the first is generic.
var available = detect()

// active is the tier in use. It does not change after the program's start.
var active, errActive = choose(forcedTier())

func choose(name string) (*tier, error) {
	if name == "" {
		return available[len(available)-1], nil
	}
	names := make([]string, len(available))
	for i, t := range available {
		if names[i] = t.name; t.name == name {
			return t, nil
		}
	}
	return available[0], fmt.Errorf("kernel: BNNTOOL_KERNELS is %q, this machine has %q", name, names)
}

// Tier returns the name of the tier in use. The error, if the environment variable BNNTOOL_KERNELS asks for one that this
// machine lacks, names those that it has; the generic one is then in use.
func Tier() (string, error) { return active.name, errActive }

// Tiers returns the names of the tiers that this machine has, the best last.
func Tiers() []string {
	var names []string
	for _, t := range available {
		names = append(names, t.name)
	}
	return names
}
