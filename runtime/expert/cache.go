package expert

import (
	"errors"
	"fmt"
)

// ErrBudget is returned when a budget does not hold what it must.
var ErrBudget = errors.New("the memory budget is too small")

// CacheConfig says what a cache manages.
type CacheConfig struct {
	Layers  int
	Experts int // of a layer
	Sizes   Sizes
	// Slots are the places of each layer, or one entry for all layers.
	Slots []Slots
	// Staging are places for experts in use, besides the slots.
	Staging Staging
	// Budget bounds slots and staging together, in bytes. NewCache refuses what exceeds it.
	Budget int64
	// Policy makes the policy of a layer.
	Policy func(layer int) (Policy, error)
}

// Staging are numbers of places for experts in use.
type Staging struct {
	Records int `json:"records"` // for what is read of an expert: sign and mantissa, and compressed exponents
	Fulls   int `json:"fulls"`   // for the weights of an expert that has no slot for them
}

// Bytes returns what the places take.
func (g Staging) Bytes(z Sizes) int64 {
	return int64(g.Records)*z.Of(Compressed) + int64(g.Fulls)*z.Full
}

// The pools of a layer. A slot holds one part of one expert; the parts that an expert has are its state.
const (
	fullPool = iota
	signPool // signs and mantissas
	expPool  // compressed exponents
	numPools
)

// parts is a set of pools.
type parts uint8

func (p parts) has(pool int) bool { return p>>pool&1 != 0 }

// stateOf are the states by their parts without fullPool.
var stateOf = [4]State{Miss, SignMantissa, Exponents, Compressed}

func (p parts) state() State {
	if p.has(fullPool) {
		return Full
	}
	return stateOf[p>>signPool]
}

// Cache says which experts are in memory, in which state and in which slots. It holds no weights and reads nothing: who
// asks it does that, as the grants say. So it can be replayed, and the same calls give the same answers.
//
// Every layer has three pools of slots: for weights, for signs and mantissas, and for compressed exponents. An expert in
// state C has a slot of the second and one of the third, so that C, S and E go over into one another without copies. Who is
// asked for takes a free slot or that of a victim, if the policy finds it worth that: one for its weights, or else one for
// each part that it lacks. A victim that loses its weights competes for a slot for its signs and mantissas.
//
// An expert in use is pinned: it keeps its slots until the last user has released it.
//
// A Cache is not safe for concurrent use.
type Cache struct {
	config     CacheConfig
	layers     []cacheLayer
	free       Staging // not in use
	bytes      [numPools]int64
	used, peak int64 // bytes of slots and staging that are taken
	stats      CacheStats
	candidates []int // scratch
}

// CacheStats count what happened in a cache.
type CacheStats struct {
	Requests int64            // experts asked for
	Hits     [NumStates]int64 // of them, by the state in which they were
	Joined   int64            // of them, those that another user was bringing in; they count as Full
	Splits   int64            // F to S
	Drops    int64            // parts dropped to make room
	Bypassed int64            // experts asked for of which nothing was kept
}

// cacheLayer is a layer's part of the cache.
type cacheLayer struct {
	policy  Policy
	entries []cacheEntry    // [expert]
	pools   [numPools][]int // [pool][slot] the expert in it, or none
	first   [numPools]int   // number of the layer's first slot
}

// cacheEntry is what the cache knows of an expert.
type cacheEntry struct {
	has  parts         // in memory
	keep parts         // what will be when the present use is over; has while loading is false
	slot [numPools]int // in the layer's pool, or none: of all parts in has and keep
	pins int
	// loading says that a grant is out whose user makes the weights. They are in a slot or in staging until all who use
	// them have released them.
	loading bool
}

// none stands for no expert in a slot, and for no slot.
const none = -1

