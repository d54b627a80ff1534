package prune

import (
	"context"
	"fmt"
	"math"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// ActivationOptions say which activations layers are to take for zero while they
// run.
type ActivationOptions struct {
	// Sparsity is the fraction of each layer's inputs that is to be taken for
	// zero. With 0 these are zeros alone, as after a ReLU: results stay the same.
	Sparsity float64
	Data     Data           // to calibrate on
	Config   runtime.Config // to run it with; shapes are those of the data
	// Include and Exclude select layers, as in [Options]. An empty Include takes
	// Gemm and MatMul.
	Include, Exclude []string
}

// An ActivationReport says what thresholds were found.
type ActivationReport struct {
	Target   float64            `json:"target"`   // fraction of each layer's inputs
	Sparsity float64            `json:"sparsity"` // mean over the layers, by their weights
	Sets     int                `json:"sets"`     // of inputs that the model was run on
	Layers   []ActivationsLayer `json:"layers"`
}

// An ActivationsLayer is the threshold of a layer.
type ActivationsLayer struct {
	Layer
	Input     string  `json:"input"`     // the value that it is for
	Count     int     `json:"count"`     // elements of it that were seen
	Threshold float32 `json:"threshold"` // magnitudes up to it are taken for zero
	Sparsity  float64 `json:"sparsity"`  // fraction of the elements seen for which that goes
}

// SparsifyActivations finds for each layer the magnitude that a fraction of its inputs
// does not exceed, and returns the model with these as thresholds (see
// [graph.Model.SetActivationThreshold]), in place of those that it has. Nothing
// else of the model changes, and other runtimes compute with all activations.
//
// Of the thresholds to choose from, which are 2^-8 apart, a layer gets the one
// whose sparsity is closest to what was asked for. Where many inputs have one
// magnitude, as the background of images, that may be far: the report has what
// was measured.
//
// Source: Liu et al., Training-Free Activation Sparsity in Large Language Models
// (TEAL), 2024, with the same sparsity for every layer.
func SparsifyActivations(ctx context.Context, m *graph.Model, o ActivationOptions) (*graph.Model, ActivationReport, error) {
	r := ActivationReport{Target: o.Sparsity}
	if !(o.Sparsity >= 0 && o.Sparsity <= 1) {
		return nil, r, fmt.Errorf("activation sparsity %v: expected a fraction between 0 and 1", o.Sparsity)
	}
	out := m.Clone()
	out.Packed = nil
	out.ClearActivationThresholds()
	layers, err := o.layers(out)
	if err != nil {
		return nil, r, err
	}
	seen := make(map[string]*magnitudes)
	var values []string
	for _, l := range layers {
		if seen[l.input] == nil {
			seen[l.input] = newMagnitudes()
			values = append(values, l.input)
		}
	}
	p := newProbe(out, values, o.Config)
	defer p.close()
	err = Calibration{Data: o.Data, Config: o.Config}.each(ctx, func(set map[string]*graph.Tensor) error {
		r.Sets++
		return p.run(ctx, set, func(value valueFunc) error {
			for _, name := range values {
				t, err := value(name)
				if err != nil {
					return err
				}
				if !t.DType.Float() {
					return fmt.Errorf("value %q is of type %s, expected a real one", name, t.DType)
				}
				seen[name].add(t.F)
			}
			return nil
		})
	})
	if err != nil {
		return nil, r, err
	}
	weights := 0.0
	for _, l := range layers {
		s := seen[l.input]
		limit, sparsity := s.limit(o.Sparsity)
		out.SetActivationThreshold(l.node, graph.ActivationThreshold{Limit: limit, Density: 1 - sparsity})
		r.Layers = append(r.Layers, ActivationsLayer{Layer: l.Layer, Input: l.input, Count: s.total, Threshold: limit, Sparsity: sparsity})
		n := float64(m.Weights[l.Weight].Len())
		weights += n
		r.Sparsity += sparsity * n
	}
	r.Sparsity /= weights
	return out, r, nil
}

// A thresholded is a layer and the value that it multiplies with its weight.
type thresholded struct {
	Layer
	node  *graph.Node
	input string
}

// layers selects the layers of a model: nodes, as what flows into two that share
// a weight may differ.
func (o ActivationOptions) layers(m *graph.Model) ([]thresholded, error) {
	include := o.Include
	if len(include) == 0 {
		include = []string{"Gemm", "MatMul"}
	}
	var list []thresholded
	alias := make(map[string]string)
	for _, n := range m.Nodes {
		if n.Op == "Identity" && n.Domain == "" && len(n.Outputs) > 0 {
			alias[n.Outputs[0]] = resolve(alias, n.Input(0))
			continue
		}
		l, ok := layerOf(m, n, alias)
		if !ok {
			continue
		}
		chosen, err := choose([]Layer{l}, include, o.Exclude)
		if err != nil {
			return nil, err
		}
		input := n.Inputs[0]
		if resolve(alias, input) == l.Weight {
			input = n.Inputs[1]
		}
		if constant := m.Weights[resolve(alias, input)] != nil; len(chosen) > 0 && !constant {
			list = append(list, thresholded{l, n, input})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no layer matches include %q without exclude %q", include, o.Exclude)
	}
	return list, nil
}

// magnitudes counts absolute values: by the exponent and the first eight bits
// after it, so that a bucket is at most 2^-8 of its values wide, and zeros by
// themselves. NaN are above all of them.
type magnitudes struct {
	buckets []int // bucket i is up to the float of bits i<<bucketBits, that included
	total   int
}

const bucketBits = 15

func newMagnitudes() *magnitudes { return &magnitudes{buckets: make([]int, 1<<(31-bucketBits)+1)} }

func (s *magnitudes) add(x []float32) {
	for _, v := range x {
		bits := math.Float32bits(v) &^ (1 << 31)
		s.buckets[(bits+1<<bucketBits-1)>>bucketBits]++
	}
	s.total += len(x)
}

// limit returns the bound of a bucket that the fraction of values up to it is
// closest to the given one, the lowest of those, and that fraction.
func (s *magnitudes) limit(sparsity float64) (limit float32, got float64) {
	infinite := int(math.Float32bits(float32(math.Inf(1))) >> bucketBits)
	n := s.buckets[0]
	best, at := n, 0
	distance := func(n int) float64 { return math.Abs(float64(n) - sparsity*float64(s.total)) }
	for i := 1; i < infinite && sparsity > 0; i++ {
		if n += s.buckets[i]; distance(n) < distance(best) {
			best, at = n, i
		}
	}
	return math.Float32frombits(uint32(at) << bucketBits), float64(best) / float64(max(s.total, 1))
}
