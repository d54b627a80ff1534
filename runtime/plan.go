package runtime

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// A Plan is a model compiled for concrete shapes, one instruction set and a
// number of threads. It is immutable and may be shared by goroutines, each
// with a Session of its own.
type Plan struct {
	isa     isa.ISA
	mode    Mode
	threads int
	passes  []PassReport
	steps   []*step
	inputs  []*value
	outputs []*value
	arena   arena
	packed  int // bytes of packed weights
	total   int // weights of the model's layers
	zeros   int // zeros among them
}

// A step is one thing that Run does.
type step struct {
	layer LayerReport
	op    stepOp
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
	Weights     int           `json:"weights"`      // elements of the layers' weights
	Zeros       int           `json:"zeros"`        // zeros among them
	PackedBytes int           `json:"packed_bytes"` // memory of the packed weights
	ArenaBytes  int           `json:"arena_bytes"`  // memory of one session
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
}

// Explain reports what Compile decided, a row a step.
func (p *Plan) Explain() Report {
	r := Report{
		ISA: p.isa.String(), Threads: p.threads, Mode: p.mode.String(), Passes: p.passes,
		Weights: p.total, Zeros: p.zeros, PackedBytes: p.packed,
		ArenaBytes: p.arena.floats*4 + p.arena.ints*8,
	}
	for _, s := range p.steps {
		r.Steps = append(r.Steps, s.layer)
	}
	return r
}

// Inputs returns the inputs that a session reads, in the model's order.
func (p *Plan) Inputs() []graph.Value { return describe(p.inputs) }

// Outputs returns the outputs that a session writes, in the model's order.
func (p *Plan) Outputs() []graph.Value { return describe(p.outputs) }

func describe(vs []*value) []graph.Value {
	out := make([]graph.Value, len(vs))
	for i, v := range vs {
		out[i] = graph.Value{Name: v.name, DType: v.typ.DType, Shape: graph.Dims(v.typ.Shape...)}
	}
	return out
}
