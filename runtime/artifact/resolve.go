package artifact

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Resolve returns the values of m: the image first, then the result of each Op in order, so that Ops[i] makes
// value i+1. The error names the operation or the tensor and says what is wrong with it.
func (m *Model) Resolve() ([]Value, error) {
	values, err := m.resolve()
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	return values, nil
}

func (m *Model) resolve() ([]Value, error) { return m.resolveWith(nil) }

func (m *Model) resolveWith(list *[]wanted) ([]Value, error) {
	if len(m.Ops) == 0 || len(m.Ops) > MaxOps {
		return nil, fmt.Errorf("the model has %d operations, want 1..%d", len(m.Ops), MaxOps)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tensors)) {
		t := m.Tensors[name]
		if err := t.checkForm(); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
	}
	r := resolver{model: m, wanted: list, index: map[string]int{ImageInput: 0}, used: make(map[string]bool, len(m.Tensors))}
	image := Value{Name: ImageInput, H: m.Input[0], W: m.Input[1], C: m.Input[2]}
	if err := r.add(image); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	for i := range m.Ops {
		if err := r.resolve(&m.Ops[i]); err != nil {
			return nil, fmt.Errorf("op %d %q (%s): %w", i, m.Ops[i].Name, m.Ops[i].Kind, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tensors)) {
		if !r.used[name] {
			return nil, fmt.Errorf("tensor %q is used by no operation", name)
		}
	}
	if last := &r.values[len(r.values)-1]; last.Kind != FloatValue || !last.flat() {
		return nil, fmt.Errorf("the last operation %q gives %v %s, want flat float logits", last.Name, last.Kind, last.shape())
	}
	return r.values, nil
}

// wanted is a tensor as its operation wants it.
type wanted struct {
	name   string
	layout Layout
	dtype  string
	shape  []int
}

// wants returns the tensors that the operations want, in the order of the operations and, within one, of
// tensorNames. Everything about the graph is checked but the tensors.
func (m *Model) wants() ([]wanted, error) {
	list := []wanted{}
	if _, err := m.resolveWith(&list); err != nil {
		return nil, err
	}
	return list, nil
}

// resolver holds what is known of the operations before the current one.
type resolver struct {
	model *Model
	// wanted, if not nil, takes the tensors instead of comparing them with the model's.
	wanted   *[]wanted
	values   []Value
	index    map[string]int // of a value by its name
	used     map[string]bool
	elements int64
	work     float64
}

// add appends a value.
func (r *resolver) add(v Value) error {
	if err := v.check(); err != nil {
		return err
	}
	if r.elements += int64(v.H) * int64(v.W) * int64(v.C); r.elements > MaxTotalElements {
		return fmt.Errorf("the values up to here have %d elements, at most %d are allowed", r.elements, MaxTotalElements)
	}
	r.index[v.Name] = len(r.values)
	r.values = append(r.values, v)
	return nil
}

// resolve checks an operation and adds its value.
func (r *resolver) resolve(o *Op) error {
	if o.Name == "" || !utf8.ValidString(o.Name) {
		return errors.New("the name is empty or not UTF-8")
	}
	if _, taken := r.index[o.Name]; taken {
		return errors.New("the name is used twice")
	}
	if err := o.checkFields(); err != nil {
		return err
	}
	in, from, err := r.inputs(o)
	if err != nil {
		return err
	}
	v, err := r.result(o, in)
	if err != nil {
		return err
	}
	v.Name, v.From = o.Name, from
	return r.add(v)
}

