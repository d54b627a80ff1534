package kernels

import (
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/spmm"
)

// Limits are what one core of this processor does at most with an instruction
// set.
type Limits struct {
	ISA string `json:"isa"`
	// Peak is that of multiply-adds in registers, GF/s; 0 where it is unknown.
	Peak float64 `json:"peak_gflops"`
	// Levels are the caches and memory, from the nearest on.
	Levels []Level `json:"levels"`
}

// A Level is a cache, or memory.
type Level struct {
	Name  string  `json:"name"`
	Bytes int     `json:"bytes"` // that it holds; 0 for memory
	Read  float64 `json:"read"`  // GB/s of operands of multiply-adds
}

// Bytes that are read to measure what is beyond the caches of a core.
const (
	inL3   = 8 << 20   // more than an L2 cache, in any L3 cache
	inDRAM = 128 << 20 // more than most L3 caches
)

// Measure measures the limits of an instruction set, in about half a second.
func Measure(i isa.ISA) Limits {
	return measure(isa.Describe(), spmm.Peak(i), i.String(), func(bytes int) float64 { return spmm.LoadRate(i, bytes) })
}

// measure puts the limits together. rate reads a buffer of so many bytes.
func measure(cpu isa.CPU, peak float64, name string, rate func(bytes int) float64) Limits {
	// Where a cache is shared in part, or indexed by physical addresses, the
	// last of its bytes are not to be had.
	most := func(bytes int) int { return bytes * 6 / 10 }
	l := Limits{ISA: name, Peak: peak, Levels: []Level{
		{"L1", cpu.L1d, rate(most(cpu.L1d))},
		{"L2", cpu.L2, rate(most(cpu.L2))},
	}}
	dram := Level{Name: "DRAM", Read: rate(max(inDRAM, 3*cpu.L3))}
	if cpu.L3 > cpu.L2 {
		l.Levels = append(l.Levels, Level{"L3", cpu.L3, rate(min(most(cpu.L3), inL3))})
	} else if l3 := findL3(dram.Read, rate); l3.Bytes > 0 {
		l.Levels = append(l.Levels, l3)
	}
	l.Levels = append(l.Levels, dram)
	return l
}

// findL3 looks for a cache that the processor does not tell of, as many virtual
// ones do not: it is there where reads are clearly faster than from DRAM.
func findL3(dram float64, rate func(bytes int) float64) Level {
	l := Level{Name: "L3"}
	for bytes := inL3; bytes < inDRAM; bytes *= 2 {
		r := rate(bytes)
		if r < 1.2*dram {
			break
		}
		l.Bytes, l.Read = bytes, max(l.Read, r)
	}
	return l
}

// A Bound is a lower limit of the time of a layer, and what sets it.
type Bound struct {
	Name string  `json:"name"` // FMA, L1 loads, L2 …
	US   float64 `json:"us"`
}

// consider takes a limit where it is the one that binds: an amount at a rate in
// thousand millions a second, which is unknown where it is 0.
func (b *Bound) consider(name string, amount, rate float64) {
	if rate > 0 && amount/rate/1e3 > b.US {
		*b = Bound{name, amount / rate / 1e3}
	}
}

// work is what a product has to do at least.
type work struct {
	flops   float64 // of stored weights
	loads   float64 // bytes that multiply-adds take from the L1 cache
	touched int     // bytes of weights, activations and outputs
	threads int
}

// bound returns the limit that binds: multiply-adds; loads of their operands
// from L1; or reading once what nearer caches cannot hold, from a farther level.
// It supposes that every thread has units and caches of its own, and that
// caches hold what will be needed next: a layer cannot be faster.
func (l Limits) bound(w work) Bound {
	var b Bound
	threads := float64(max(1, w.threads))
	b.consider("FMA", w.flops, l.Peak*threads)
	b.consider(l.Levels[0].Name+" loads", w.loads, l.Levels[0].Read*threads)
	held := 0.0
	for _, level := range l.Levels {
		b.consider(level.Name, float64(w.touched)-held, level.Read*threads)
		held += float64(level.Bytes) * threads
	}
	return b
}
