package runtime

import (
	"fmt"
	"strings"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// emit appends the steps of a chain.
func (p *planner) emit(c *chain) {
	var s step
	switch op := &p.model.Ops[c.ops[0]]; op.Kind {
	case artifact.Conv:
		s = p.convStep(c, op)
	case artifact.AvgPool:
		s = p.poolStep(c, op)
	case artifact.BinConv:
		s = p.binConvStep(c, op)
	default:
		s = p.activationStep(c)
	}
	s.ops = c.ops
	var names []string
	for _, i := range c.ops[1:] {
		names = append(names, p.model.Ops[i].Name)
	}
	s.Fused = names
	s.Why = why(names, "")
	kind := artifact.BitsValue
	if c.floats {
		kind = artifact.FloatValue
	}
	s.shape(&p.values[c.value], kind)
	p.add(&p.model.Ops[c.ops[0]], s)
}

// find returns the operation of the given kind in a chain, nil if there is none.
func (p *planner) find(c *chain, kind artifact.Kind) *artifact.Op {
	for _, i := range c.ops {
		if op := &p.model.Ops[i]; op.Kind == kind {
			return op
		}
	}
	return nil
}

// outputs gives a chain's values their buffers, nil for what nobody takes.
func (p *planner) outputs(c *chain, s *step) (floats, signs *buffer) {
	if c.floats {
		floats = p.output(c.value)
		s.writes = append(s.writes, floats)
		s.shows = append(s.shows, shown{value: c.value, buf: floats})
	}
	if c.signs {
		signs = p.packed(&p.values[c.signed[0]], 1)
		for _, v := range c.signed[1:] {
			p.values[v].signs = append(p.values[v].signs, packed{1, signs})
		}
		s.writes = append(s.writes, signs)
		s.shows = append(s.shows, shown{value: c.signed[0], buf: signs, groups: 1})
	}
	return floats, signs
}

// results names what a step writes.
func results(floats, signs *buffer) string {
	switch {
	case signs == nil:
		return "float"
	case floats == nil:
		return "bits"
	}
	return "float+bits"
}

func (p *planner) convStep(c *chain, op *artifact.Op) step {
	x := &p.values[p.values[c.ops[0]+1].From[0]]
	g := geometry(op, x)
	scale, bias := p.scaleBias(&artifact.Op{Scale: op.Scale}, g.K)
	weights := p.model.Tensors[op.Weights].Float32
	s := step{reads: []*buffer{x.buf}}
	if affine := p.find(c, artifact.Affine); affine != nil {
		wide := g.K * affine.FactorCount()
		scale, bias = p.scaleBias(affine, wide)
		weights = spread(weights, sources(g.K, affine))
		g.K = wide
	}
	copies := 1
	if tile := p.find(c, artifact.Tile); tile != nil {
		if copies = tile.FactorCount(); tile.Interleave {
			from := sources(g.K, tile)
			weights, scale, bias = spread(weights, from), spread(scale, from), spread(bias, from)
			g.K, copies = len(from), 1
		}
	}
	layer := kernel.NewConvLayer(g, weights, scale, bias, copies, p.find(c, artifact.Hardtanh) != nil)
	p.scratch = max(p.scratch, layer.Scratch())
	in := x.buf
	floats, signs := p.outputs(c, &s)
	s.Kernel = fmt.Sprintf("conv%dx%d %s float->%s", g.Kernel, g.Kernel, layer.Kernel(), results(floats, signs))
	s.run = func(a *arena) { layer.Convolve(a.float(floats), a.word(signs), a.float(in), a.scratch) }
	return s
}

// spread returns the rows from[0], from[1], ... of v, which has as many as the largest of from, and one.
func spread(v []float32, from []int32) []float32 {
	n := 0
	for _, i := range from {
		n = max(n, int(i)+1)
	}
	row := len(v) / n
	out := make([]float32, 0, row*len(from))
	for _, i := range from {
		out = append(out, v[int(i)*row:][:row]...)
	}
	return out
}

func (p *planner) poolStep(c *chain, op *artifact.Op) step {
	x, y := &p.values[p.values[c.ops[0]+1].From[0]], &p.values[c.value]
	g := kernel.Pool{H: x.H, W: x.W, C: x.C, Kernel: op.Kernel, Stride: op.Stride}
	s := step{reads: []*buffer{x.buf}}
	in := x.buf
	out, _ := p.outputs(c, &s)
	wide, first := y.C, (y.C-x.C)/2
	s.Kernel = "avgpool float"
	s.run = func(a *arena) { kernel.AvgPoolPadded(a.float(out), a.float(in), g, wide, first) }
	return s
}

func (p *planner) activationStep(c *chain) step {
	var a kernel.Activation
	seen := false // the PReLU
	for _, i := range c.ops {
		op := &p.model.Ops[i]
		scale, bias := p.model.Tensors[op.Scale].Float32, p.model.Tensors[op.Bias].Float32
		switch {
		case op.Kind == artifact.PReLU:
			a.Slope, seen = p.model.Tensors[op.Slope].Float32, true
		case op.Kind == artifact.Concat:
		case !seen:
			a.S1, a.B1 = scale, bias
		case i+1 == c.signed[0] && i+1 != c.value:
			a.S3, a.B3 = scale, bias
		default:
			a.S2, a.B2 = scale, bias
		}
	}
	var s step
	var parts []int
	for _, v := range p.values[c.ops[0]+1].From {
		s.reads, parts = append(s.reads, p.values[v].buf), append(parts, p.values[v].C)
	}
	layer := kernel.NewActivationLayer(a, parts...)
	s.inplace = len(parts) == 1
	in := s.reads
	floats, signs := p.outputs(c, &s)
	s.Kernel = fmt.Sprintf("activation %s float->%s", layer.Kernel(), results(floats, signs))
	s.run = func(a *arena) { layer.Apply(a.float(floats), a.word(signs), a.floatsOf(in)...) }
	return s
}

func (p *planner) binConvStep(c *chain, op *artifact.Op) step {
	x := &p.values[p.values[c.ops[0]+1].From[0]]
	g := geometry(op, x)
	filters := kernel.NewSignFilters(g)
	filters.Load(p.model.Tensors[op.Weights].Words)
	in := p.signs(op, x, g.Groups)
	s := step{reads: []*buffer{in}}
	name := fmt.Sprintf("binconv%dx%d %s bits->", g.Kernel, g.Kernel, filters.Kernel())
	if threshold := p.find(c, artifact.Threshold); threshold != nil {
		limits, flip := p.model.Tensors[threshold.Threshold].Int32, p.model.Tensors[threshold.Flip].Words
		_, out := p.outputs(c, &s)
		s.Kernel = name + "bits"
		if pool := p.find(c, artifact.MaxPool); pool != nil {
			p.pooledBits(&s, g, filters, limits, flip, threshold.Interleave, in, out, pool)
			return s
		}
		layer := kernel.NewBitLayer(filters, limits, flip, threshold.Interleave)
		p.scratch = max(p.scratch, layer.Scratch())
		s.run = func(a *arena) { layer.Convolve(a.word(out), a.word(in), a.scratch) }
		return s
	}
	affine := p.find(c, artifact.Affine)
	wide := g.K * affine.FactorCount()
	scale, bias := p.scaleBias(affine, wide)
	layer := kernel.NewFloatLayer(filters, scale, bias, affine.Interleave, p.find(c, artifact.Hardtanh) != nil)
	p.scratch = max(p.scratch, layer.Scratch())
	var shortcut *buffer
	if c.shortcut >= 0 {
		shortcut = p.values[c.shortcut].buf
		s.reads, s.inplace = append(s.reads, shortcut), true
	}
	floats, signs := p.outputs(c, &s)
	s.Kernel = name + results(floats, signs)
	s.run = func(a *arena) {
		layer.Convolve(a.float(floats), a.word(signs), a.word(in), a.float(shortcut), a.scratch)
	}
	return s
}

// pooledBits makes s a convolution of g with a max pool and a threshold: the largest count is below a limit where
// all are, so that the pool works on bits.
func (p *planner) pooledBits(s *step, g kernel.Geometry, filters *kernel.SignFilters, limits []int32, flip []uint64, interleave bool, in, out *buffer, pool *artifact.Op) {
	layer := kernel.NewBitLayer(filters, limits, nil, interleave)
	wd := kernel.Words(len(limits))
	below := &buffer{slab: wordSlab, n: g.OutH() * g.OutW() * wd}
	s.writes = append(s.writes, below)
	p.scratch = max(p.scratch, layer.Scratch())
	size := kernel.Pool{H: g.OutH(), W: g.OutW(), C: wd, Kernel: pool.Kernel, Stride: pool.Stride}
	s.run = func(a *arena) {
		layer.Convolve(a.word(below), a.word(in), a.scratch)
		kernel.PoolBits(a.word(out), a.word(below), size, flip)
	}
}

// why says what is fused into a step, or why nothing is.
func why(fused []string, alone string) string {
	switch {
	case len(fused) > 0:
		return "fused with " + strings.Join(fused, ", ")
	case alone != "":
		return "not fused: " + alone
	}
	return ""
}
