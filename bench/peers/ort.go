// Package peers runs other inference engines beside ours: each in a process of
// its own that has loaded the same file and runs one inference when asked, so
// that all take turns in one measurement. No code of theirs is part of this
// project.
package peers

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/graph"
)

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
}

// Start starts the engine and loads the model. Inputs must have known shapes.
// It has the type of an element of [bench.Options].Peers.
func (o ORT) Start(ctx context.Context, inputs []graph.Value) (bench.Peer, error) {
	type input struct {
		Name  string `json:"name"`
		Type  string `json:"type"`
		Shape []int  `json:"shape"`
	}
	args := struct {
		Model   string  `json:"model"`
		Threads int     `json:"threads"`
		Modules string  `json:"modules"`
		Inputs  []input `json:"inputs"`
	}{o.Model, max(1, o.Threads), o.Modules, []input{}}
	for _, v := range inputs {
		in := input{v.Name, v.DType.String(), []int{}}
		for _, d := range v.Shape {
			if !d.Known() {
				return nil, fmt.Errorf("ONNX Runtime: input %q has no fixed shape", v.Name)
			}
			in.Shape = append(in.Shape, d.Size)
		}
		args.Inputs = append(args.Inputs, in)
	}
	if args.Modules == "" {
		args.Modules = "."
	}
	arg, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	node := o.Node
	if node == "" {
		if node, err = exec.LookPath("node"); err != nil {
			return nil, errors.New("ONNX Runtime runs on Node.js, and there is no command \"node\" on the path")
		}
	}
	p, err := start(exec.CommandContext(ctx, node, "--input-type=module", "--eval", ortScript, "--", string(arg)))
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	p.name = "onnxruntime"
	return p, nil
}
