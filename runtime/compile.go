package runtime

import (
	"fmt"
	"math"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// compile appends the steps that compute value v with op alone. This switch is where a kernel is chosen.
func (p *planner) compile(op *artifact.Op, v int) error {
	val := &p.values[v]
	x := &p.values[val.From[0]]
	var s step
	switch op.Kind {
	case artifact.BinConv:
		s = p.binConv(op, v, x)
	case artifact.Conv:
		s = p.conv(op, v, x)
	case artifact.MaxPool, artifact.AvgPool:
		s = p.pool(op, v, x)
	case artifact.Affine:
		s = p.affine(op, v, x)
	case artifact.Threshold:
		p.thresholds(op, v, x)
		return nil
	case artifact.Linear:
		s = p.linear(op, v, x)
	case artifact.GlobalAvgPool:
		s = p.unary(v, x, "globalavgpool", false, kernel.GlobalAvgPool)
	case artifact.Flatten:
		hw := x.H * x.W
		s = p.unary(v, x, "flatten", false, func(dst, src []float32) { kernel.Flatten(dst, src, hw) })
	case artifact.Hardtanh:
		s = p.unary(v, x, "hardtanh", true, kernel.Hardtanh)
	case artifact.PReLU:
		slope := p.model.Tensors[op.Slope].Float32
		s = p.unary(v, x, "prelu", true, func(dst, src []float32) { kernel.PReLU(dst, src, slope) })
	case artifact.Tile:
		from := sources(x.C, op)
		s = p.unary(v, x, "gather", false, func(dst, src []float32) { gather(dst, src, from, len(src)/x.C) })
	case artifact.PadChannels:
		first := (val.C - x.C) / 2
		s = p.unary(v, x, "copy", false, func(dst, src []float32) { padChannels(dst, src, x.C, val.C, first) })
	case artifact.TakeChannels:
		s = p.unary(v, x, "copy", false, func(dst, src []float32) { copyChannels(dst, src, x.C, val.C, 0) })
	case artifact.Concat:
		s = p.concat(v)
	case artifact.Add:
		s = p.sum(v)
	default:
		return fmt.Errorf("no kernel for it in this version")
	}
	s.ops = []int{v - 1}
	s.shape(val, val.Kind)
	s.shows = []shown{{value: v, buf: s.writes[0]}}
	s.Why = why(nil, p.alone[v-1])
	p.add(op, s)
	return nil
}

// unary is a step of a function over the whole of one float map.
func (p *planner) unary(v int, x *value, name string, inplace bool, f func(dst, src []float32)) step {
	in, out := x.buf, p.output(v)
	return step{
		LayerInfo: LayerInfo{Kernel: name + " float"}, reads: []*buffer{in}, writes: []*buffer{out}, inplace: inplace,
		run: func(a *arena) { f(a.float(out), a.float(in)) },
	}
}

func (p *planner) sum(v int) step {
	from := p.values[v].From
	b, c, out := p.values[from[0]].buf, p.values[from[1]].buf, p.output(v)
	return step{
		LayerInfo: LayerInfo{Kernel: "add float"}, reads: []*buffer{b, c}, writes: []*buffer{out}, inplace: true,
		run: func(a *arena) { kernel.Add(a.float(out), a.float(b), a.float(c)) },
	}
}

func (p *planner) concat(v int) step {
	val, out := &p.values[v], p.output(v)
	var in []*buffer
	var channels []int
	for _, from := range val.From {
		in, channels = append(in, p.values[from].buf), append(channels, p.values[from].C)
	}
	return step{
		LayerInfo: LayerInfo{Kernel: "copy"}, reads: in, writes: []*buffer{out},
		run: func(a *arena) {
			first := 0
			for i, b := range in {
				copyChannels(a.float(out), a.float(b), channels[i], val.C, first)
				first += channels[i]
			}
		},
	}
}

func (p *planner) pool(op *artifact.Op, v int, x *value) step {
	g := kernel.Pool{H: x.H, W: x.W, C: x.C, Kernel: op.Kernel, Stride: op.Stride}
	in, out := x.buf, p.output(v)
	s := step{reads: []*buffer{in}, writes: []*buffer{out}}
	switch {
	case op.Kind == artifact.AvgPool:
		s.Kernel, s.run = "avgpool float", func(a *arena) { kernel.AvgPool(a.float(out), a.float(in), g) }
	case x.Kind == artifact.CountsValue:
		s.Kernel, s.run = "maxpool counts", func(a *arena) { kernel.MaxPool(a.count(out), a.count(in), g) }
	default:
		s.Kernel, s.run = "maxpool float", func(a *arena) { kernel.MaxPool(a.float(out), a.float(in), g) }
	}
	return s
}

func (p *planner) affine(op *artifact.Op, v int, x *value) step {
	n, factor := p.values[v].C, op.FactorCount()
	scale, bias := p.scaleBias(op, n)
	in, out := x.buf, p.output(v)
	s := step{reads: []*buffer{in}, writes: []*buffer{out}, inplace: factor == 1}
	if x.Kind == artifact.CountsValue {
		s.Kernel = "affine counts"
		s.run = func(a *arena) { kernel.AffineCounts(a.float(out), a.count(in), scale, bias, factor, op.Interleave) }
		return s
	}
	s.Kernel = "affine float"
	s.run = func(a *arena) { kernel.Affine(a.float(out), a.float(in), scale, bias, factor, op.Interleave) }
	return s
}

// scaleBias returns the n scales and biases of op. A missing scale is 1 and a missing bias is -0, which change no
// bit of what they act on.
func (p *planner) scaleBias(op *artifact.Op, n int) (scale, bias []float32) {
	scale, bias = p.model.Tensors[op.Scale].Float32, p.model.Tensors[op.Bias].Float32
	if op.Scale == "" {
		scale = repeat(1, n)
	}
	if op.Bias == "" {
		bias = repeat(float32(math.Copysign(0, -1)), n)
	}
	return scale, bias
}

func repeat(v float32, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func (p *planner) linear(op *artifact.Op, v int, x *value) step {
	weights := p.model.Tensors[op.Weights].Float32
	_, bias := p.scaleBias(op, op.Out)
	in, out := x.buf, p.output(v)
	s := step{reads: []*buffer{in}, writes: []*buffer{out}}
	if p.compose {
		s.Kernel = "linear float"
		s.run = func(a *arena) { kernel.Linear(a.float(out), a.float(in), weights, bias) }
		return s
	}
	layer := kernel.NewDenseLayer(weights, bias)
	p.scratch = max(p.scratch, layer.Scratch())
	s.Kernel = "linear " + layer.Kernel()
	s.run = func(a *arena) { layer.Apply(a.float(out), a.float(in), a.scratch) }
	return s
}

// geometry returns the convolution of op over x.
func geometry(op *artifact.Op, x *value) kernel.Geometry {
	return kernel.Geometry{H: x.H, W: x.W, C: x.C, K: op.Out,
		Kernel: op.Kernel, Stride: op.Stride, Pad: op.Pad, Groups: op.GroupCount()}
}

// macs returns the multiplications of operation i, those with padding included.
func (p *planner) macs(i int) int64 {
	op, y := &p.model.Ops[i], &p.values[i+1]
	switch op.Kind {
	case artifact.Conv, artifact.BinConv:
		g := geometry(op, &p.values[y.From[0]])
		return int64(g.OutH()) * int64(g.OutW()) * int64(g.FilterLen())
	case artifact.Affine:
		return int64(y.Len())
	case artifact.Linear:
		return int64(len(p.model.Tensors[op.Weights].Float32))
	}
	return 0
}

func (p *planner) conv(op *artifact.Op, v int, x *value) step {
	g := geometry(op, x)
	weights := make([]float32, g.FilterLen())
	kernel.FiltersToHWI(weights, p.model.Tensors[op.Weights].Float32, g)
	in, out := x.buf, p.output(v)
	s := step{reads: []*buffer{in}, writes: []*buffer{out}}
	s.Kernel = fmt.Sprintf("conv%dx%d generic float->float", g.Kernel, g.Kernel)
	s.run = func(a *arena) { kernel.Conv(a.float(out), a.float(in), weights, nil, g) }
	if op.Scale != "" {
		scale, bias := p.scaleBias(&artifact.Op{Scale: op.Scale}, g.K)
		s.run = func(a *arena) {
			y := a.float(out)
			kernel.Conv(y, a.float(in), weights, nil, g)
			kernel.Affine(y, y, scale, bias, 1, false)
		}
	}
	return s
}

func (p *planner) binConv(op *artifact.Op, v int, x *value) step {
	g := geometry(op, x)
	filters := kernel.NewSignFilters(g)
	filters.Load(p.model.Tensors[op.Weights].Words)
	in, out := p.signs(op, x, g.Groups), p.output(v)
	s := step{reads: []*buffer{in}, writes: []*buffer{out}}
	s.Kernel = fmt.Sprintf("binconv%dx%d %s bits->counts", g.Kernel, g.Kernel, filters.Kernel())
	p.scratch = max(p.scratch, filters.Scratch())
	s.run = func(a *arena) { filters.Convolve(a.count(out), a.word(in), a.scratch) }
	return s
}

// signs returns the buffer of the packed signs of x for the given number of groups. It adds the step of op that
// packs them unless an earlier one has.
func (p *planner) signs(op *artifact.Op, x *value, groups int) *buffer {
	for _, s := range x.signs {
		if s.groups == groups {
			return s.buf
		}
	}
	rows, c := x.H*x.W*groups, x.C/groups
	in, out := x.buf, p.packed(x, groups)
	s := step{reads: []*buffer{in}, writes: []*buffer{out}}
	s.shape(x, artifact.BitsValue)
	if x.Kind == artifact.CountsValue {
		s.Kernel, s.run = "sign counts", func(a *arena) { packCounts(a.word(out), a.count(in), rows, c) }
	} else {
		s.Kernel, s.run = "sign float", func(a *arena) { kernel.PackSigns(a.word(out), a.float(in), rows, c) }
	}
	p.add(op, s)
	return out
}

// packed gives x a buffer for its signs in the given number of groups.
func (p *planner) packed(x *value, groups int) *buffer {
	b := &buffer{slab: wordSlab, n: x.H * x.W * groups * kernel.Words(x.C/groups)}
	x.signs = append(x.signs, packed{groups, b})
	return b
}

// thresholds adds a step of op for each number of groups in which a convolution takes its bits.
func (p *planner) thresholds(op *artifact.Op, v int, x *value) {
	val := &p.values[v]
	from := sources(x.C, op)
	limits, flips := p.model.Tensors[op.Threshold].Int32, p.model.Tensors[op.Flip].Words
	for i := range p.model.Ops {
		user := &p.model.Ops[i]
		groups := user.GroupCount()
		if !p.used[i] || p.values[i+1].From[0] != v || val.has(groups) {
			continue
		}
		in, out, flip := x.buf, p.packed(val, groups), regroup(flips, val.C, groups)
		s := step{LayerInfo: LayerInfo{Kernel: "threshold counts"}, reads: []*buffer{in}, writes: []*buffer{out}}
		s.run = func(a *arena) { thresholdCounts(a.word(out), a.count(in), limits, flip, from, x.C, groups) }
		s.shape(val, artifact.BitsValue)
		if len(val.signs) == 1 { // not the same value in another form
			s.ops, s.shows = []int{v - 1}, []shown{{v, out, groups}}
		}
		p.add(op, s)
	}
}

// has reports whether v is packed for the given number of groups.
func (v *value) has(groups int) bool {
	for _, s := range v.signs {
		if s.groups == groups {
			return true
		}
	}
	return false
}
