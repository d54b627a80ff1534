// Package inspect says what a model is made of: its layers, where the zeros of
// their weights are, and what the runtime makes of them.
package inspect

import (
	"context"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// A Report describes a model.
type Report struct {
	Model    string         `json:"model"`
	Producer string         `json:"producer,omitempty"`
	IR       int            `json:"ir"`
	Opset    map[string]int `json:"opset"`
	Inputs   []Value        `json:"inputs"`
	Outputs  []Value        `json:"outputs"`
	Nodes    int            `json:"nodes"` // of the model as it is
	// FusedNodes is how many nodes the passes leave, and Passes what each did.
	FusedNodes int                  `json:"fused_nodes,omitempty"`
	Passes     []runtime.PassReport `json:"passes,omitempty"`
	ISA        string               `json:"isa,omitempty"` // of the plan, empty where the model cannot be compiled
	Layers     []Layer              `json:"layers"`
	Parameters int                  `json:"parameters"` // real elements of all weights, biases among them
	Zeros      int                  `json:"zeros"`      // zeros among them
	MACs       int                  `json:"macs"`       // multiplications of one inference, were all weights dense
	// WeightBytes is the memory of the model's weights as they are held,
	// PackedBytes that of the plan's, ArenaBytes that of one session.
	WeightBytes int `json:"weight_bytes"`
	PackedBytes int `json:"packed_bytes,omitempty"`
	ArenaBytes  int `json:"arena_bytes,omitempty"`
	// Later is how many nodes are compiled or computed when a run has told their
	// shapes.
	Later int `json:"later,omitempty"`
}

// A Value is an input or an output.
type Value struct {
	Name  string `json:"name"`
	DType string `json:"type"`
	Shape []any  `json:"shape"` // numbers, and symbols as strings; null where even the rank is open
}

// A Layer is a weight of a Conv, Gemm or MatMul.
type Layer struct {
	Name       string  `json:"name"`
	Op         string  `json:"op"`
	Weight     string  `json:"weight"`
	Shape      []int   `json:"shape"`
	Parameters int     `json:"parameters"` // of the weight, without bias
	Zeros      int     `json:"zeros"`
	Sparsity   float64 `json:"sparsity"`
	// Blocks says for blocks of outputs x inputs how many are empty and full.
	Blocks []Blocks `json:"blocks"`
	// Patterns says whether the weight is N:M sparse along its inputs.
	Patterns []Pattern `json:"patterns"`
	// Plan is the step that computes the layer, nil where there is none.
	Plan *runtime.LayerReport `json:"plan,omitempty"`
}

// Blocks says how the nonzeros of a weight fall into blocks of R outputs x C
// inputs.
type Blocks struct {
	R     int     `json:"r"`
	C     int     `json:"c"`
	Empty float64 `json:"empty"` // share of the blocks, 0 to 1
	Full  float64 `json:"full"`  // share of the blocks, 0 to 1
	Fill  float64 `json:"fill"`  // share of nonzeros in the blocks that are not empty
}

// A Pattern says whether of each M consecutive inputs of an output at most N
// have a weight that is not zero.
type Pattern struct {
	N     int     `json:"n"`
	M     int     `json:"m"`
	Over  float64 `json:"over"` // share of the groups that have more, 0 to 1
	Holds bool    `json:"holds"`
}

// Model describes a model and compiles it to tell what the runtime would do.
// Where the model cannot be compiled the report has all but that, and the
// error is Compile's.
func Model(ctx context.Context, m *graph.Model, c runtime.Config) (*Report, error) {
	r := &Report{
		Model: m.Name, Producer: m.Producer, IR: m.IR, Opset: m.Opset, Nodes: len(m.Nodes),
		Inputs: values(m.Inputs), Outputs: values(m.Outputs),
	}
	for _, t := range m.Weights {
		r.WeightBytes += t.Bytes()
		if t.DType.Float() {
			r.Parameters += t.Len()
			r.Zeros += zeros(t)
		}
	}
	for _, l := range prune.Layers(m) {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		layer, err := describe(m, l)
		if err != nil {
			return r, err
		}
		r.Layers = append(r.Layers, layer)
	}
	plan, err := runtime.Compile(ctx, m, c)
	if err != nil {
		return r, err
	}
	explained := plan.Explain()
	r.ISA, r.PackedBytes, r.ArenaBytes = explained.ISA, explained.PackedBytes, explained.ArenaBytes
	r.FusedNodes, r.Passes = r.Nodes, explained.Passes
	if n := len(r.Passes); n > 0 {
		r.FusedNodes = r.Passes[n-1].After
	}
	r.Later = len(explained.Later)
	steps := make(map[string]*runtime.LayerReport)
	for i, s := range explained.Steps {
		if s.M > 0 {
			r.MACs += s.M * s.K * s.N
			steps[s.Name] = &explained.Steps[i]
		}
	}
	for i := range r.Layers {
		r.Layers[i].Plan = steps[r.Layers[i].Name]
	}
	return r, nil
}
