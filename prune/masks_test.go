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
	Kept   int    `json:"kept"`
	Total  int    `json:"total"`
	Packed string `json:"packed"`            // how bits are packed, empty for a byte each
	Scores string `json:"importance_scores"` // file, for a criterion other than magnitude
}

// TestMasks compares with every mask of the reference that a method we have
// makes.
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
			if err := d.Decode(&want); err != nil {
				t.Fatal(err)
			}
			checkMask(t, name, want)
		})
	}
}

// fraction returns an amount as a share of n weights.
func (m mask) fraction(t *testing.T, n int) float64 {
	t.Helper()
	amount, ok := m.Amount.(json.Number)
	if !ok {
		t.Fatalf("amount %v", m.Amount)
	}
	f, err := amount.Float64()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(amount.String(), ".") {
		f /= float64(n)
	}
	return f
}

func checkMask(t *testing.T, name string, want mask) {
	const globalOver = "global_unstructured(L1Unstructured) over [fc, conv, ties] in that order"
	var before, after *graph.Model
	var weight string
	switch {
	case want.Method == "L1Unstructured" && want.Scores == "":
		before = chain(t, want.Weight)
		weight = want.Weight
		after = apply(t, before, prune.Options{Sparsity: want.fraction(t, want.Total)})
	case want.Method == "L1Unstructured x2 (PruningContainer)":
		before = chain(t, want.Weight)
		weight = want.Weight
		after = apply(t, before, prune.Options{Sparsity: 0.5})
		after = apply(t, after, prune.Options{Sparsity: 0.75}) // half of what is left
	case want.Method == globalOver:
		before = chain(t, "weight_fc.npy", "weight_conv.npy", "weight_ties.npy")
		weight = want.Weight
		n := 0
		for _, l := range prune.Layers(before) {
			n += before.Weights[l.Weight].Len()
		}
		after = apply(t, before, prune.Options{Sparsity: want.fraction(t, n), Scope: prune.Global{}})
	case want.Method == "global_unstructured(L1)" && strings.HasPrefix(want.Weight, "trained/lenet5_dense.safetensors:"):
		var err error
		if before, err = builtin.Load("lenet5"); err != nil {
			t.Fatal(err)
		}
		_, weight, _ = strings.Cut(want.Weight, ":")
		after = apply(t, before, prune.Options{Sparsity: want.fraction(t, want.Total), Scope: prune.Global{}})
	case want.Scores != "":
		t.Skip("no criterion of given scores yet")
	default:
		t.Skipf("no method %s yet", want.Method)
	}

	keep := readMask(t, name, want)
	values, got := before.Weights[weight].Floats(), after.Weights[weight].Floats()
	if len(keep) != len(values) || len(got) != len(values) || want.Total != len(values) {
		t.Fatalf("a mask of %d elements, a weight of %d before and %d after", len(keep), len(values), len(got))
	}
	if strings.Contains(weight, "ties") {
		// Which of equal magnitudes go is not specified by torch.topk. A zero
		// that is kept cannot be told from one that is not.
		masked := make([]float32, len(values))
		for i, k := range keep {
			if k {
				masked[i] = values[i]
			}
		}
		if a, b := magnitudes(masked), magnitudes(got); !slices.Equal(a, b) {
			t.Errorf("magnitudes %v are kept, want %v", b, a)
		}
		return
	}
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

// magnitudes returns the absolute values in ascending order.
func magnitudes(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = math.Abs(float64(x))
	}
	slices.Sort(out)
	return out
}
