package graph

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// An ActivationThreshold says which activations a layer takes for zero.
type ActivationThreshold struct {
	Limit   float32 // magnitudes up to it are zero; not negative and finite
	Density float64 // share of activations that is expected above it, 0 to 1
}

// thresholdKey begins the keys of metadata that hold thresholds. The name of the
// layer's first output follows. The value is the two numbers with a space
// between. Programs that do not know it compute with all activations.
const thresholdKey = "nnz.activation_threshold."

// SetActivationThreshold makes node n, whose product with a weight is what
// activations are of, take those up to a threshold for zero: it goes into m.Meta,
// which files keep.
func (m *Model) SetActivationThreshold(n *Node, t ActivationThreshold) {
	if m.Meta == nil {
		m.Meta = make(map[string]string)
	}
	m.Meta[thresholdKey+n.Outputs[0]] = strconv.FormatFloat(float64(t.Limit), 'g', -1, 32) + " " + strconv.FormatFloat(t.Density, 'g', -1, 64)
}

// ActivationThresholds returns the thresholds of a model by the first output of
// the layers.
func (m *Model) ActivationThresholds() (map[string]ActivationThreshold, error) {
	list := make(map[string]ActivationThreshold)
	for key, text := range m.Meta {
		name, ok := strings.CutPrefix(key, thresholdKey)
		if !ok {
			continue
		}
		first, second, _ := strings.Cut(text, " ")
		limit, limitErr := strconv.ParseFloat(first, 32)
		density, densityErr := strconv.ParseFloat(second, 64)
		t := ActivationThreshold{float32(limit), density}
		if limitErr != nil || densityErr != nil || t.check() != nil {
			return nil, fmt.Errorf("metadata %.80q: %.40q: expected a finite threshold and a density of 0 to 1", key, text)
		}
		list[name] = t
	}
	return list, nil
}

// check returns an error where a number is out of its range.
func (t ActivationThreshold) check() error {
	if !(t.Limit >= 0) || t.Limit-t.Limit != 0 || !(t.Density >= 0 && t.Density <= 1) {
		return fmt.Errorf("threshold %v of density %v: expected a finite one and a density of 0 to 1", t.Limit, t.Density)
	}
	return nil
}

// Attributes of a node on its way through the passes of the runtime.
const (
	thresholdLimit   = "activation_threshold"
	thresholdDensity = "activation_density"
)

// MarkActivationThresholds returns the model with each layer's threshold as
// attributes of its node, which [Node.ActivationThreshold] reads: nodes outlive
// what becomes of the model that they are in. Where there are none it is m.
// It is an error where a threshold is of a value that no product makes.
func (m *Model) MarkActivationThresholds() (*Model, error) {
	list, err := m.ActivationThresholds()
	if err != nil || len(list) == 0 {
		return m, err
	}
	m = m.Clone()
	for _, n := range m.Nodes {
		if len(n.Outputs) == 0 || n.Domain != "" {
			continue
		}
		t, ok := list[n.Outputs[0]]
		switch n.Op {
		case "Conv", "Gemm", "MatMul":
			if ok {
				n.setActivationThreshold(t)
				delete(list, n.Outputs[0])
			}
		}
	}
	for name := range list {
		return nil, fmt.Errorf("metadata %.80q: no Conv, Gemm or MatMul has this output", thresholdKey+name)
	}
	return m, nil
}

func (n *Node) setActivationThreshold(t ActivationThreshold) {
	n.Set(thresholdLimit, t.Limit)
	n.Set(thresholdDensity, float32(t.Density))
}

// ActivationThreshold returns the threshold that a node is marked with, false
// where it has none, and an error where somebody else marked it.
func (n *Node) ActivationThreshold() (t ActivationThreshold, ok bool, err error) {
	if !n.Has(thresholdLimit) {
		return t, false, nil
	}
	t = ActivationThreshold{n.Float(thresholdLimit, -1), float64(n.Float(thresholdDensity, -1))}
	return t, true, t.check()
}

// ClearActivationThresholds takes the thresholds out of the metadata.
func (m *Model) ClearActivationThresholds() {
	maps.DeleteFunc(m.Meta, func(key, _ string) bool { return strings.HasPrefix(key, thresholdKey) })
}
