package kernel

import "fmt"

// The tiers, from plain Go up. A tier is an instruction set that some functions of this package have assembly for; what
// a tier does not speed up runs as on the one below. Sums of products in assembly are fused and run in several
// accumulators, so gradients differ between tiers by rounding; functions whose doc says in which order they sum do not differ.
const (
	Generic = "generic"
	AVX2    = "avx2"
	AVX512  = "avx512"
)

// tier is the assembly of one instruction set.
type tier struct {
	name  string
	lanes int // float32 lanes of a vector, 0 without assembly
	block int // pixels of a convolution tile
	// convTile by vectors of channels (1, 2), for a block of pixels or a single one.
	convBlock, convPixel [2]convTile
	gradTiles            []gradTile // widest first
}

// convTile computes blocks of pixels by some vectors of channels:
//
//	dst[p*dstPixel+c] = sum over r < rows, d < depth of src[p*srcPixel+r*srcRow+d] * w[(r*depth+d)*wStep+c]
type convTile func(dst, src, w *float32, blocks, rows, depth, srcRow, srcPixel, dstPixel, wStep int)

// gradTile is, for k < filters and i < vectors·lanes,
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
