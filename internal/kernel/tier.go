package kernel

import "fmt"

// The tiers, from plain Go up. A tier is an instruction set that some functions of this package have assembly for; what
// a tier does not speed up runs in plain Go. Results are the same bits on every tier.
const (
	Generic = "generic"
	AVX2    = "avx2"
	AVX512  = "avx512"
)

// tier is the assembly of one instruction set.
type tier struct {
	name  string
	lanes int // float32 lanes of a vector, 0 without assembly
	// The tiles, with products rounded before they are added, and fused for products that are exact.
	rounded, exact tiles
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