// inputs looks up the operation's inputs and checks their number and kinds.
func (r *resolver) inputs(o *Op) (in []*Value, from []int, err error) {
	switch n := len(o.Inputs); {
	case o.Kind == Concat && n < 2:
		return nil, nil, fmt.Errorf("%d inputs, want at least 2", n)
	case o.Kind == Add && n != 2:
		return nil, nil, fmt.Errorf("%d inputs, want 2", n)
	case o.Kind != Concat && o.Kind != Add && n != 1:
		return nil, nil, fmt.Errorf("%d inputs, want 1", n)
	}
	for _, name := range o.Inputs {
		j, ok := r.index[name]
		if !ok {
			return nil, nil, fmt.Errorf("input %q is not made by an operation before this one", name)
		}
		if x := &r.values[j]; !o.takes(x.Kind) {
			return nil, nil, fmt.Errorf("input %q is %v, which the operation does not take", name, x.Kind)
		}
		in, from = append(in, &r.values[j]), append(from, j)
	}
	return in, from, nil
}

// takes reports whether the operation has inputs of a kind.
func (o *Op) takes(k ValueKind) bool {
	switch o.Kind {
	case BinConv:
		return true
	case MaxPool, Affine:
		return k != BitsValue
	case Threshold:
		return k == CountsValue
	}
	return k == FloatValue
}

// result returns the operation's value without name and origin.
func (r *resolver) result(o *Op, in []*Value) (Value, error) {
	x := in[0]
	y := Value{H: x.H, W: x.W, C: x.C}
	switch o.Kind {
	case Conv, BinConv:
		return r.conv(o, x)
	case MaxPool:
		y.Kind = x.Kind
		return y, r.window(o, &y, 1)
	case AvgPool:
		return y, r.window(o, &y, 1)
	case Affine:
		y.C = widened(o, x)
		if err := r.tensor(o.Scale, "scale", Flat, "F32", y.C); err != nil {
			return y, err
		}
		return y, r.tensor(o.Bias, "bias", Flat, "F32", y.C)
	case Threshold:
		y.Kind, y.C = BitsValue, widened(o, x)
		if err := r.required(o.Threshold, "threshold", Flat, "I32", y.C); err != nil {
			return y, err
		}
		return y, r.tensor(o.Flip, "flip", BitVector, "U8", y.C)
	case PReLU:
		return y, r.required(o.Slope, "slope", Flat, "F32", y.C)
	case Hardtanh:
	case Tile:
		y.C = widened(o, x)
	case Add:
		if b := in[1]; b.shape() != x.shape() {
			return y, fmt.Errorf("inputs are %s and %s, want equal shapes", x.shape(), b.shape())
		}
	case Concat:
		y.C = 0
		for _, b := range in {
			if b.H != x.H || b.W != x.W {
				return y, fmt.Errorf("inputs are %s and %s, want equal heights and widths", x.shape(), b.shape())
			}
			if y.C += b.C; y.C > maxExtent {
				break // add refuses it
			}
		}
	case PadChannels:
		y.C = o.Out
		if o.Out < x.C || (o.Out-x.C)%2 != 0 {
			return y, fmt.Errorf("out is %d for %d channels: want as many new channels on either side", o.Out, x.C)
		}
	case TakeChannels:
		y.C = o.Out
		if o.Out < 1 || o.Out > x.C {
			return y, fmt.Errorf("out is %d, want 1..%d", o.Out, x.C)
		}
	case GlobalAvgPool:
		y.H, y.W = 1, 1
	case Flatten:
		y.H, y.W, y.C = 1, 1, x.Len()
	case Linear:
		return r.linear(o, x)
	}
	return y, nil
}

