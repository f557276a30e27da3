package artifact

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bnntool/bnntool/internal/half"
	"github.com/bnntool/bnntool/runtime/codec"
)

// Coding says how a file holds a tensor's elements. Whatever the coding, a Model in memory has Float32, Int32 or Words.
type Coding string

// The codings.
const (
	AsFloat32  Coding = "f32"      // of Float32: as it is
	AsFloat16  Coding = "f16"      // of Float32: IEEE 754 halves
	AsBFloat16 Coding = "bf16"     // of Float32: bfloat16
	AsInt8     Coding = "i8"       // of Float32: integers -128..127 times a step, one step for each row (see Steps)
	AsInt32    Coding = "i32"      // of Int32: as it is
	AsBits     Coding = "bits"     // of Words: the rows' bits without gaps
	AsPatterns Coding = "patterns" // of Words, 3x3 filters over at least minPatternChannels channels: package codec, all together
)

// Coding returns how a file holds the tensor. A tensor just made is held as it is.
func (t *Tensor) Coding() Coding {
	switch {
	case t.coding != "":
		return t.coding
	case t.Words != nil:
		return AsBits
	case t.Int32 != nil:
		return AsInt32
	}
	return AsFloat32
}

// Steps returns the steps of an AsInt8 tensor, nil for others: one for each index of the first axis of a tensor of two
// or more axes, one in all for a vector. They are bfloat16 values, so that an element, an integer times its step, is
// exact in float32.
func (t *Tensor) Steps() []float32 { return t.steps }

// Recode returns the tensor in another coding. Floats are rounded to the nearest that the coding can hold, so that what
// is computed with the result is what a device computes that reads it from a file; the other codings change nothing but the
// file. t is not changed. The error says why the coding cannot hold the tensor.
func (t *Tensor) Recode(c Coding) (Tensor, error) { return t.recode(c, 0) }

// RecodeInt8 is Recode(AsInt8) with steps that are a number of bfloat16 units larger than they need be: another rounding of the
// same elements, whose errors are larger by at most 1/128 for each unit.
func (t *Tensor) RecodeInt8(units int) (Tensor, error) { return t.recode(AsInt8, units) }

func (t *Tensor) recode(c Coding, units int) (Tensor, error) {
	out := Tensor{Shape: t.Shape, Layout: t.Layout, Float32: t.Float32, Int32: t.Int32, Words: t.Words, coding: c}
	if err := c.fits(t); err != nil {
		return Tensor{}, err
	}
	switch c {
	case AsFloat16, AsBFloat16:
		out.Float32 = slices.Clone(t.Float32)
		for i, x := range out.Float32 {
			if out.Float32[i] = c.round(x); math.IsInf(float64(out.Float32[i]), 0) {
				return Tensor{}, fmt.Errorf("element %d is %v, too large for %s", i, x, c)
			}
		}
	case AsInt8:
		out.Float32, out.steps = slices.Clone(t.Float32), make([]float32, t.rows())
		row := len(t.Float32) / len(out.steps)
		for r := range out.steps {
			v := out.Float32[r*row : (r+1)*row]
			if out.steps[r] = int8Step(v, units); math.IsInf(float64(127*out.steps[r]), 0) {
				return Tensor{}, fmt.Errorf("row %d has elements too large for %s", r, c)
			}
			for i, x := range v {
				v[i] = float32(toInt8(x, out.steps[r])) * out.steps[r]
			}
		}
	case AsPatterns:
		out.coded = len(codec.AppendPatterns(nil, t.patterns())) // more than beside others: see CodePatterns
	}
	return out, nil
}

// fits returns an error if the coding does not go with the tensor's data.
func (c Coding) fits(t *Tensor) error {
	switch c {
	case AsFloat32, AsFloat16, AsBFloat16, AsInt8:
		if t.Float32 == nil {
			return fmt.Errorf("coding %q is for float32", c)
		}
	case AsInt32:
		if t.Int32 == nil {
			return fmt.Errorf("coding %q is for int32", c)
		}
	case AsBits:
		if t.Words == nil {
			return fmt.Errorf("coding %q is for bits", c)
		}
	case AsPatterns:
		if t.Words == nil {
			return fmt.Errorf("coding %q is for bits", c)
		}
		return checkPatternShape(t.Layout, t.Shape)
	default:
		return fmt.Errorf("unknown coding %q", c)
	}
	return nil
}

// round returns the value of the coding that is nearest to x.
func (c Coding) round(x float32) float32 {
	if c == AsFloat16 {
		return half.FromFloat16(half.ToFloat16(x))
	}
	return half.FromBFloat16(half.ToBFloat16(x))
}

// rows returns how many steps the tensor has as AsInt8.
func (t *Tensor) rows() int { return stepCount(t.Shape) }

func stepCount(shape []int) int {
	if len(shape) < 2 {
		return 1
	}
	return shape[0]
}

// int8Step returns the smallest bfloat16 that reaches the largest magnitude in v with 127 steps, or one some units larger.
func int8Step(v []float32, units int) float32 {
	largest := float32(0)
	for _, x := range v {
		largest = max(largest, float32(math.Abs(float64(x))))
	}
	step := half.ToBFloat16(largest / 127)
	if 127*half.FromBFloat16(step) < largest {
		step++ // the next larger one
	}
	return half.FromBFloat16(step + uint16(units))
}

// toInt8 returns the integer in -128..127 whose product with step is nearest to x, 0 for step 0.
func toInt8(x, step float32) int8 {
	if step == 0 {
		return 0
	}
	return int8(max(-128, min(127, math.RoundToEven(float64(x)/float64(step)))))
}

// errInexact is the error of a tensor that was changed after it was recoded.
var errInexact = errors.New("its coding cannot hold it exactly: recode it after changing it")

// holds reports whether the coding of t holds element i of Float32 exactly.
func (t *Tensor) holds(i int) bool {
	x := t.Float32[i]
	switch t.Coding() {
	case AsFloat16, AsBFloat16:
		return t.coding.round(x) == x
	case AsInt8:
		step := t.steps[i/(len(t.Float32)/len(t.steps))]
		return float32(toInt8(x, step))*step == x
	}
	return true
}
