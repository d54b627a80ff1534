package kernels

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// WriteBenchfmt writes results as `go test -bench` does, for benchstat: a line
// for each turn. Names are those of this package's Go benchmarks, with the
// number of threads where these have GOMAXPROCS; to compare the two, benchstat
// needs -ignore cpu, as go test leaves spaces behind some processors' names.
// Source: Go proposal 14313.
func WriteBenchfmt(w io.Writer, results []Result) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "goos: %s\ngoarch: %s\npkg: github.com/nnz-dev/nnz/bench/kernels\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, isa.Describe().Name)
	for _, r := range results {
		name := "Benchmark" + r.benchmark
		if r.Threads > 1 {
			name += "-" + strconv.Itoa(r.Threads)
		}
		for _, t := range r.turns {
			ns := float64(max(1, t))
			fmt.Fprintf(b, "%s\t1\t%.0f ns/op", name, ns)
			if r.GFlops > 0 {
				fmt.Fprintf(b, "\t%.2f GF/s", r.GFlops*r.US*1e3/ns) // GFlops is of the median
			}
			fmt.Fprintln(b)
		}
	}
	return b.Flush()
}

// benchmark names the case as a Go benchmark does: name=value, from the family
// on. The kernel is not in it, as it is known only of the compiled case.
func (c Case) benchmark() string {
	parts := []string{
		benchmarkPart("family", c.Family(c.Sparsity)),
		benchmarkPart("shape", c.Layer.String()),
		benchmarkPart("zeros", strconv.FormatFloat(c.Sparsity, 'g', 3, 64)),
	}
	switch {
	case c.Block == 0:
		parts = append(parts, benchmarkPart("mask", c.Name))
	case c.Block > 1:
		parts = append(parts, benchmarkPart("block", fmt.Sprintf("%dx1", c.Block)))
	}
	return strings.Join(parts, "/")
}

// benchmarkPart is an element of a benchmark's name, without what separates
// elements and lines.
func benchmarkPart(key, value string) string {
	return key + "=" + strings.NewReplacer(" ", "_", "/", ":").Replace(value)
}
