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

// ExampleNewPlan divides memory for eight of 32 experts between the states of compression.
func ExampleNewPlan() {
	model := expert.Model{Name: "tiny", Layers: 2, Experts: 32, TopK: 4, Tensors: 3, Elements: 1 << 20}
	device := expert.Device{Disk: 2e9, DiskDepth: 8, Workers: 4, Copy: 8e9, Compute: 20e9}
	coder := expert.Coder{Name: "huffman", Ratio: 0.33, Decode: 1.5e9}

	ranks := make([]float64, model.Experts)
	for r := range ranks {
		ranks[r] = 1 / float64(r+4)
	}
	coins, err := expert.NewCoins(expert.Inclusion(ranks, float64(model.TopK)), model.TopK)
	if err != nil {
		log.Fatal(err)
	}
	hits, sizes := expert.NewHits(coins), model.Sizes(coder.Ratio)
	config := expert.PlanConfig{Hits: []*expert.Hits{hits, hits}, Sizes: sizes, Costs: device.Costs(model, coder, 3), Budget: 2 * 8 * sizes.Full}
	plan, err := expert.NewPlan(config)
	if err != nil {
		log.Fatal(err)
	}
	config.FullOnly = true
	full, err := expert.NewPlan(config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("F/C/S/E %v: %.0f us a step, full only %.0f\n", plan.Layers[0].Slots, plan.Micros(), full.Micros())
	// Output: F/C/S/E 0/11/0/4: 7636 us a step, full only 9316
}

// ExampleSchedule orders four experts: those whose parts are in memory are decoded while others are read.
func ExampleSchedule() {
	model := expert.Model{Tensors: 3, Elements: 1 << 20}
	device := expert.Device{Disk: 2e9, DiskDepth: 8, Workers: 4, Copy: 8e9, Compute: 20e9}
	costs := device.Costs(model, expert.Coder{Ratio: 0.33, Decode: 1.5e9}, 3)
	jobs := []expert.Job{
		{State: expert.Miss, Tokens: 1}, {State: expert.SignMantissa, Tokens: 1}, {State: expert.Compressed, Tokens: 1}, {State: expert.Full, Tokens: 1},
	}
	var clock expert.Clock
	order, line := expert.Schedule(&clock, jobs, costs, expert.Staging{})
	for _, i := range order {
		fmt.Print(jobs[i].State, " ")
	}
	fmt.Printf("%.0f us, at least %.0f\n", line.Micros, expert.Bound(jobs, costs))
	// Output: C F S M 3159 us, at least 3159
}
