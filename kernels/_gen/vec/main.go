// Command vec writes the amd64 assembly of package kernels/vec.
//
// Every function is written once, for vectors of either width; gen has what
// differs between the instruction sets.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	isa := flag.String("isa", "", "avx2 or avx512")
	flag.Parse()
	var g gen
	switch *isa {
	case "avx2":
		g = gen{suffix: "AVX2", lanes: 8}
	case "avx512":
		g = gen{suffix: "AVX512", lanes: 16, wide: true}
	default:
		log.Fatalf("unknown instruction set %q", *isa)
	}
	ConstraintExpr("!purego")
	g.elementwise()
	g.exponentials()
	g.activations()
	g.reductions()
	g.norms()
	g.columns()
	g.pools()
	g.moves()
	Generate()
}
