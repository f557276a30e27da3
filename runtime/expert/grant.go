package expert

import "fmt"

// Grant says what a user of an expert does: make the split, read what State lacks, decode and merge, compute, and leave the
// expert in Next. Slots are numbered through all layers, by kind.
//
// The user calls [Cache.Finish] when the weights and the parts that stay are in their places, or [Cache.Fail], and then, when it
// has computed, [Cache.Release].
type Grant struct {
	Layer, Expert int
	State         State // which parts are there
	Next          State // which will be
	// FullSlot is the slot for the weights, SignSlot for signs and mantissas, ExpSlot for compressed exponents: where they
	// are if State has them, where they go if not. Without a slot, -1, they go to staging.
	FullSlot, SignSlot, ExpSlot int
	// Split is what must be done before FullSlot is written, whatever becomes of the grant.
	Split Split
	// Joined says that another grant for the expert is out, and its user makes the weights: this one waits for it, and is
	// only to be released.
	Joined bool
}

// Split is the demotion of an expert from F to S: the signs and mantissas of the weights in FullSlot go to SignSlot. The expert is
// pinned until the grant is finished or has failed. Who is granted it meanwhile waits for the split.
type Split struct {
	Expert             int // -1: there is nothing to do
	FullSlot, SignSlot int
}

// Staging returns the places that a user of the grant needs besides the slots.
func (g Grant) Staging() Staging {
	var n Staging
	if g.Joined {
		return n
	}
	n.Fulls = oneIf(g.FullSlot < 0)
	n.Records = oneIf(g.State.ReadsExponents() && g.ExpSlot < 0 || g.State.ReadsSignMantissa() && g.SignSlot < 0)
	return n
}

// Request asks for experts of a layer, which are distinct, in the order in which they may claim slots, and appends a grant
// for each to grants. tokens are the numbers of tokens that ask for them; nil is one each. All experts are pinned before
// the first gets a slot.
func (c *Cache) Request(grants []Grant, layer int, experts []int, tokens []int, phase Phase) []Grant {
	l := &c.layers[layer]
	for i, e := range experts {
		n := 1
		if tokens != nil {
			n = tokens[i]
		}
		l.policy.Use(e, n, phase, l.entries[e].has != 0)
		l.entries[e].pins++
	}
	for _, e := range experts {
		grants = append(grants, c.grant(l, layer, e, phase))
	}
	return grants
}

// grant decides what becomes of an expert that is asked for.
func (c *Cache) grant(l *cacheLayer, layer, expert int, phase Phase) Grant {
	x := &l.entries[expert]
	g := Grant{Layer: layer, Expert: expert, State: x.has.state(), Split: Split{Expert: none}}
	c.stats.Requests++
	switch {
	case x.loading:
		g.State, g.Joined = Full, true
		c.stats.Joined++
	case g.State != Full:
		x.loading = true
		x.keep = x.has
		if c.claim(l, fullPool, expert, phase, &g.Split) {
			x.keep = 1 << fullPool
			break
		}
		for pool := signPool; pool <= expPool; pool++ {
			if !x.has.has(pool) && c.claim(l, pool, expert, phase, nil) {
				x.keep |= 1 << pool
			}
		}
		c.stats.Bypassed += int64(oneIf(x.keep == 0))
	}
	c.stats.Hits[g.State]++
	g.Next = x.keep.state()
	g.FullSlot, g.SignSlot, g.ExpSlot = l.number(fullPool, x), l.number(signPool, x), l.number(expPool, x)
	return g
}

// number returns the number of an expert's slot through all layers.
func (l *cacheLayer) number(pool int, x *cacheEntry) int {
	if x.slot[pool] == none {
		return none
	}
	return l.first[pool] + x.slot[pool]
}

// claim gives the expert a slot of the pool, a free one or that of a victim, and reports whether it got one. Where the
// victim goes from F to S, split says so.
func (c *Cache) claim(l *cacheLayer, pool, expert int, phase Phase, split *Split) bool {
	slots := l.pools[pool]
	c.candidates = c.candidates[:0]
	for i, e := range slots {
		if e == none {
			c.occupy(l, pool, i, expert)
			return true
		}
		if l.entries[e].pins == 0 {
			c.candidates = append(c.candidates, e)
		}
	}
	if phase == Prefill || len(c.candidates) == 0 {
		return false
	}
	victim := l.policy.Victim(c.candidates)
	if !l.policy.Admits(expert, victim) {
		return false
	}
	v := &l.entries[victim]
	slot, number := v.slot[pool], l.number(pool, v)
	c.vacate(l, pool, victim)
	v.has &^= 1 << pool
	if pool == fullPool && c.claim(l, signPool, victim, phase, nil) {
		v.has = 1 << signPool
		v.pins++
		*split = Split{Expert: victim, FullSlot: number, SignSlot: l.number(signPool, v)}
		c.stats.Splits++
	} else {
		c.stats.Drops++
	}
	if v.keep = v.has; v.has == 0 {
		l.policy.Dropped(victim)
	}
	c.occupy(l, pool, slot, expert)
	return true
}

func (c *Cache) occupy(l *cacheLayer, pool, slot, expert int) {
	l.pools[pool][slot] = expert
	l.entries[expert].slot[pool] = slot
	c.take(c.bytes[pool])
}

func (c *Cache) vacate(l *cacheLayer, pool, expert int) {
	x := &l.entries[expert]
	l.pools[pool][x.slot[pool]] = none
	x.slot[pool] = none
	c.used -= c.bytes[pool]
}

// Finish says that a grant's weights are made and that what stays of the expert is in its slots. The slots of the other
// parts become free. A joined grant, and one of an expert that was full, need not be finished.
func (c *Cache) Finish(g Grant) {
	if g.Joined || g.State == Full {
		return
	}
	c.settle(g, true)
}

// Fail says that a grant's weights could not be made: the expert stays as it was. Those who joined fail as well.
func (c *Cache) Fail(g Grant) {
	if g.Joined || g.State == Full {
		return
	}
	c.settle(g, false)
	c.layers[g.Layer].entries[g.Expert].loading = false
}

// settle makes has and keep equal: what was promised is there, or is not.
func (c *Cache) settle(g Grant, done bool) {
	l := &c.layers[g.Layer]
	x := &l.entries[g.Expert]
	if !x.loading || x.pins == 0 {
		panic(fmt.Sprintf("expert: expert %d of layer %d is not being made", g.Expert, g.Layer))
	}
	stays := x.has
	if done {
		stays = x.keep
	}
	for pool := range numPools {
		if x.slot[pool] != none && !stays.has(pool) {
			c.vacate(l, pool, g.Expert)
		}
	}
	x.has, x.keep = stays, stays
	if g.Split.Expert != none {
		l.entries[g.Split.Expert].pins--
	}
}

// Release says that the user of a grant is done. It reports whether that was the last user of the expert: its place in
// staging can then be returned.
func (c *Cache) Release(g Grant) bool {
	x := &c.layers[g.Layer].entries[g.Expert]
	if x.pins == 0 || x.pins == 1 && x.has != x.keep {
		panic(fmt.Sprintf("expert: expert %d of layer %d is released with %d users, in state %v on its way to %v",
			g.Expert, g.Layer, x.pins, x.has.state(), x.keep.state()))
	}
	if x.pins--; x.pins == 0 {
		x.loading = false
	}
	return x.pins == 0
}
