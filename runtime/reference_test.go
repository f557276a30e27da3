package runtime_test

import (
	"fmt"
	"slices"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// refValue is a value of the reference: [H,W,C], counts as their exact float32, bits as -1 and +1.
type refValue struct {
	h, w, c int
	v       []float32
}

func (x *refValue) at(h, w, c int) float32 { return x.v[(h*x.w+w)*x.c+c] }

func sign(x float32) float32 {
	if x < 0 {
		return -1
	}
	return 1
}

// reference computes a model by the formulas in the comments of package artifact, one element at a time. It returns all
// values by name.
func reference(m *artifact.Model, image []float32) map[string]*refValue {
	values := map[string]*refValue{artifact.ImageInput: {m.Input[0], m.Input[1], m.Input[2], image}}
	for i := range m.Ops {
		op := &m.Ops[i]
		var in []*refValue
		for _, name := range op.Inputs {
			in = append(in, values[name])
		}
		values[op.Name] = evaluate(m, op, in)
	}
	return values
}

func evaluate(m *artifact.Model, op *artifact.Op, in []*refValue) *refValue {
	x := in[0]
	f32 := func(name string) []float32 { return m.Tensors[name].Float32 }
	// build makes a value of the given extent from its elements.
	build := func(h, w, c int, element func(h, w, c int) float32) *refValue {
		y := &refValue{h: h, w: w, c: c}
		for i := range h {
			for j := range w {
				for k := range c {
					y.v = append(y.v, element(i, j, k))
				}
			}
		}
		return y
	}
	oh, ow := 0, 0
	if op.Stride > 0 {
		oh, ow = (x.h+2*op.Pad-op.Kernel)/op.Stride+1, (x.w+2*op.Pad-op.Kernel)/op.Stride+1
	}
	// window calls f with the taps of output pixel (h, w) that lie in the map.
	window := func(h, w int, f func(r, s, row, col int)) {
		for r := range op.Kernel {
			for s := range op.Kernel {
				row, col := h*op.Stride-op.Pad+r, w*op.Stride-op.Pad+s
				if row >= 0 && row < x.h && col >= 0 && col < x.w {
					f(r, s, row, col)
				}
			}
		}
	}
	factor := max(op.Factor, 1)
	source := func(j int) int {
		if op.Interleave {
			return j / factor
		}
		return j % x.c
	}
	groups := max(op.Groups, 1)
	switch op.Kind {
	case artifact.Conv, artifact.BinConv:
		perGroup, filters := x.c/groups, op.Out/groups
		return build(oh, ow, op.Out, func(h, w, k int) float32 {
			var acc float32
			window(h, w, func(r, s, row, col int) {
				for c := range perGroup {
					v := x.at(row, col, k/filters*perGroup+c)
					if op.Kind == artifact.BinConv {
						acc += binaryWeight(m.Tensors[op.Weights], k, c, r, s) * sign(v)
						continue
					}
					acc += float32(f32(op.Weights)[((k*perGroup+c)*op.Kernel+r)*op.Kernel+s] * v)
				}
			})
			if op.Scale != "" {
				acc = float32(f32(op.Scale)[k] * acc)
			}
			return acc
		})
	case artifact.MaxPool:
		return build(oh, ow, x.c, func(h, w, c int) float32 {
			var all []float32
			window(h, w, func(_, _, row, col int) { all = append(all, x.at(row, col, c)) })
			return slices.Max(all)
		})
	case artifact.AvgPool:
		return build(oh, ow, x.c, func(h, w, c int) float32 {
			var sum float32
			window(h, w, func(_, _, row, col int) { sum += x.at(row, col, c) })
			return sum * (1 / float32(op.Kernel*op.Kernel))
		})
	case artifact.GlobalAvgPool:
		return build(1, 1, x.c, func(_, _, c int) float32 {
			var sum float32
			for p := range x.h * x.w {
				sum += x.v[p*x.c+c]
			}
			return sum * (1 / float32(x.h*x.w))
		})
	case artifact.Affine:
		return build(x.h, x.w, x.c*factor, func(h, w, j int) float32 {
			v := x.at(h, w, source(j))
			if op.Scale != "" {
				v = float32(f32(op.Scale)[j] * v)
			}
			if op.Bias != "" {
				v += f32(op.Bias)[j]
			}
			return v
		})
	case artifact.Threshold:
		flip := m.Tensors[op.Flip].Words
		return build(x.h, x.w, x.c*factor, func(h, w, j int) float32 {
			negative := int32(x.at(h, w, source(j))) < m.Tensors[op.Threshold].Int32[j]
			if flip != nil && flip[j/64]>>(j%64)&1 == 1 {
				negative = !negative
			}
			if negative {
				return -1
			}
			return 1
		})
	case artifact.Hardtanh:
		return build(x.h, x.w, x.c, func(h, w, c int) float32 { return min(1, max(-1, x.at(h, w, c))) })
	case artifact.PReLU:
		return build(x.h, x.w, x.c, func(h, w, c int) float32 {
			if v := x.at(h, w, c); !(v > 0) {
				return float32(f32(op.Slope)[c] * v)
			}
			return x.at(h, w, c)
		})
	case artifact.Add:
		return build(x.h, x.w, x.c, func(h, w, c int) float32 { return x.at(h, w, c) + in[1].at(h, w, c) })
	case artifact.Concat:
		wide := 0
		for _, part := range in {
			wide += part.c
		}
		return build(x.h, x.w, wide, func(h, w, c int) float32 {
			for _, part := range in {
				if c < part.c {
					return part.at(h, w, c)
				}
				c -= part.c
			}
			panic("unreachable")
		})
	case artifact.Tile:
		return build(x.h, x.w, x.c*factor, func(h, w, j int) float32 { return x.at(h, w, source(j)) })
	case artifact.PadChannels:
		side := (op.Out - x.c) / 2
		return build(x.h, x.w, op.Out, func(h, w, c int) float32 {
			if c < side || c >= side+x.c {
				return 0
			}
			return x.at(h, w, c-side)
		})
	case artifact.TakeChannels:
		return build(x.h, x.w, op.Out, x.at)
	case artifact.Flatten:
		return build(1, 1, len(x.v), func(_, _, i int) float32 { return x.at(i/x.w%x.h, i%x.w, i/(x.w*x.h)) })
	case artifact.Linear:
		return build(1, 1, op.Out, func(_, _, o int) float32 {
			var acc float32
			for i, v := range x.v {
				acc += float32(f32(op.Weights)[o*len(x.v)+i] * v)
			}
			if op.Bias != "" {
				acc += f32(op.Bias)[o]
			}
			return acc
		})
	}
	panic(fmt.Sprintf("no reference for %q", op.Kind))
}

// binaryWeight returns the weight of a [K,C,R,S] tensor of bits.
func binaryWeight(t artifact.Tensor, k, c, r, s int) float32 {
	words := (t.Shape[1] + 63) / 64
	return float32(1 - 2*int(t.Words[((k*t.Shape[2]+r)*t.Shape[3]+s)*words+c/64]>>(c%64)&1))
}