func (r *resolver) conv(o *Op, x *Value) (Value, error) {
	y := Value{H: x.H, W: x.W, C: o.Out}
	g := o.GroupCount()
	if o.Out < 1 || o.Out > maxExtent || o.Out%g != 0 || x.C%g != 0 {
		return y, fmt.Errorf("out is %d with %d groups over %d channels: want out in 1..%d, both multiples of the groups",
			o.Out, g, x.C, maxExtent)
	}
	layout, dtype := Flat, "F32"
	if o.Kind == BinConv {
		y.Kind, layout, dtype = CountsValue, BitFilters, "U8"
	}
	if err := r.window(o, &y, x.C/g); err != nil {
		return y, err
	}
	if taps := int64(x.C/g) * int64(o.Kernel) * int64(o.Kernel); o.Kind == BinConv && taps > MaxCount {
		return y, fmt.Errorf("a count sums %d products, want at most %d", taps, MaxCount)
	}
	if err := r.required(o.Weights, "weights", layout, dtype, o.Out, x.C/g, o.Kernel, o.Kernel); err != nil {
		return y, err
	}
	return y, r.tensor(o.Scale, "scale", Flat, "F32", o.Out)
}

func (r *resolver) linear(o *Op, x *Value) (Value, error) {
	y := Value{H: 1, W: 1, C: o.Out}
	if !x.flat() {
		return y, fmt.Errorf("input %s is not flat", x.shape())
	}
	if err := r.required(o.Weights, "weights", Flat, "F32", o.Out, x.C); err != nil {
		return y, err
	}
	if err := r.tensor(o.Bias, "bias", Flat, "F32", o.Out); err != nil {
		return y, err
	}
	return y, r.spend(float64(o.Out) * float64(x.C))
}

// widened returns the channels of the result of an operation with Factor, or one more than are allowed.
func widened(o *Op, x *Value) int { return int(min(int64(x.C)*int64(o.FactorCount()), maxExtent+1)) }

// window replaces the extent of y, which is that of the input, by that of the windows' positions. Each element of y costs
// depth multiply-adds for each tap.
func (r *resolver) window(o *Op, y *Value, depth int) error {
	if o.Kernel < 1 || o.Kernel > maxWindow || o.Stride < 1 || o.Stride > maxWindow || o.Pad < 0 || o.Pad >= o.Kernel {
		return fmt.Errorf("kernel %d, stride %d, pad %d: want kernel and stride in 1..%d and 0 <= pad < kernel",
			o.Kernel, o.Stride, o.Pad, maxWindow)
	}
	h, w := y.H+2*o.Pad-o.Kernel, y.W+2*o.Pad-o.Kernel
	if h < 0 || w < 0 {
		return fmt.Errorf("a %dx%d window does not fit into %dx%d with padding %d", o.Kernel, o.Kernel, y.H, y.W, o.Pad)
	}
	y.H, y.W = h/o.Stride+1, w/o.Stride+1
	return r.spend(float64(y.H) * float64(y.W) * float64(y.C) * float64(depth) * float64(o.Kernel*o.Kernel))
}

// spend counts work.
func (r *resolver) spend(work float64) error {
	if r.work += work; r.work > MaxWork {
		return fmt.Errorf("the operations up to here do %.3g multiply-adds, at most %d are allowed", r.work, int64(MaxWork))
	}
	return nil
}

// required checks a tensor that the operation must have.
func (r *resolver) required(name, role string, layout Layout, dtype string, shape ...int) error {
	if name == "" {
		return fmt.Errorf("%s is missing", role)
	}
	return r.tensor(name, role, layout, dtype, shape...)
}

// tensor checks a tensor that the operation may have, or writes it down where the tensors are not read yet.
func (r *resolver) tensor(name, role string, layout Layout, dtype string, shape ...int) error {
	if name == "" {
		return nil
	}
	if r.wanted != nil {
		*r.wanted = append(*r.wanted, wanted{name, layout, dtype, shape})
		return nil
	}
	t, ok := r.model.Tensors[name]
	if !ok {
		return fmt.Errorf("%s: there is no tensor %q", role, name)
	}
	if t.Layout != layout || t.dtype() != dtype || !slices.Equal(t.Shape, shape) {
		return fmt.Errorf("%s: tensor %q is %s %v with layout %q, want %s %v with layout %q",
			role, name, t.dtype(), t.Shape, t.Layout, dtype, shape, layout)
	}
	r.used[name] = true
	return nil
}
