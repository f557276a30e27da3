package runtime

import (
	"fmt"
	"slices"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// chain is operations that one step computes: a convolution or a pool and what follows it element by element. All but the
// last values of a chain have one user each, the next operation of the chain, so that nothing misses them.
//
// Of the last values the step keeps floats and sign bits, whichever somebody takes:
//
//	conv → affine → hardtanh → tile                       the tile's floats, the signs of both
//	binconv → affine → add → hardtanh                     the hardtanh's floats; signs, which are those of the add too
//	binconv → threshold, binconv → maxpool → threshold    the bits
//	avgpool → padchannels                                 the floats
//	concat → affine → prelu → affine                      the floats; signs of these behind one more affine
//
// Every operation but the first may be missing.
type chain struct {
	ops []int // indices of the operations, the first and what follows it
	at  int   // the operation in whose place the step is computed: the last that takes a value from outside
	// shortcut is the value that an add takes besides the chain's, -1 without an add.
	shortcut int
	value    int   // the value whose floats the step keeps
	floats   bool  // somebody takes them
	signs    bool  // somebody takes sign bits, of one group, of a value in signed
	signed   []int // the values whose sign bits the step keeps: they are the same
}

// last returns the value of the chain's last operation.
func (c *chain) last() int { return c.ops[len(c.ops)-1] + 1 }

// fuse finds the chains of a model: p.chains[i] is the one that operation i is part of, nil where it is computed by itself.
// p.alone[i] says why a convolution is.
func (p *planner) fuse() {
	p.chains, p.alone = make([]*chain, len(p.model.Ops)), make([]string, len(p.model.Ops))
	p.users = make([][]int, len(p.values))
	for i, used := range p.used {
		if used {
			for _, v := range p.values[i+1].From {
				p.users[v] = append(p.users[v], i)
			}
		}
	}
	// From the last convolution on: of two whose results are added, the later one takes the add.
	for i, used := range slices.Backward(p.used) {
		if !used || p.compose {
			continue
		}
		var c *chain
		switch op := &p.model.Ops[i]; op.Kind {
		case artifact.Conv:
			c, p.alone[i] = p.convChain(i)
		case artifact.BinConv:
			c, p.alone[i] = p.binConvChain(i)
		case artifact.AvgPool:
			c = p.poolChain(i)
		case artifact.PReLU:
			c = p.activationChain(i)
		}
		if c == nil {
			continue
		}
		for _, op := range c.ops {
			p.chains[op] = c
		}
	}
}

// next returns the operation that alone takes value v, if it is of the given kind and in no chain; else -1.
func (p *planner) next(v int, kind artifact.Kind) int {
	if v == len(p.values)-1 || len(p.users[v]) != 1 {
		return -1
	}
	if i := p.users[v][0]; p.model.Ops[i].Kind == kind && p.chains[i] == nil {
		return i
	}
	return -1
}

// takesSigns reports whether operation i takes sign bits of its input in one group.
func (p *planner) takesSigns(i int) bool {
	op := &p.model.Ops[i]
	return op.Kind == artifact.BinConv && op.GroupCount() == 1
}

// keep sets what the chain keeps of its last value, with a hardtanh behind it if nothing else takes its floats.
func (p *planner) keep(c *chain) {
	v := c.last()
	c.signed = []int{v}
	var others []int // users of v's floats, or of signs in groups
	for _, i := range p.users[v] {
		if !p.takesSigns(i) {
			others = append(others, i)
		}
	}
	if v != len(p.values)-1 && len(others) == 1 && p.model.Ops[others[0]].Kind == artifact.Hardtanh && p.chains[others[0]] == nil {
		c.ops = append(c.ops, others[0])
		v = c.last()
		c.signed = append(c.signed, v)
	}
	p.keepOf(c)
}

// keepOf sets floats and signs of a chain whose operations and signed values are known.
func (p *planner) keepOf(c *chain) {
	c.value, c.signs = c.last(), false
	c.floats = c.value == len(p.values)-1
	for _, v := range c.signed {
		for _, i := range p.users[v] {
			switch {
			case p.takesSigns(i):
				c.signs = true
			case !slices.Contains(c.ops, i):
				c.floats = true
			}
		}
	}
}

// convChain is the chain of the float convolution i, or nil and why it is computed by itself.
func (p *planner) convChain(i int) (*chain, string) {
	op := &p.model.Ops[i]
	if op.GroupCount() != 1 {
		return nil, "float convolutions in groups have no kernel of their own"
	}
	c := &chain{ops: []int{i}, at: i, shortcut: -1}
	if op.Scale == "" {
		if a := p.next(c.last(), artifact.Affine); a >= 0 {
			c.ops = append(c.ops, a)
		}
	}
	p.keep(c)
	if t := p.next(c.last(), artifact.Tile); t >= 0 && !c.signs {
		c.ops = append(c.ops, t)
		c.signed = []int{c.last()}
		p.keepOf(c)
	}
	return c, ""
}

// binConvChain is the chain of the 1-bit convolution i, or nil and why it is computed by itself.
func (p *planner) binConvChain(i int) (*chain, string) {
	c := &chain{ops: []int{i}, at: i, shortcut: -1}
	v := c.last()
	if n := len(p.users[v]); n != 1 {
		return nil, fmt.Sprintf("%d operations take its counts", n)
	}
	if m := p.next(v, artifact.MaxPool); m >= 0 {
		c.ops, v = append(c.ops, m), m+1
	}
	if t := p.next(v, artifact.Threshold); t >= 0 {
		c.ops = append(c.ops, t)
		for _, u := range p.users[t+1] {
			if !p.takesSigns(u) {
				return nil, fmt.Sprintf("%q takes its bits in groups", p.model.Ops[u].Name)
			}
		}
		c.value, c.signs, c.signed = t+1, true, []int{t + 1}
		return c, ""
	}
	if len(c.ops) > 1 {
		return nil, fmt.Sprintf("no threshold alone takes the counts of %q", p.model.Ops[v-1].Name)
	}
	a := p.next(v, artifact.Affine)
	if a < 0 {
		return nil, fmt.Sprintf("%q takes its counts", p.model.Ops[p.users[v][0]].Name)
	}
	c.ops = append(c.ops, a)
	if sum := p.next(a+1, artifact.Add); sum >= 0 {
		c.ops, c.at = append(c.ops, sum), sum
		from := p.values[sum+1].From
		if c.shortcut = from[0]; c.shortcut == a+1 {
			c.shortcut = from[1]
		}
	}
	p.keep(c)
	return c, ""
}

// poolChain is the chain of the mean pool i with the padding of channels behind it, nil without one.
func (p *planner) poolChain(i int) *chain {
	pad := p.next(i+1, artifact.PadChannels)
	if pad < 0 {
		return nil
	}
	return &chain{ops: []int{i, pad}, at: i, shortcut: -1, value: pad + 1, floats: true}
}

// before returns the operation that makes value v for operation i alone, if it is of the given kind and in no chain; else -1.
func (p *planner) before(v, i int, kind artifact.Kind) int {
	if v == 0 || p.next(v, p.model.Ops[i].Kind) != i || p.model.Ops[v-1].Kind != kind || p.chains[v-1] != nil {
		return -1
	}
	return v - 1
}

// activationChain is the chain around the PReLU i.
func (p *planner) activationChain(i int) *chain {
	floats := func(op int) bool { // a plain affine of floats
		return op >= 0 && p.model.Ops[op].FactorCount() == 1 && p.values[p.values[op+1].From[0]].Kind == artifact.FloatValue
	}
	c := &chain{ops: []int{i}, shortcut: -1}
	if a := p.before(p.values[i+1].From[0], i, artifact.Affine); floats(a) {
		c.ops = slices.Insert(c.ops, 0, a)
	}
	if join := p.before(p.values[c.ops[0]+1].From[0], c.ops[0], artifact.Concat); join >= 0 {
		c.ops = slices.Insert(c.ops, 0, join)
	}
	if a := p.next(i+1, artifact.Affine); floats(a) {
		c.ops = append(c.ops, a)
	}
	c.at, c.value, c.floats = c.ops[0], c.last(), true
	c.signed = []int{c.value}
	for _, u := range p.users[c.value] {
		if p.model.Ops[u].Kind == artifact.Affine && floats(u) && p.chains[u] == nil && p.onlySigns(u+1) {
			c.ops, c.signed = append(c.ops, u), []int{u + 1}
			break
		}
	}
	for _, u := range p.users[c.signed[0]] {
		c.signs = c.signs || p.takesSigns(u)
	}
	return c
}

// onlySigns reports whether all that take value v take its sign bits in one group.
func (p *planner) onlySigns(v int) bool {
	for _, i := range p.users[v] {
		if !p.takesSigns(i) {
			return false
		}
	}
	return len(p.users[v]) > 0
}
