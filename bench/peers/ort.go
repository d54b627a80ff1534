// Package peers runs other inference engines beside ours: each in a process of
// its own that has loaded the same file and runs one inference when asked, so
// that all take turns in one measurement. No code of theirs is part of this
// project.
package peers

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/graph"
)

// ORTName is the name of ONNX Runtime.
const ORTName = "onnxruntime"

//go:embed ort.mjs
var ortScript string

// ORT is ONNX Runtime by way of Node.js. The package onnxruntime-node must be
// installed: npm install --ignore-scripts onnxruntime-node.
type ORT struct {
	Model   string // path of the ONNX file to load
	Threads int    // of an operator, 1 or more
	// Node is the command; empty finds "node" on the path.
	Node string
	// Modules is the folder that holds node_modules; empty is the working
	// folder. The folders of NODE_PATH are looked in after it.
	Modules string

	// Files hold the elements of the first inputs, as the CPU has them; those
	// of others are random.
	Files []string

	outputs []string       // to compute; nil for all
	session map[string]any // settings of the session
}

// Between runs its workers must not spin through the turns of the others: of a
// whole model, a run is most of a turn.
var ortModelSession = map[string]any{"force_spinning_stop": "1"}

// Runs of a layer follow each other within a turn, and workers that sleep in
// between would measure little but the waking. They spin for a twentieth of a
// turn at most.
var ortLayerSession = map[string]any{"intra_op": map[string]any{"spin_duration_us": "100"}}

// Start starts the engine and loads the model. Inputs must have known shapes.
// It has the type of an element of [bench.Options].Peers.
func (o ORT) Start(ctx context.Context, inputs []graph.Value) (bench.Peer, error) {
	o.session = ortModelSession
	return o.start(ctx, inputs)
}

func (o ORT) start(ctx context.Context, inputs []graph.Value) (*process, error) {
	arg, err := o.argument(inputs)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	node := o.Node
	if node == "" {
		if node, err = exec.LookPath("node"); err != nil {
			return nil, errors.New("ONNX Runtime runs on Node.js, and there is no command \"node\" on the path")
		}
	}
	p, err := start(exec.CommandContext(ctx, node, "--input-type=module", "--eval", ortScript, "--", arg))
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	p.name = ORTName
	return p, nil
}

// argument makes the JSON object that ort.mjs describes.
func (o ORT) argument(inputs []graph.Value) (string, error) {
	type input struct {
		Name  string `json:"name"`
		Type  string `json:"type"`
		Shape []int  `json:"shape"`
		File  string `json:"file,omitempty"`
	}
	args := struct {
		Model   string         `json:"model"`
		Threads int            `json:"threads"`
		Modules string         `json:"modules"`
		Inputs  []input        `json:"inputs"`
		Outputs []string       `json:"outputs"`
		Session map[string]any `json:"session"`
	}{o.Model, max(1, o.Threads), cmp.Or(o.Modules, "."), []input{}, append([]string{}, o.outputs...), o.session}
	for n, v := range inputs {
		in := input{Name: v.Name, Type: v.DType.String(), Shape: []int{}}
		if n < len(o.Files) {
			in.File = o.Files[n]
		}
		for _, d := range v.Shape {
			if !d.Known() {
				return "", fmt.Errorf("input %q has no fixed shape", v.Name)
			}
			in.Shape = append(in.Shape, d.Size)
		}
		args.Inputs = append(args.Inputs, in)
	}
	arg, err := json.Marshal(args)
	return string(arg), err
}
