package loader

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// currentOpset is the operator set that older models are brought to: the first
// in which operators broadcast as NumPy does.
const currentOpset = 7

// upgrade rewrites a model of an operator set before 7 to mean the same in 7:
// attributes of broadcasting become shapes, and attributes that became inputs
// become weights. An operator that it cannot rewrite is an error.
func upgrade(ctx context.Context, m *graph.Model) error {
	opset := m.Opset[""]
	if opset == 0 || opset >= currentOpset {
		return nil
	}
	u := &upgrader{Model: m, opset: opset, values: make(map[string]*graph.Value), names: graph.NewNames(m)}
	maps.Copy(u.values, m.Values)
	for _, v := range slices.Concat(m.Inputs, m.Outputs) {
		u.values[v.Name] = v
	}
	for _, n := range m.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n.Domain != "" {
			u.nodes = append(u.nodes, n)
			continue
		}
		if err := u.node(n); err != nil {
			return fmt.Errorf("node %s of operator set %d: %w", n, opset, err)
		}
		u.nodes = append(u.nodes, n)
	}
	m.Nodes = u.nodes
	m.Opset[""] = currentOpset
	return nil
}

// An upgrader collects the nodes of the rewritten model.
type upgrader struct {
	*graph.Model
	opset  int
	nodes  []*graph.Node
	values map[string]*graph.Value // all that the file describes
	names  *graph.Names
}

// oldTypes are the names that Cast gave types before version 6.
var oldTypes = map[string]graph.DType{
	"FLOAT": graph.Float32, "DOUBLE": graph.Float64, "FLOAT16": graph.Float16, "BOOL": graph.Bool,
	"INT8": graph.Int8, "INT16": graph.Int16, "INT32": graph.Int32, "INT64": graph.Int64,
	"UINT8": graph.Uint8, "UINT16": graph.Uint16, "UINT32": graph.Uint32, "UINT64": graph.Uint64,
}

func (u *upgrader) node(n *graph.Node) error {
	delete(n.Attrs, "consumed_inputs") // a hint to reuse memory
	switch n.Op {
	case "Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less":
		return u.broadcast(n)
	case "PRelu":
		// A list of slopes is one of channels.
		if rank, ok := u.rank(n.Input(1)); !ok || rank == 1 {
			return u.align(n, 1)
		}
	case "Gemm":
		delete(n.Attrs, "broadcast")
	case "BatchNormalization", "Dropout":
		delete(n.Attrs, "is_test") // there is no training here
	case "Concat":
		if !n.Has("axis") {
			n.Set("axis", 1)
		}
	case "Pad":
		if a := n.Attrs["paddings"]; a != nil {
			n.Attrs["pads"] = a
			delete(n.Attrs, "paddings")
		}
	case "Reshape":
		if shape := n.Ints("shape"); u.opset < 5 {
			list := make([]int64, len(shape))
			for i, d := range shape {
				list[i] = int64(d)
			}
			name := u.name("shape")
			u.Weights[name] = graph.FromInts(graph.Int64, []int{len(list)}, list)
			n.Inputs = append(n.Inputs[:min(1, len(n.Inputs))], name)
			delete(n.Attrs, "shape")
		}
	case "Cast":
		if to, ok := oldTypes[n.Str("to", "")]; ok {
			n.Set("to", int(to))
		}
	case "Tile", "Split":
		if u.opset < 6 {
			return fmt.Errorf("this version of the operator is not read")
		}
	case "Upsample", "Scan", "Loop", "If": // graphs in attributes are not rewritten
		return fmt.Errorf("this version of the operator is not read")
	}
	return nil
}

// broadcast brings the second operand to the shape that makes it stretch as
// attributes broadcast and axis say: without the first, operands have one
// shape; without the second, extents are aligned at the last.
func (u *upgrader) broadcast(n *graph.Node) error {
	aligned := n.Int("broadcast", 0) == 0 || !n.Has("axis")
	at := n.Int("axis", 0)
	delete(n.Attrs, "broadcast")
	delete(n.Attrs, "axis")
	if aligned {
		return nil
	}
	return u.align(n, at)
}

// align appends axes to the second operand so that its first is the given one
// of the first operand.
func (u *upgrader) align(n *graph.Node, axis int) error {
	rank, ok := u.rank(n.Input(0))
	own, known := u.rank(n.Input(1))
	if !ok || !known {
		return fmt.Errorf("the ranks of the operands are not known, and it broadcasts along an axis")
	}
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis+own > rank {
		return fmt.Errorf("an operand of rank %d broadcasts from axis %d of rank %d", own, axis, rank)
	}
	var axes []int
	for i := own; axis+i < rank; i++ {
		axes = append(axes, i)
	}
	if axes == nil {
		return nil
	}
	name := u.name("aligned")
	move := &graph.Node{Name: name, Op: "Unsqueeze", Inputs: []string{n.Inputs[1]}, Outputs: []string{name}}
	move.Set("axes", axes)
	u.nodes = append(u.nodes, move)
	n.Inputs[1] = name
	return nil
}

// rank returns the rank of a value, where the file tells it.
func (u *upgrader) rank(name string) (int, bool) {
	if w := u.Weights[name]; w != nil {
		return len(w.Shape), true
	}
	if v := u.values[name]; v != nil && v.Shape != nil {
		return len(v.Shape), true
	}
	return 0, false
}

// name returns a name that no value has, nor one that is only described.
func (u *upgrader) name(stem string) string {
	name := u.names.Fresh(stem)
	for u.values[name] != nil {
		name = u.names.Fresh(stem)
	}
	return name
}
