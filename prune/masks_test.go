package prune_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/npy"
	"github.com/nnz-dev/nnz/internal/testdata"
	"github.com/nnz-dev/nnz/prune"
)

// A mask is an entry of the index of masks made by torch.nn.utils.prune.
type mask struct {
	Weight string `json:"weight"` // file of the weight, or of the model and its name
	Method string `json:"method"`
	Amount any    `json:"amount"` // a fraction, or a count where it is whole
	N      string `json:"n"`      // norm
	Dim    int    `json:"dim"`
	Kept   int    `json:"kept"`
	Total  int    `json:"total"`
	Packed string `json:"packed"`            // how bits are packed, empty for a byte each
	Scores string `json:"importance_scores"` // file, for a criterion other than magnitude
	Note   string `json:"note"`
	Shape  []int  `json:"shape"`
}

// TestMasks compares with every mask of the reference.
func TestMasks(t *testing.T) {
	file, err := os.ReadFile(testdata.Path(t, "prune_masks", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]json.RawMessage{}
	if err := json.Unmarshal(file, &index); err != nil {
		t.Fatal(err)
	}
	for name, entry := range index {
		if strings.HasPrefix(name, "_") {
			continue // notes
		}
		t.Run(name, func(t *testing.T) {
			var want mask
			d := json.NewDecoder(bytes.NewReader(entry))
			d.UseNumber()
			d.DisallowUnknownFields()
			if err := d.Decode(&want); err != nil {
				t.Fatal(err)
			}
			checkMask(t, name, want)
		})
	}
}

// options returns the amount of the mask as options.
func (m mask) options(t *testing.T) prune.Options {
	t.Helper()
	amount, ok := m.Amount.(json.Number)
	if !ok {
		t.Fatalf("amount %v", m.Amount)
	}
	if n, err := amount.Int64(); err == nil {
		return prune.Options{Count: int(n)}
	}
	f, err := amount.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return prune.Options{Sparsity: f}
}

func checkMask(t *testing.T, name string, want mask) {
	weight := want.Weight
	var before *graph.Model
	var steps []prune.Options
	units := prune.Granularity(prune.Weight{}) // that the first step prunes
	random := false
	switch want.Method {
	case "L1Unstructured":
		o := want.options(t)
		if want.Scores != "" {
			a := readArray(t, want.Scores)
			scores, err := graph.NewTensor(graph.Float32, a.Shape, a.Data)
			if err != nil {
				t.Fatal(err)
			}
			o.Criterion = prune.Scores{weight: scores}
		}
		before, steps = chain(t, weight), []prune.Options{o}
	case "LnStructured":
		o := want.options(t)
		norm := want.N
		if !strings.HasSuffix(norm, "inf") {
			norm = "l" + norm
		}
		var err error
		if o.Norm, err = prune.ParseNorm(norm); err != nil {
			t.Fatal(err)
		}
		units = prune.Dim(want.Dim)
		o.Granularity = units
		before, steps = chain(t, weight), []prune.Options{o}
	case "RandomUnstructured", "RandomStructured":
		o := want.options(t)
		o.Criterion = prune.Random{Seed: 5}
		if want.Method == "RandomStructured" {
			units = prune.Dim(want.Dim)
			o.Granularity = units
		}
		before, steps, random = chain(t, weight), []prune.Options{o}, true
		// What the weights are makes no difference, but that zeros count as gone.
		ones := slices.Repeat([]float32{1}, want.Total)
		before.Weights[weight] = graph.FromFloats(before.Weights[weight].Shape, ones)
	case "L1Unstructured x2 (PruningContainer)":
		if want.Amount != "0.5 then 0.5 of remaining" {
			t.Fatalf("amount %v", want.Amount)
		}
		before, steps = chain(t, weight), []prune.Options{{Sparsity: 0.5}, {Sparsity: 0.5, OfLeft: true}}
	case "LnStructured(0.25,n=2,dim=0) then L1Unstructured(0.5)":
		before, steps = chain(t, weight), []prune.Options{
			{Sparsity: 0.25, Granularity: prune.Dim(0), Norm: prune.L2},
			{Sparsity: 0.5, OfLeft: true},
		}
	case "global_unstructured(L1Unstructured) over [fc, conv, ties] in that order":
		o := want.options(t)
		o.Scope = prune.Global{}
		before, steps = chain(t, "weight_fc.npy", "weight_conv.npy", "weight_ties.npy"), []prune.Options{o}
	case "global_unstructured(L1)":
		network, tensor, _ := strings.Cut(weight, ":")
		if network != "trained/lenet5_dense.safetensors" {
			t.Fatalf("weights of %s", network)
		}
		var err error
		if before, err = builtin.Load("lenet5"); err != nil {
			t.Fatal(err)
		}
		weight = tensor
		o := want.options(t)
		o.Scope = prune.Global{}
		steps = []prune.Options{o}
	default:
		t.Fatalf("no method %s", want.Method)
	}
	after := before
	for _, o := range steps {
		after = apply(t, after, o)
	}

	keep := readMask(t, name, want)
	values, got := before.Weights[weight].Floats(), after.Weights[weight].Floats()
	if len(keep) != len(values) || len(got) != len(values) || want.Total != len(values) {
		t.Fatalf("a mask of %d elements, a weight of %d before and %d after", len(keep), len(values), len(got))
	}
	masked := make([]float32, len(values))
	for i, k := range keep {
		if k {
			masked[i] = values[i]
		}
	}
	parts := slicesOf(before.Weights[weight].Shape, units)
	switch {
	case random:
		// Which are kept is chance. How many is not, and slices go as a whole.
		for i, n := range partNorms(parts, "0", got) {
			if n != 0 && int(n) != len(parts[i]) {
				t.Errorf("%g of the %d elements of slice %d are kept", n, len(parts[i]), i)
			}
		}
		if kept := nonzero(partNorms(slicesOf([]int{len(got)}, prune.Weight{}), "0", got)); kept != want.Kept {
			t.Errorf("%d elements are kept, want %d", kept, want.Kept)
		}
	case strings.Contains(weight, "ties") || want.N == "0":
		// Which of equal magnitudes go is not specified by torch.topk. A zero
		// that is kept cannot be told from one that is not.
		a, b := partNorms(parts, want.N, masked), partNorms(parts, want.N, got)
		if slices.Sort(a); !slices.Equal(a, sorted(b)) {
			t.Errorf("magnitudes %v are kept, want %v", sorted(b), a)
		}
		if kept, want := nonzero(partNorms(parts, "inf", got)), nonzero(partNorms(parts, "inf", masked)); kept != want {
			t.Errorf("%d slices are kept, want %d", kept, want)
		}
	default:
		compareKept(t, want, values, got, keep)
	}
}

// compareKept checks that the same elements are kept.
func compareKept(t *testing.T, want mask, values, got []float32, keep []bool) {
	kept, wrong := 0, 0
	for i, k := range keep {
		if k {
			kept++
		}
		if k != (got[i] != 0) || k && got[i] != values[i] {
			wrong++
		}
	}
	if wrong > 0 || kept != want.Kept {
		t.Errorf("%d of %d elements differ, %d are kept, want %d", wrong, len(keep), kept, want.Kept)
	}
}

// slicesOf lists the elements of each unit of a weight: single elements, or
// slices along an axis.
func slicesOf(shape []int, g prune.Granularity) [][]int {
	n, _ := graph.Elements(shape)
	count, inner := n, 1
	if d, ok := g.(prune.Dim); ok {
		axis := (int(d) + len(shape)) % len(shape)
		count = shape[axis]
		for _, e := range shape[axis+1:] {
			inner *= e
		}
	}
	parts := make([][]int, count)
	for i := range n {
		at := i / inner % count
		parts[at] = append(parts[at], i)
	}
	return parts
}

// partNorms measures parts of v, by the name that torch has for a norm.
func partNorms(parts [][]int, norm string, v []float32) []float64 {
	out := make([]float64, len(parts))
	for p, elements := range parts {
		least := math.Inf(1)
		for _, i := range elements {
			x := math.Abs(float64(v[i]))
			least = min(least, x)
			switch norm {
			case "0":
				if x != 0 {
					out[p]++
				}
			case "1":
				out[p] += x
			case "2":
				out[p] += x * x
			default:
				out[p] = max(out[p], x)
			}
		}
		if norm == "-inf" {
			out[p] = least
		}
	}
	return out
}

func nonzero(v []float64) int {
	n := 0
	for _, x := range v {
		if x != 0 {
			n++
		}
	}
	return n
}

func sorted(v []float64) []float64 { return slices.Sorted(slices.Values(v)) }

// chain makes a model of a product with each of the weights, named by file.
func chain(t *testing.T, files ...string) *graph.Model {
	t.Helper()
	m := &graph.Model{Weights: map[string]*graph.Tensor{}}
	for _, f := range files {
		a := readArray(t, f)
		w, err := graph.NewTensor(graph.Float32, a.Shape, a.Data)
		if err != nil {
			t.Fatal(err)
		}
		m.Weights[f] = w
		m.Nodes = append(m.Nodes, &graph.Node{Op: "MatMul", Inputs: []string{"x", f}, Outputs: []string{"x"}})
	}
	return m
}

func apply(t *testing.T, m *graph.Model, o prune.Options) *graph.Model {
	t.Helper()
	out, _, err := prune.Apply(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readArray(t *testing.T, file string) npy.Array {
	t.Helper()
	raw, err := os.ReadFile(testdata.Path(t, "prune_masks", file))
	if err != nil {
		t.Fatal(err)
	}
	a, err := npy.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// readMask returns which elements are kept.
func readMask(t *testing.T, name string, m mask) []bool {
	t.Helper()
	data := readArray(t, name+".npy").Data
	keep := make([]bool, m.Total)
	for i := range keep {
		if m.Packed == "" {
			keep[i] = data[i] != 0
		} else {
			keep[i] = data[i/8]>>(7-i%8)&1 != 0
		}
	}
	return keep
}