// NewCache returns an empty cache. The error is ErrBudget, with the number of bytes that it takes, if the budget is too
// small.
func NewCache(config CacheConfig) (*Cache, error) {
	if config.Layers < 1 || config.Layers > MaxLayers || config.Experts < 1 || config.Experts > MaxLayers*MaxExperts {
		return nil, fmt.Errorf("expert: a cache for %d layers of %d experts", config.Layers, config.Experts)
	}
	if len(config.Slots) != 1 && len(config.Slots) != config.Layers {
		return nil, fmt.Errorf("expert: slots of %d layers, want %d, or 1 for all", len(config.Slots), config.Layers)
	}
	if config.Staging.Records < 0 || config.Staging.Fulls < 0 {
		return nil, fmt.Errorf("expert: staging of %d records and %d weights", config.Staging.Records, config.Staging.Fulls)
	}
	z := config.Sizes
	c := &Cache{config: config, layers: make([]cacheLayer, config.Layers), free: config.Staging,
		bytes: [numPools]int64{z.Full, z.SignMantissa, z.Exponents}}
	need := config.Staging.Bytes(z)
	var first [numPools]int
	for l := range c.layers {
		slots := config.Slots[l%len(config.Slots)]
		for s := Exponents; s <= Full; s++ {
			if n := slots.Of(s); n < 0 || n > config.Experts {
				return nil, fmt.Errorf("expert: layer %d has %d slots of %v for %d experts", l, n, s, config.Experts)
			}
		}
		need += slots.Bytes(z)
		layer := &c.layers[l]
		layer.entries, layer.first = make([]cacheEntry, config.Experts), first
		for e := range layer.entries {
			layer.entries[e].slot = [numPools]int{none, none, none}
		}
		for pool, n := range [numPools]int{slots.Full, slots.Compressed + slots.SignMantissa, slots.Compressed + slots.Exponents} {
			layer.pools[pool] = make([]int, min(n, config.Experts))
			for i := range layer.pools[pool] {
				layer.pools[pool][i] = none
			}
			first[pool] += n
		}
		var err error
		if layer.policy, err = config.Policy(l); err != nil {
			return nil, err
		}
	}
	if need > config.Budget {
		return nil, fmt.Errorf("expert: %w: it is %d bytes, slots and staging take %d", ErrBudget, config.Budget, need)
	}
	return c, nil
}

// State returns the state of an expert.
func (c *Cache) State(layer, expert int) State { return c.layers[layer].entries[expert].has.state() }

// Pins returns how many use an expert.
func (c *Cache) Pins(layer, expert int) int { return c.layers[layer].entries[expert].pins }

// Used returns the bytes that are taken in slots and staging, and the most that ever were.
func (c *Cache) Used() (now, peak int64) { return c.used, c.peak }

// Stats returns what happened so far.
func (c *Cache) Stats() CacheStats { return c.stats }

// take adds bytes to those in use.
func (c *Cache) take(bytes int64) {
	c.used += bytes
	c.peak = max(c.peak, c.used)
}

// Lease takes places for experts in use. It reports whether there were enough; if not it takes none.
func (c *Cache) Lease(n Staging) bool {
	if n.Records > c.free.Records || n.Fulls > c.free.Fulls {
		return false
	}
	c.free.Records -= n.Records
	c.free.Fulls -= n.Fulls
	c.take(n.Bytes(c.config.Sizes))
	return true
}

// Return gives places back.
func (c *Cache) Return(n Staging) {
	c.free.Records += n.Records
	c.free.Fulls += n.Fulls
	if c.free.Records > c.config.Staging.Records || c.free.Fulls > c.config.Staging.Fulls || n.Records < 0 || n.Fulls < 0 {
		panic(fmt.Sprintf("expert: %+v returned, which makes %+v of %+v", n, c.free, c.config.Staging))
	}
	c.used -= n.Bytes(c.config.Sizes)
}

// EndStep tells the policy of a layer that its step is over.
func (c *Cache) EndStep(layer int) { c.layers[layer].policy.EndStep() }

// EndPrompt tells all policies that what comes is about another prompt.
func (c *Cache) EndPrompt() {
	for l := range c.layers {
		c.layers[l].policy.EndPrompt()
	}
}
