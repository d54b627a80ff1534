package kernels

import (
	"time"

	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/spmm"
	"github.com/nnz-dev/nnz/kernels/vec"
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
	Read  float64 `json:"read"`  // GB/s of reading in order
}

// Measure measures the limits of an instruction set, in about a quarter of a
// second.
func Measure(i isa.ISA) Limits {
	cpu := isa.Describe()
	l := Limits{ISA: i.String(), Peak: spmm.Peak(i)}
	sum := vec.For(i).Sum
	largest := 0
	for _, level := range []Level{{Name: "L1", Bytes: cpu.L1d}, {Name: "L2", Bytes: cpu.L2}, {Name: "L3", Bytes: cpu.L3}} {
		if level.Bytes <= largest {
			continue // absent or unknown
		}
		largest = level.Bytes
		level.Read = readRate(sum, level.Bytes*6/10)
		l.Levels = append(l.Levels, level)
	}
	const least = 64 << 20
	l.Levels = append(l.Levels, Level{Name: "DRAM", Read: readRate(sum, max(least, 3*largest))})
	return l
}

// readRate returns GB/s of summing a buffer over and over: the best of some
// short looks, as others may use the machine.
func readRate(sum func([]float32) float32, bytes int) float64 {
	x := make([]float32, max(1, bytes/4))
	for i := range x {
		x[i] = 1 // memory that was never written is one page of zeros
	}
	const look, looks = 1 << 20, 12
	repeat := max(1, look/bytes)
	best := time.Duration(1<<63 - 1)
	for range looks {
		start := time.Now()
		for range repeat {
			sum(x)
		}
		best = min(best, time.Since(start))
	}
	return float64(repeat*len(x)*4) / float64(max(1, best.Nanoseconds()))
}

// level returns the nearest level that holds that many bytes.
func (l Limits) level(bytes int) Level {
	for _, v := range l.Levels {
		if bytes <= v.Bytes {
			return v
		}
	}
	return l.Levels[len(l.Levels)-1]
}

// A Bound is a lower limit of the time of a layer, and what sets it.
type Bound struct {
	Name string  `json:"name"` // FMA, L1 loads, L2 …
	US   float64 `json:"us"`
}

// work is what a product has to do at least.
type work struct {
	flops   float64 // of stored weights
	loads   float64 // bytes that multiply-adds take from the L1 cache
	touched int     // bytes of weights, activations and outputs
	threads int
}

// bound returns the limit that binds: multiply-adds; loads of their operands
// from L1; or reading everything once from the nearest level that holds it.
// Caches nearest to a core and its units come once a thread.
func (l Limits) bound(w work) Bound {
	var b Bound
	consider := func(name string, amount, rate float64) {
		if rate > 0 && amount/rate/1e3 > b.US {
			b = Bound{name, amount / rate / 1e3}
		}
	}
	threads := float64(max(1, w.threads))
	consider("FMA", w.flops, l.Peak*threads)
	consider(l.Levels[0].Name+" loads", w.loads, l.Levels[0].Read*threads)
	at := l.level(w.touched)
	consider(at.Name, float64(w.touched), at.Read*threads)
	return b
}
