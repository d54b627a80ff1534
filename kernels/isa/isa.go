// Package isa names the instruction sets that kernels are written for and
// detects which of them this processor, operating system and build can run.
package isa

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// An ISA is an instruction set that kernels are written for.
type ISA uint8

const (
	// Auto is the zero value: none chosen, so that the environment or the
	// processor decides. No kernel has it.
	Auto ISA = iota
	// Generic is portable Go.
	Generic
	// AVX2 is AVX2 with FMA.
	AVX2
	// AVX512 is AVX-512 F, BW, DQ and VL.
	AVX512
	// NEON is Advanced SIMD of arm64.
	NEON
)

// Env is the environment variable that FromEnv reads.
const Env = "NNZ_ISA"

var names = [...]string{Auto: "auto", Generic: "generic", AVX2: "avx2", AVX512: "avx512", NEON: "neon"}

// String returns the name that Parse accepts.
func (i ISA) String() string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("isa(%d)", uint8(i))
}

// Lanes returns how many float32 a vector holds.
func (i ISA) Lanes() int {
	switch i {
	case AVX2:
		return 8
	case AVX512:
		return 16
	default:
		return 4
	}
}

// Detect returns the best instruction set that this processor, operating
// system and build can run.
func Detect() ISA {
	s := Supported()
	return s[len(s)-1]
}

// Supported returns the instruction sets that can run here, ascending,
// Generic first.
func Supported() []ISA { return append([]ISA{Generic}, supported()...) }

// Parse returns the instruction set of a name.
func Parse(s string) (ISA, error) {
	if i := slices.Index(names[:], s); i >= 0 {
		return ISA(i), nil
	}
	return Auto, fmt.Errorf("isa: unknown instruction set %q: want one of %s", s, strings.Join(names[:], ", "))
}

// FromEnv returns the instruction set that NNZ_ISA names, or Detect's where
// it is unset or empty. A name that is unknown or that cannot run here is an
// error.
func FromEnv() (ISA, error) {
	s := os.Getenv(Env)
	if s == "" {
		return Detect(), nil
	}
	i, err := Parse(s)
	if err == nil && i == Auto {
		return Detect(), nil
	}
	if err == nil {
		err = i.Check()
	}
	if err != nil {
		return Auto, fmt.Errorf("%s: %w", Env, err)
	}
	return i, nil
}

// Check returns an error that lists what can run here where i cannot.
func (i ISA) Check() error {
	have := Supported()
	if !slices.Contains(have, i) {
		return fmt.Errorf("isa: %s cannot run here: have %s", i, join(have))
	}
	return nil
}

func join(list []ISA) string {
	var b strings.Builder
	for n, i := range list {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(i.String())
	}
	return b.String()
}

// A CPU describes the processor. Cache sizes are bytes; where the processor
// does not tell, they are a common small core's.
type CPU struct {
	Name     string
	Features []string // of those that kernels are written for or could use
	Cores    int      // physical
	L1d, L2  int      // of one core
	L3       int      // shared; 0 where there is none or it is unknown
}

// Cache sizes taken where the processor does not tell.
const (
	defaultL1d = 32 << 10
	defaultL2  = 512 << 10
)

// Describe returns what is known of this processor.
func Describe() CPU {
	c := describe()
	if c.Name == "" {
		c.Name = runtime.GOARCH
	}
	if c.Cores <= 0 || c.Cores > runtime.NumCPU() {
		c.Cores = runtime.NumCPU()
	}
	if c.L1d <= 0 {
		c.L1d = defaultL1d
	}
	if c.L2 <= 0 {
		c.L2 = defaultL2
	}
	c.L3 = max(c.L3, 0)
	return c
}
