package artifact

import "fmt"

// ValueKind is what the elements of a value are.
type ValueKind uint8

// The kinds of values, all [H,W,C] with the channels innermost.
const (
	FloatValue  ValueKind = iota // float32
	CountsValue                  // int32: exact sums of ±1
	BitsValue                    // 1 bit, set = -1
)

// String returns "float", "counts" or "bits".
func (k ValueKind) String() string {
	switch k {
	case FloatValue:
		return "float"
	case CountsValue:
		return "counts"
	case BitsValue:
		return "bits"
	}
	return "unknown"
}

// Value is the resolved result of an Op, or the image.
type Value struct {
	Name    string // the Op's, or ImageInput
	Kind    ValueKind
	H, W, C int
	// From holds for each of the Op's inputs its index in the list that Resolve returns.
	From []int
}

// Len returns the number of elements, H·W·C.
func (v *Value) Len() int { return v.H * v.W * v.C }

// The limits of what a model may ask for. A file within them may still be more than a small device has.
const (
	// MaxOps bounds the operations.
	MaxOps = 1 << 14
	// MaxElements bounds the elements of one value.
	MaxElements = 1 << 26
	// MaxTotalElements bounds the elements of all values together.
	MaxTotalElements = 1 << 28
	// MaxWork bounds the multiply-adds, or elements read by a pool, that one image costs.
	MaxWork = 1 << 36
	// MaxCount bounds the magnitude of a count, so that it is exact as a float32.
	MaxCount = 1 << 24

	maxExtent = 1 << 20 // of H, W, C and Out
	maxWindow = 1 << 10 // of Kernel and Stride
)

func (v *Value) flat() bool { return v.H == 1 && v.W == 1 }

// shape returns the extents as HxWxC.
func (v *Value) shape() string { return fmt.Sprintf("%dx%dx%d", v.H, v.W, v.C) }

// check bounds the extents and the elements.
func (v *Value) check() error {
	for _, d := range []int{v.H, v.W, v.C} {
		if d < 1 || d > maxExtent {
			return fmt.Errorf("the result is %s, want extents in 1..%d", v.shape(), maxExtent)
		}
	}
	if int64(v.H)*int64(v.W)*int64(v.C) > MaxElements {
		return fmt.Errorf("the result %s has more than %d elements", v.shape(), MaxElements)
	}
	return nil
}
