package expert

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// testSizes are small and such that no two states take the same.
var testSizes = Sizes{Full: 20, SignMantissa: 10, Exponents: 3}

// newTestCache returns a cache with a policy of that name whose budget is exactly what it takes.
func newTestCache(t testing.TB, layers, experts int, slots Slots, staging Staging, policy string) *Cache {
	t.Helper()
	c, err := NewCache(CacheConfig{Layers: layers, Experts: experts, Sizes: testSizes, Slots: []Slots{slots}, Staging: staging,
		Budget: int64(layers)*slots.Bytes(testSizes) + staging.Bytes(testSizes),
		Policy: func(layer int) (Policy, error) { return NewPolicy(policy, experts, uint64(layer)) }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// check returns an error if the cache contradicts itself or exceeds its budget.
func (c *Cache) check() error {
	used := int64(0)
	for i := range c.layers {
		l := &c.layers[i]
		for pool, slots := range l.pools {
			for slot, e := range slots {
				if e == none {
					continue
				}
				used += c.bytes[pool]
				if x := l.entries[e]; x.slot[pool] != slot {
					return fmt.Errorf("layer %d: slot %d of pool %d has expert %d, which has slot %d", i, slot, pool, e, x.slot[pool])
				}
			}
		}
		for e, x := range l.entries {
			for pool, slot := range x.slot {
				if want := (x.has | x.keep).has(pool); want != (slot != none) {
					return fmt.Errorf("layer %d: expert %d has %b, keeps %b, and has slot %d of pool %d", i, e, x.has, x.keep, slot, pool)
				}
				if slot != none && l.pools[pool][slot] != e {
					return fmt.Errorf("layer %d: expert %d has slot %d of pool %d, where %d is", i, e, slot, pool, l.pools[pool][slot])
				}
			}
			if x.has.has(fullPool) && x.has != 1<<fullPool || x.keep.has(fullPool) && x.keep != 1<<fullPool {
				return fmt.Errorf("layer %d: expert %d has %b, keeps %b: weights and parts", i, e, x.has, x.keep)
			}
			if !x.loading && x.has != x.keep || x.loading && x.pins == 0 {
				return fmt.Errorf("layer %d: expert %d: %+v", i, e, x)
			}
		}
	}
	inUse := c.config.Staging
	inUse.Records -= c.free.Records
	inUse.Fulls -= c.free.Fulls
	used += inUse.Bytes(c.config.Sizes)
	if used != c.used || used > c.config.Budget || c.peak < used || c.peak > c.config.Budget {
		return fmt.Errorf("%d bytes are used, %d are counted, peak %d, budget %d", used, c.used, c.peak, c.config.Budget)
	}
	return nil
}

// states returns the states of a layer's experts as letters.
func (c *Cache) states(layer int) string {
	var b strings.Builder
	for e := range c.layers[layer].entries {
		b.WriteString(c.State(layer, e).String())
	}
	return b.String()
}

// use asks for experts of layer 0, finishes and releases them.
func (c *Cache) use(phase Phase, experts ...int) []Grant {
	grants := c.Request(nil, 0, experts, nil, phase)
	for _, g := range grants {
		c.Finish(g)
	}
	for _, g := range grants {
		c.Release(g)
	}
	c.EndStep(0)
	return grants
}

// describe writes a grant as expert, states, slots and split.
func (g Grant) describe() string {
	s := fmt.Sprintf("%d:%v>%v(%d,%d,%d)", g.Expert, g.State, g.Next, g.FullSlot, g.SignSlot, g.ExpSlot)
	if g.Split.Expert >= 0 {
		s += fmt.Sprintf("split%d(%d,%d)", g.Split.Expert, g.Split.FullSlot, g.Split.SignSlot)
	}
	return s
}

// TestCacheStates walks through every state and every way between them.
func TestCacheStates(t *testing.T) {
	// One slot for weights, two for signs and mantissas, two for exponents.
	c := newTestCache(t, 1, 8, Slots{Full: 1, Compressed: 1, SignMantissa: 1, Exponents: 1}, Staging{}, "lru")
	for _, tt := range []struct {
		why    string
		phase  Phase
		use    []int
		grants string
		states string
	}{
		{"M to F into a free slot", Decode, []int{0}, "0:M>F(0,-1,-1)", "FMMMMMMM"},
		{"F is a hit", Decode, []int{0}, "0:F>F(0,-1,-1)", "FMMMMMMM"},
		{"0 is pinned: M to C", Decode, []int{0, 1}, "0:F>F(0,-1,-1) 1:M>C(-1,0,0)", "FCMMMMMM"},
		{"the victim falls from F to S", Decode, []int{2}, "2:M>F(0,-1,-1)split0(0,1)", "SCFMMMMM"},
		{"and from S to M", Decode, []int{2, 3}, "2:F>F(0,-1,-1) 3:M>C(-1,1,1)", "MCFCMMMM"},
		{"C to F; the victim's split takes the signs of 3: C to E", Decode, []int{1}, "1:C>F(0,0,0)split2(0,1)", "MFSEMMMM"},
		{"a prompt takes free slots", Prefill, []int{4}, "4:M>C(-1,0,0)", "MFSECMMM"},
		{"and evicts nobody", Prefill, []int{5}, "5:M>M(-1,-1,-1)", "MFSECMMM"},
		{"a split that drops another", Decode, []int{4}, "4:C>F(0,0,0)split1(0,1)", "MSMEFMMM"},
		{"S to F; what is being split is pinned: 3 gets no signs", Decode, []int{1, 3}, "1:S>F(0,1,-1)split4(0,0) 3:E>E(-1,-1,1)", "MFMESMMM"},
		{"E to F", Decode, []int{3}, "3:E>F(0,-1,1)split1(0,1)", "MSMFSMMM"},
		{"4 is dropped", Decode, []int{3, 5}, "3:F>F(0,-1,-1) 5:M>C(-1,0,0)", "MSMFMCMM"},
		{"1 is dropped", Decode, []int{3, 6}, "3:F>F(0,-1,-1) 6:M>C(-1,1,1)", "MMMFMCCM"},
		{"both parts of 5 go", Decode, []int{3, 7}, "3:F>F(0,-1,-1) 7:M>C(-1,0,0)", "MMMFMMCC"},
		{"C to F, and 7 loses its signs", Decode, []int{6}, "6:C>F(0,1,1)split3(0,0)", "MMMSMMFE"},
		{"free slots again", Decode, []int{6, 0}, "6:F>F(0,-1,-1) 0:M>C(-1,1,1)", "CMMSMMFE"},
		{"E stays E where nothing is free", Prefill, []int{7}, "7:E>E(-1,-1,0)", "CMMSMMFE"},
		{"the signs of 3 and the exponents of 0 go: S to M, C to S", Decode, []int{6, 1}, "6:F>F(0,-1,-1) 1:M>C(-1,0,1)", "SCMMMMFE"},
		{"S to C: 7 loses its exponents", Decode, []int{6, 0}, "6:F>F(0,-1,-1) 0:S>C(-1,1,0)", "CCMMMMFM"},
	} {
		var grants []string
		for _, g := range c.use(tt.phase, tt.use...) {
			grants = append(grants, g.describe())
		}
		if got := strings.Join(grants, " "); got != tt.grants {
			t.Errorf("%s: use of %v grants %s, want %s", tt.why, tt.use, got, tt.grants)
		}
		if got := c.states(0); got != tt.states {
			t.Errorf("%s: after use of %v the states are %s, want %s", tt.why, tt.use, got, tt.states)
		}
		if err := c.check(); err != nil {
			t.Fatalf("%s: %v", tt.why, err)
		}
	}
	want := CacheStats{Requests: 28, Hits: [NumStates]int64{11, 3, 2, 3, 9}, Splits: 6, Drops: 11, Bypassed: 1}
	if got := c.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestCacheJoin: who asks for an expert that is being made joins, and nothing is lost when the making fails.
func TestCacheJoin(t *testing.T) {
	c := newTestCache(t, 2, 4, Slots{Full: 1, SignMantissa: 1}, Staging{Records: 1, Fulls: 1}, "lru")
	first := c.Request(nil, 1, []int{2}, nil, Decode)[0]
	if want := (Staging{Records: 1}); first.FullSlot != 1 || first.Staging() != want {
		t.Fatalf("grant %+v needs %+v, want slot 1 and %+v", first, first.Staging(), want)
	}
	joined := c.Request(nil, 1, []int{2}, nil, Decode)[0]
	if !joined.Joined || joined.Staging() != (Staging{}) || c.Pins(1, 2) != 2 || c.State(1, 2) != Miss {
		t.Fatalf("second grant %+v, %d pins", joined, c.Pins(1, 2))
	}
	c.Fail(first)
	c.Fail(joined)
	if c.State(1, 2) != Miss || c.Release(first) || !c.Release(joined) {
		t.Error("after a failure the expert is not as it was")
	}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	again := c.Request(nil, 1, []int{2}, nil, Decode)[0]
	c.Finish(again)
	if c.Release(again); c.State(1, 2) != Full || c.State(0, 2) != Miss {
		t.Errorf("states %s and %s", c.states(0), c.states(1))
	}
	// What has no slot for its weights has them in staging until the last user has released it.
	c.Request(nil, 1, []int{2}, nil, Decode)
	bypass := c.Request(nil, 1, []int{3}, nil, Decode)[0]
	if want := (Staging{Records: 1, Fulls: 1}); bypass.Next != SignMantissa || bypass.Staging() != want {
		t.Fatalf("%s needs %+v, want %+v", bypass.describe(), bypass.Staging(), want)
	}
	c.Finish(bypass)
	late := c.Request(nil, 1, []int{3}, nil, Decode)[0]
	if !late.Joined {
		t.Error("while the weights are in staging, a user did not join")
	}
	if c.Release(bypass) || !c.Release(late) {
		t.Error("the last user is not the last")
	}
	if g := c.Request(nil, 1, []int{3}, nil, Decode)[0]; g.Joined || g.State != SignMantissa {
		t.Errorf("then: %s", g.describe())
	}
}

func TestCacheLease(t *testing.T) {
	c := newTestCache(t, 1, 2, Slots{}, Staging{Records: 2, Fulls: 1}, "lru")
	if !c.Lease(Staging{Records: 1, Fulls: 1}) || c.Lease(Staging{Records: 1, Fulls: 1}) || !c.Lease(Staging{Records: 1}) {
		t.Error("of two records and one full place others were leased")
	}
	if now, peak := c.Used(); now != 46 || peak != 46 {
		t.Errorf("%d bytes used, peak %d, want 46", now, peak)
	}
	c.Return(Staging{Records: 2, Fulls: 1})
	if now, peak := c.Used(); now != 0 || peak != 46 {
		t.Errorf("%d bytes used, peak %d, want 0 and 46", now, peak)
	}
	defer func() {
		if recover() == nil {
			t.Error("places were returned that nobody had leased")
		}
	}()
	c.Return(Staging{Records: 1})
}

func TestNewCacheRefuses(t *testing.T) {
	good := CacheConfig{Layers: 2, Experts: 4, Sizes: testSizes, Slots: []Slots{{Full: 1}}, Staging: Staging{Records: 1}, Budget: 53,
		Policy: func(int) (Policy, error) { return NewPolicy("lru", 4, 0) }}
	if _, err := NewCache(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change func(*CacheConfig)
		want   string
	}{
		{func(c *CacheConfig) { c.Budget = 52 }, "expert: the memory budget is too small: it is 52 bytes, slots and staging take 53"},
		{func(c *CacheConfig) { c.Layers = 0 }, "a cache for 0 layers of 4 experts"},
		{func(c *CacheConfig) { c.Slots = make([]Slots, 3) }, "slots of 3 layers, want 2, or 1 for all"},
		{func(c *CacheConfig) { c.Slots = []Slots{{Full: 5}} }, "layer 0 has 5 slots of F for 4 experts"},
		{func(c *CacheConfig) { c.Slots = []Slots{{Exponents: -1}} }, "layer 0 has -1 slots of E"},
		{func(c *CacheConfig) { c.Staging.Fulls = -1 }, "staging of 1 records and -1 weights"},
		{func(c *CacheConfig) { c.Policy = func(int) (Policy, error) { return NewPolicy("mru", 4, 0) } }, `there is no policy "mru", did you mean lru?`},
	} {
		config := good
		tt.change(&config)
		_, err := NewCache(config)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
		if errors.Is(err, ErrBudget) != strings.Contains(tt.want, "budget") {
			t.Errorf("%v: is ErrBudget: %v", err, errors.Is(err, ErrBudget))
		}
	}
}

// user is a user of an expert in TestCacheProperties.
type user struct {
	grant    Grant
	finished bool
	leased   Staging
}

// TestCacheProperties: whatever happens in whatever order, at every event the bytes are below the budget, the cache agrees with
// itself, who is pinned keeps its parts and slots, states change as they may, and the same events give the same grants.
func TestCacheProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		layers, experts := rapid.IntRange(1, 2).Draw(t, "layers"), rapid.IntRange(1, 8).Draw(t, "experts")
		number := rapid.IntRange(0, min(3, experts))
		slots := Slots{number.Draw(t, "F"), number.Draw(t, "C"), number.Draw(t, "S"), number.Draw(t, "E")}
		staging := Staging{Records: number.Draw(t, "records"), Fulls: number.Draw(t, "fulls")}
		name := rapid.SampledFrom(policyNames).Draw(t, "policy")
		var caches [2]*Cache // which see the same
		for i := range caches {
			config := CacheConfig{Layers: layers, Experts: experts, Sizes: testSizes, Slots: []Slots{slots}, Staging: staging,
				Budget: int64(layers)*slots.Bytes(testSizes) + staging.Bytes(testSizes),
				Policy: func(layer int) (Policy, error) { return NewPolicy(name, experts, uint64(layer)) }}
			var err error
			if caches[i], err = NewCache(config); err != nil {
				t.Fatal(err)
			}
		}
		c, twin := caches[0], caches[1]
		var users []*user
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			var before [][]cacheEntry
			for _, l := range c.layers {
				before = append(before, append([]cacheEntry(nil), l.entries...))
			}
			served := map[[2]int]bool{} // experts whose users end something in this event
			switch event := rapid.SampledFrom([]string{"request", "request", "finish", "finish", "fail", "release", "release", "prompt"}).Draw(t, "event"); event {
			case "request":
				layer := rapid.IntRange(0, layers-1).Draw(t, "layer")
				asked := rapid.SliceOfNDistinct(rapid.IntRange(0, experts-1), 1, min(4, experts), rapid.ID[int]).Draw(t, "experts")
				phase := Phase(rapid.IntRange(0, 1).Draw(t, "phase"))
				grants := c.Request(nil, layer, asked, nil, phase)
				if got := twin.Request(nil, layer, asked, nil, phase); !reflect.DeepEqual(got, grants) {
					t.Fatalf("the same events grant %+v and %+v", grants, got)
				}
				c.EndStep(layer)
				twin.EndStep(layer)
				for _, g := range grants {
					u := &user{grant: g, finished: g.Joined || g.State == Full}
					if need := g.Staging(); c.Lease(need) {
						twin.Lease(need)
						u.leased = need
					}
					users = append(users, u)
					if phase == Prefill && g.Split.Expert >= 0 {
						t.Fatalf("a prompt splits: %s", g.describe())
					}
				}
				if phase == Prefill {
					for e, x := range before[layer] {
						if now := c.layers[layer].entries[e]; x.has&^now.has != 0 {
							t.Fatalf("a prompt takes %v from expert %d in %v", now.has.state(), e, x.has.state())
						}
					}
				}
			case "finish", "fail", "release":
				if len(users) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(users)-1).Draw(t, "user")
				u := users[i]
				served[[2]int{u.grant.Layer, u.grant.Expert}] = true
				switch {
				case event == "release" && u.finished:
					if c.Release(u.grant) != twin.Release(u.grant) {
						t.Fatal("the same events end differently")
					}
					c.Return(u.leased)
					twin.Return(u.leased)
					users = append(users[:i], users[i+1:]...)
				case event == "finish" && !u.finished:
					c.Finish(u.grant)
					twin.Finish(u.grant)
					u.finished = true
					if got := c.State(u.grant.Layer, u.grant.Expert); got != u.grant.Next {
						t.Fatalf("%s ends in %v", u.grant.describe(), got)
					}
				case event == "fail" && !u.finished:
					c.Fail(u.grant)
					twin.Fail(u.grant)
					u.finished = true
					if got := c.State(u.grant.Layer, u.grant.Expert); got != u.grant.State {
						t.Fatalf("%s fails and leaves %v", u.grant.describe(), got)
					}
				}
			case "prompt":
				c.EndPrompt()
				twin.EndPrompt()
			}
			if err := c.check(); err != nil {
				t.Fatal(err)
			}
			for l := range before {
				for e, x := range before[l] {
					now := c.layers[l].entries[e]
					from, to := x.has.state(), now.has.state()
					if served[[2]int{l, e}] {
						continue
					}
					if from != to && !from.CanFall(to) {
						t.Fatalf("expert %d goes from %v to %v", e, from, to)
					}
					if x.pins > 0 && (from != to || x.has.has(fullPool) && x.slot[fullPool] != now.slot[fullPool]) {
						t.Fatalf("expert %d has %d users and goes from %v, %v to %v, %v", e, x.pins, from, x.slot, to, now.slot)
					}
				}
			}
		}
		for _, u := range users {
			if !u.finished {
				c.Finish(u.grant)
			}
			c.Release(u.grant)
			c.Return(u.leased)
		}
		if err := c.check(); err != nil || c.free != staging {
			t.Fatalf("at the end: %v, %+v of %+v are free", err, c.free, staging)
		}
		for l := range c.layers {
			for e, x := range c.layers[l].entries {
				if x.pins != 0 || x.loading {
					t.Fatalf("at the end expert %d of layer %d has %d users", e, l, x.pins)
				}
			}
		}
	})
}
