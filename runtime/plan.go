package runtime

import (
	"slices"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// A Plan is a model compiled for concrete shapes, one instruction set and a
// number of threads. It may be shared by goroutines, each with a Session of its
// own.
//
// It is immutable but for one thing: where shapes depend on data, as behind
// NonZero or in a Loop, that part of the model is compiled when a run has told
// them. Plans of it are kept for the shapes that came last, [CachedPlans] at
// each place where data decides.
type Plan struct {
	isa     isa.ISA
	mode    Mode
	threads int
	passes  []PassReport
	steps   []LayerReport
	order   []turn // what a run does
	inputs  []*value
	outputs []*value      // of the model, and what the tail reads
	results []graph.Value // the model's outputs
	tail    *tail         // nil where all shapes are known
	arena   arena
	bytes   int64 // of what it holds and of one session, as Config.MaxBytes counts
	packed  int   // bytes of packed weights
	total   int   // weights of the model's layers
	zeros   int   // zeros among them
}

// A turn is one thing that Run does: a step, or a strip of one where steps
// take turns (see chain).
type turn struct {
	step int
	op   stepOp
}

// A stepOp is what a step does, apart from the memory that it does it in.
type stepOp interface {
	bind(s *Session) runner
}

// A value is an edge of the graph while it is compiled, and where it lives.
type value struct {
	name     string
	typ      graph.Type
	constant *Tensor  // of a weight or a folded value
	plain    *buffer  // its home in row-major order, nil where it has none
	images   []*image // its homes in lane-split layouts
	lastUse  int      // index of the last node that reads it
	kept     bool     // an input or output: its memory outlives Run
}

// An image is a value's home in a lane-split layout.
type image struct {
	layout layout
	buf    *buffer
	filled bool // the halo holds the neighbours' pixels, and fill beyond the image
	fill   float32
}

// A Report says what Compile decided, and why.
type Report struct {
	ISA         string        `json:"isa"`
	Threads     int           `json:"threads"`
	Mode        string        `json:"mode"`
	Passes      []PassReport  `json:"passes"` // that ran, in order
	Steps       []LayerReport `json:"steps"`
	Turns       int           `json:"turns"`           // that the steps take: more than one each where they run in strips
	Later       []LayerReport `json:"later,omitempty"` // nodes that wait for a run to tell their shapes
	Weights     int           `json:"weights"`         // elements of the layers' weights
	Zeros       int           `json:"zeros"`           // zeros among them
	PackedBytes int           `json:"packed_bytes"`    // memory of the packed weights
	ArenaBytes  int           `json:"arena_bytes"`     // memory of one session
}

// A LayerReport is one step of a plan. M, K and N are the extents of the
// matrix product that a layer is: M outputs, K weights for each, N columns.
type LayerReport struct {
	Name     string  `json:"name"`
	Op       string  `json:"op"`
	M        int     `json:"m,omitempty"`
	K        int     `json:"k,omitempty"`
	N        int     `json:"n,omitempty"`
	KernelH  int     `json:"kernel_h,omitempty"`
	KernelW  int     `json:"kernel_w,omitempty"`
	Stride   int     `json:"stride,omitempty"`
	Sparsity float64 `json:"sparsity"`
	NNZ      int     `json:"nnz,omitempty"`    // nonzero weights
	Format   string  `json:"format,omitempty"` // dense, csr, nm2:4, bsr4x1, mixed4x1, …
	Kernel   string  `json:"kernel,omitempty"` // of the widest tile
	Why      string  `json:"why,omitempty"`
	// Predicted holds what the cost model expects of each format, in
	// microseconds on one thread.
	Predicted map[string]float64 `json:"predicted_us,omitempty"`

	// Strips is in how many strips the step runs, in turns with its neighbours
	// that have as many; 0 is as a whole.
	Strips int `json:"strips,omitempty"`
	// Parts is how many parts of the columns the step computes each by itself, one
	// for each thread; 0 is as a whole.
	Parts int `json:"parts,omitempty"`

	Activations *ActivationReport `json:"activations,omitempty"` // of a layer that takes small ones for zero

	// What the step has to do, for who explains its time.
	Groups int `json:"groups,omitempty"` // of a convolution
	Slots  int `json:"slots,omitempty"`  // columns that are computed: N, and those of lanes that hold no pixel
	Stored int `json:"stored,omitempty"` // weights that are multiplied: nonzeros, and the zeros that the format stores
	FMAs   int `json:"fmas,omitempty"`   // multiply-adds of nonzero weights, or of activations as in attention
	// Moved counts the bytes of activations that are read and written, as they
	// lie in memory, and Weight those of the packed weight.
	Moved  int `json:"moved_bytes,omitempty"`
	Weight int `json:"weight_bytes,omitempty"`
}

// An ActivationReport says which activations a layer takes for zero, and whether
// that saves it work.
type ActivationReport struct {
	Threshold float32 `json:"threshold"` // magnitudes up to it are zero
	Density   float64 `json:"density"`   // share that is expected above it
	Skipped   bool    `json:"skipped"`   // the weights of those that are zero are not read
}

// Explain reports what Compile decided, a row a step.
func (p *Plan) Explain() Report {
	r := Report{
		ISA: p.isa.String(), Threads: p.threads, Mode: p.mode.String(), Passes: p.passes,
		Weights: p.total, Zeros: p.zeros, PackedBytes: p.packed,
		ArenaBytes: p.arena.floats*4 + p.arena.ints*8, Steps: slices.Clone(p.steps), Turns: len(p.order),
	}
	if p.tail != nil {
		r.Later = p.tail.report()
	}
	return r
}

// Sparsity is the fraction of zeros among the layers' weights.
func (r Report) Sparsity() float64 { return float64(r.Zeros) / float64(max(r.Weights, 1)) }

// Inputs returns the inputs that a session reads, in the model's order.
func (p *Plan) Inputs() []graph.Value {
	in := make([]graph.Value, len(p.inputs))
	for i, v := range p.inputs {
		in[i] = graph.Value{Name: v.name, DType: v.typ.DType, Shape: graph.Dims(v.typ.Shape...)}
	}
	return in
}

// Outputs returns the outputs that a session writes, in the model's order.
// Those whose shapes only a run tells have what the model says of them.
func (p *Plan) Outputs() []graph.Value { return slices.Clone(p.results) }
