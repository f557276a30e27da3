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
