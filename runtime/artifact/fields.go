package artifact

import (
	"fmt"
	"slices"
)

// checkFields returns an error if the kind is not known, if a field is set that the kind does not use, or if
// a number with a default is out of its range.
func (o *Op) checkFields() error {
	var used []string
	switch o.Kind {
	case Conv:
		used = []string{"out", "kernel", "stride", "pad", "groups", "weights", "scale"}
	case BinConv:
		used = []string{"out", "kernel", "stride", "pad", "groups", "weights"}
	case MaxPool, AvgPool:
		used = []string{"kernel", "stride"}
	case Affine:
		used = []string{"factor", "interleave", "scale", "bias"}
	case Threshold:
		used = []string{"factor", "interleave", "threshold", "flip"}
	case Tile:
		used = []string{"factor", "interleave"}
	case PReLU:
		used = []string{"slope"}
	case PadChannels, TakeChannels:
		used = []string{"out"}
	case Linear:
		used = []string{"out", "weights", "bias"}
	case Hardtanh, Add, Concat, GlobalAvgPool, Flatten:
	default:
		return fmt.Errorf("unknown kind %q", o.Kind)
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"out", o.Out != 0}, {"kernel", o.Kernel != 0}, {"stride", o.Stride != 0}, {"pad", o.Pad != 0},
		{"groups", o.Groups != 0}, {"factor", o.Factor != 0}, {"interleave", o.Interleave},
		{"weights", o.Weights != ""}, {"scale", o.Scale != ""}, {"bias", o.Bias != ""},
		{"threshold", o.Threshold != ""}, {"flip", o.Flip != ""}, {"slope", o.Slope != ""},
	} {
		if field.set && !slices.Contains(used, field.name) {
			return fmt.Errorf("the kind has no %s", field.name)
		}
	}
	if o.Groups < 0 || o.Groups > maxExtent || o.Factor < 0 || o.Factor > maxExtent {
		return fmt.Errorf("groups %d, factor %d: want 0..%d", o.Groups, o.Factor, maxExtent)
	}
	return nil
}
