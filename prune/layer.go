package prune

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/graph"
)

// A Layer is a weight that can be pruned and the node that it belongs to. A
// weight used by several nodes appears once, with the first of them.
type Layer struct {
	Weight string `json:"weight"`
	Node   string `json:"node"`
	// Kind is the node's operator: Conv, Gemm or MatMul; a convolution with
	// one input channel a group is a DepthwiseConv.
	Kind  string `json:"kind"`
	Shape []int  `json:"shape"`
	at    placement
	head  int        // outputs of an attention head, 0 where it has none or nobody looked
	work  *workspace // of the call of Apply
}

// A placement says where the matrices of a weight, each of outputs x inputs,
// lie among the elements of its tensor. Element (group, row, col) is at
// group·groupStride + row·rowStride + col·colStride.
type placement struct {
	groups, rows, cols                int
	groupStride, rowStride, colStride int
}

// Layers lists the weights of a model that can be pruned, in node order:
// constant floating-point inputs of Conv, Gemm and MatMul. Biases are none.
func Layers(m *graph.Model) []Layer {
	var layers []Layer
	seen := make(map[string]bool)
	alias := make(map[string]string) // output of an Identity to its input
	for _, n := range m.Nodes {
		if n.Op == "Identity" && n.Domain == "" && len(n.Outputs) > 0 {
			alias[n.Outputs[0]] = resolve(alias, n.Input(0))
			continue
		}
		l, ok := layerOf(m, n, alias)
		if ok && !seen[l.Weight] {
			seen[l.Weight] = true
			layers = append(layers, l)
		}
	}
	return layers
}

// Ends returns the weights of the first convolution and of the last layer, the
// classifier of a network that has one. They are few, they matter most, and it
// is custom to leave them as they are.
func Ends(m *graph.Model) []string {
	layers := Layers(m)
	var ends []string
	isConv := func(l Layer) bool { return l.Kind == "Conv" }
	if i := slices.IndexFunc(layers, isConv); i >= 0 {
		ends = append(ends, layers[i].Weight)
	}
	if n := len(layers); n > 0 && !slices.Contains(ends, layers[n-1].Weight) {
		ends = append(ends, layers[n-1].Weight)
	}
	return ends
}

func resolve(alias map[string]string, name string) string {
	if to, ok := alias[name]; ok {
		return to
	}
	return name
}

// layerOf returns the prunable weight of node n, if it has one.
func layerOf(m *graph.Model, n *graph.Node, alias map[string]string) (Layer, bool) {
	if n.Domain != "" {
		return Layer{}, false
	}
	weight := func(input int) (string, *graph.Tensor) {
		name := resolve(alias, n.Input(input))
		t := m.Weights[name]
		if t == nil || len(t.Shape) < 2 || !zeroable(t.DType) || t.Len() == 0 {
			return "", nil
		}
		return name, t
	}
	l := Layer{Node: n.Name, Kind: n.Op}
	var t *graph.Tensor
	switch n.Op {
	case "Conv":
		if l.Weight, t = weight(1); t == nil {
			return Layer{}, false
		}
		groups := max(1, n.Int("group", 1))
		if t.Shape[0]%groups != 0 {
			return Layer{}, false // no valid model has this
		}
		if groups > 1 && t.Shape[1] == 1 {
			l.Kind = "DepthwiseConv"
		}
		l.at = byRows(groups, t.Shape[0]/groups, t.Len()/t.Shape[0])
	case "Gemm", "MatMul":
		outputsFirst := n.Int("transB", 0) != 0
		if l.Weight, t = weight(1); t == nil {
			// A product from the left keeps its outputs along the rows.
			outputsFirst = n.Int("transA", 0) == 0
			if l.Weight, t = weight(0); t == nil {
				return Layer{}, false
			}
		}
		r := len(t.Shape)
		rows, cols := t.Shape[r-2], t.Shape[r-1]
		if outputsFirst {
			l.at = byRows(t.Len()/(rows*cols), rows, cols)
		} else {
			l.at = byColumns(t.Len()/(rows*cols), rows, cols)
		}
	default:
		return Layer{}, false
	}
	l.Shape = t.Shape
	return l, true
}

// byRows places matrices whose outputs are the rows.
func byRows(groups, outputs, inputs int) placement {
	return placement{groups, outputs, inputs, outputs * inputs, inputs, 1}
}

// byColumns places matrices whose outputs are the columns.
func byColumns(groups, inputs, outputs int) placement {
	return placement{groups, outputs, inputs, outputs * inputs, 1, outputs}
}

// zeroable reports whether elements of type dt can be set to zero by clearing
// their bytes.
func zeroable(dt graph.DType) bool {
	switch dt {
	case graph.Float32, graph.Float16, graph.BFloat16, graph.Float64:
		return true
	}
	return false
}

// size returns the elements of the layer's weight.
func (l Layer) size() int { return l.at.groups * l.at.rows * l.at.cols }

// conv reports whether the layer is a convolution.
func (l Layer) conv() bool { return l.Kind == "Conv" || l.Kind == "DepthwiseConv" }

// Select returns the layers of a model that [Options.Include] and
// [Options.Exclude] select.
func Select(m *graph.Model, include, exclude []string) ([]Layer, error) {
	return choose(Layers(m), include, exclude)
}

// choose selects the layers that a pattern of include matches, or all where
// there is none, without those that a pattern of exclude matches.
func choose(layers []Layer, include, exclude []string) ([]Layer, error) {
	in, err := compile(include)
	if err != nil {
		return nil, err
	}
	ex, err := compile(exclude)
	if err != nil {
		return nil, err
	}
	var chosen []Layer
	for _, l := range layers {
		if (len(in) == 0 || l.matches(in)) && !l.matches(ex) {
			chosen = append(chosen, l)
		}
	}
	return chosen, nil
}

func (l Layer) matches(patterns []*regexp.Regexp) bool {
	return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool {
		return p.MatchString(l.Weight) || p.MatchString(l.Node) || p.MatchString(l.Kind)
	})
}

// compile turns patterns of * and ? into expressions that match whole names.
func compile(patterns []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range patterns {
		expr := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(p))
		re, err := regexp.Compile(`(?s)^` + expr + `$`)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
		out = append(out, re)
	}
	return out, nil
}
