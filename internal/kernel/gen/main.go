// Command gen writes the assembly of the kernel backends. It is a module of its own, so that the assembler library
// stays out of the product's dependencies:
//
//	go run . -tier avx512 -part bits -out ../avx512/bits_amd64.s -stubs ../avx512/bits_amd64.go
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	name := flag.String("tier", "", "avx2 or avx512")
	part := flag.String("part", "", "floats; bits: what packed signs go into or come out of; or bf16: compressed weights")
	// avo defines -out, -stubs and -pkg itself.
	flag.Parse()
	tier, ok := tiers[*name]
	if !ok {
		fmt.Fprintf(os.Stderr, "gen: unknown tier %q\n", *name)
		os.Exit(2)
	}
	ConstraintExpr("amd64,!purego")
	switch *part {
	case "floats":
		tier.conv()
		tier.gatherRows()
		tier.grad()
		tier.signTables()
		tier.elementwise()
		tier.wide()
		tier.block()
		tier.device()
	case "bits":
		tier.bits()
		tier.popcount()
		tier.lookup()
		tier.signRows()
	case "bf16":
		tier.bf16()
	default:
		fmt.Fprintf(os.Stderr, "gen: unknown part %q\n", *part)
		os.Exit(2)
	}
	Generate()
}
