package expert_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/bnntool/bnntool/runtime/expert"
)

// ExampleDecodeTrace reads how often a router chose its experts and prints the share of each rank.
func ExampleDecodeTrace() {
	counts, _, err := expert.DecodeTrace(strings.NewReader(`model,prompt,layer,steps,counts
tiny,0,0,4,4 2 2 0
tiny,1,0,4,1 1 2 4
`))
	if err != nil {
		log.Fatal(err)
	}
	ranks, err := counts.Ranks(0, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(counts.TopK, "of", counts.Experts, "experts a step:", ranks)
	// Output: 2 of 4 experts a step: [0.5 0.25 0.1875 0.0625]
}

// ExampleCache keeps two of four experts as they are, and the signs and mantissas of one more.
func ExampleCache() {
	sizes := expert.Sizes{Full: 2 << 20, SignMantissa: 1 << 20, Exponents: 400 << 10}
	slots := expert.Slots{Full: 2, SignMantissa: 1}
	cache, err := expert.NewCache(expert.CacheConfig{
		Layers: 1, Experts: 4, Sizes: sizes, Slots: []expert.Slots{slots}, Budget: slots.Bytes(sizes),
		Policy: func(int) (expert.Policy, error) { return expert.NewPolicy("lru", 4, 1) },
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, experts := range [][]int{{0, 1}, {1, 2}, {0, 3}} {
		for _, g := range cache.Request(nil, 0, experts, nil, expert.Decode) {
			fmt.Printf("%d: %v to %v  ", g.Expert, g.State, g.Next)
			cache.Finish(g) // once it has been read and decoded
			cache.Release(g)
		}
		cache.EndStep(0)
		used, _ := cache.Used()
		fmt.Println(used>>20, "MB")
	}
	// Output:
	// 0: M to F  1: M to F  4 MB
	// 1: F to F  2: M to F  5 MB
	// 0: S to F  3: M to F  4 MB
}
