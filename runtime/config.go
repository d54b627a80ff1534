package runtime

import (
	"fmt"
	stdruntime "runtime"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/runtime/pass"
)

// Mode says which layers may run on sparse kernels.
type Mode uint8

// The modes.
const (
	Auto   Mode = iota // each layer takes what the cost model finds fastest
	Dense              // every layer runs dense: the baseline of a comparison
	Sparse             // every weight runs sparse, whatever it costs
)

func (m Mode) String() string {
	switch m {
	case Dense:
		return "dense"
	case Sparse:
		return "sparse"
	}
	return "auto"
}

// ParseMode reads what Mode.String writes.
func ParseMode(s string) (Mode, error) {
	for _, m := range []Mode{Auto, Dense, Sparse} {
		if s == m.String() {
			return m, nil
		}
	}
	return Auto, fmt.Errorf("mode %q: expected auto, dense or sparse", s)
}

// Config says how to compile. The zero value is right for most uses.
type Config struct {
	// Threads is how many goroutines one Session runs on; 0 takes as many as
	// there are physical cores and GOMAXPROCS (which follows a cgroup's quota).
	Threads int
	// ISA is the instruction set to run on; isa.Auto takes what the
	// environment variable NNZ_ISA names, else the best this CPU has.
	ISA  isa.ISA
	Mode Mode
	// Format names a format, as Explain does, that every layer takes which has
	// it among its candidates: for measuring what the choice is worth.
	Format string
	// SkipZeros lets layers of one vector that come after a ReLU leave out the
	// activations that are zero, as those do that have a threshold: half of them
	// are expected to be. Results are the same, but that a zero then does not
	// multiply weights that are Inf or NaN.
	SkipZeros bool
	// MaxBytes bounds the memory that the plan's packed weights, converted
	// constants and tables and one session may take together; 0 is no bound. Where
	// shapes depend on data, the values of a run that have them and the parts of
	// the model that it compiles for them may together take what that leaves, and
	// parts that are kept for later runs as much as MaxBytes again; with 0, the
	// values 4 GiB.
	MaxBytes int64
	// SkipPasses names what is left out of compiling, for finding out what it
	// does: rewritings of the model, as listed by package pass, and "strips", the
	// execution of convolutions depth first.
	SkipPasses []string
	// Shapes gives the shapes of inputs by name, Dims the sizes of symbolic
	// extents; both are needed only where the model leaves them open.
	Shapes map[string][]int
	Dims   map[string]int

	record *graph.Packed // takes what is packed, nil where nobody wants it
	cache  int           // bytes of the cache that strips are made for, 0 for an L2 cache
}

// ParsePasses reads which rewritings of a model run, and returns the others for
// [Config.SkipPasses]: "all", "none", or names with commas between. A list
// applies from left to right: a name adds to none, and one with a minus before
// it takes away from all; "all" and "none" may begin it to say so.
func ParsePasses(s string) (skip []string, err error) {
	names := passNames()
	runs := make(map[string]bool)
	for i, word := range strings.Split(s, ",") {
		name, off := strings.CutPrefix(strings.TrimSpace(word), "-")
		every := !off && (name == "all" || name == "none")
		if i == 0 {
			for _, n := range names {
				runs[n] = off || name == "all"
			}
		}
		switch {
		case every && i > 0:
			return nil, fmt.Errorf("passes %q: %s only begins a list", s, name)
		case every:
		case !slices.Contains(names, name):
			return nil, fmt.Errorf("no pass %q: there are %s", name, strings.Join(names, ", "))
		default:
			runs[name] = !off
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return runs[n] }), nil
}

// DefaultThreads is how many goroutines a session runs on where Config leaves
// it open: hyperthreads share the units that kernels keep busy.
func DefaultThreads() int { return min(stdruntime.GOMAXPROCS(0), isa.Describe().Cores) }

// resolved fills in what the zero value leaves open.
func (c Config) resolved() (Config, error) {
	if c.Threads < 0 {
		return c, fmt.Errorf("%d threads: expected a positive number", c.Threads)
	}
	if c.Threads == 0 {
		c.Threads = DefaultThreads()
	}
	if c.ISA == isa.Auto {
		i, err := isa.FromEnv()
		if err != nil {
			return c, err
		}
		c.ISA = i
	}
	for _, name := range c.SkipPasses {
		if !slices.Contains(passNames(), name) {
			return c, fmt.Errorf("no pass %q to skip: there are %s", name, strings.Join(passNames(), ", "))
		}
	}
	return c, c.ISA.Check()
}

// strips is the name under which depth-first execution can be skipped.
const strips = "strips"

// passNames lists what can be skipped, each once.
func passNames() []string {
	names := []string{pass.Branch}
	for _, p := range pass.All {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return append(names, strips)
}
