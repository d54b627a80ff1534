package loader

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/sparse"
)

// diffModels says where two models differ, or "".
func diffModels(a, b *graph.Model) string {
	for _, f := range []struct {
		name string
		a, b any
	}{
		{"name", a.Name, b.Name},
		{"inputs", a.Inputs, b.Inputs},
		{"outputs", a.Outputs, b.Outputs},
		{"values", a.Values, b.Values},
		{"operator sets", a.Opset, b.Opset},
		{"metadata", a.Meta, b.Meta},
		{"IR version", max(a.IR, separateIR), max(b.IR, separateIR)},
		{"producer", a.Producer, b.Producer},
		{"number of nodes", len(a.Nodes), len(b.Nodes)},
		{"number of weights", len(a.Weights), len(b.Weights)},
	} {
		if !reflect.DeepEqual(f.a, f.b) {
			return fmt.Sprintf("%s: %v and %v", f.name, f.a, f.b)
		}
	}
	for name := range a.Weights {
		if d := diffTensors(a.Weights[name], b.Weights[name]); d != "" {
			return fmt.Sprintf("weight %s: %s", name, d)
		}
	}
	for i, n := range a.Nodes {
		if d := diffNodes(n, b.Nodes[i]); d != "" {
			return fmt.Sprintf("node %d, %s: %s", i, n, d)
		}
	}
	return ""
}

func diffNodes(a, b *graph.Node) string {
	if a.Name != b.Name || a.Op != b.Op || a.Domain != b.Domain || !slices.Equal(a.Inputs, b.Inputs) || !slices.Equal(a.Outputs, b.Outputs) {
		return fmt.Sprintf("%+v and %+v", a, b)
	}
	if len(a.Attrs) != len(b.Attrs) {
		return fmt.Sprintf("%d attributes and %d", len(a.Attrs), len(b.Attrs))
	}
	for name, x := range a.Attrs {
		y := b.Attrs[name]
		if y == nil || x.Kind != y.Kind || (x.Graph == nil) != (y.Graph == nil) {
			return fmt.Sprintf("attribute %s: %+v and %+v", name, x, y)
		}
		if x.Graph != nil {
			if d := diffModels(x.Graph, y.Graph); d != "" {
				return fmt.Sprintf("attribute %s: %s", name, d)
			}
			continue
		}
		if d := diffTensors(x.Tensor, y.Tensor); d != "" {
			return fmt.Sprintf("attribute %s: %s", name, d)
		}
		u, v := *x, *y
		u.Tensor, v.Tensor = nil, nil
		if fmt.Sprintf("%+v", u) != fmt.Sprintf("%+v", v) { // NaN equals itself here
			return fmt.Sprintf("attribute %s: %+v and %+v", name, u, v)
		}
	}
	return ""
}

func diffTensors(a, b *graph.Tensor) string {
	switch {
	case a == nil && b == nil:
		return ""
	case a == nil || b == nil:
		return "one is absent"
	case a.DType != b.DType || !slices.Equal(a.Shape, b.Shape):
		return fmt.Sprintf("%s %v and %s %v", a.DType, a.Shape, b.DType, b.Shape)
	case reflect.TypeOf(a.Sparse()) != reflect.TypeOf(b.Sparse()):
		return fmt.Sprintf("held as %T and %T", a.Sparse(), b.Sparse())
	case a.Sparse() != nil:
		bits := func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }
		if !slices.EqualFunc(a.Floats(), b.Floats(), bits) {
			return "elements differ"
		}
	case !bytes.Equal(a.Raw(), b.Raw()) || !slices.Equal(a.Strings(), b.Strings()):
		return "elements differ"
	}
	return ""
}

// TestRoundTrip saves every reference model and reads it back.
func TestRoundTrip(t *testing.T) {
	paths := modelFiles(t, "trained", "models", "exported", "mlperf_tiny")
	if len(paths) < 50 {
		t.Errorf("only %d models", len(paths))
	}
	saved := filepath.Join(t.TempDir(), "saved.onnx")
	for _, path := range paths {
		m, err := Load(t.Context(), path)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, o := range []SaveOptions{{}, {Sparse: true}} {
			if err := Save(saved, m, o); err != nil {
				t.Error(err)
				continue
			}
			again, err := Load(t.Context(), saved)
			if err != nil {
				t.Errorf("%s, saved with %+v: %v", path, o, err)
				continue
			}
			if o.Sparse {
				again.IR = m.IR
			}
			if d := diffModels(m, again); d != "" {
				t.Errorf("%s, saved with %+v: %s", path, o, d)
			}
		}
	}
}

// TestSaveSparse compares the sizes of a sparse model's file, dense and
// sparse, and checks that both hold the same weight.
func TestSaveSparse(t *testing.T) {
	const rows, cols = 64, 96
	w := make([]float32, rows*cols)
	for i := 0; i < len(w); i += 10 {
		w[i] = float32(i + 1)
	}
	csr, err := sparse.FromDense(rows, cols, w)
	if err != nil {
		t.Fatal(err)
	}
	for _, held := range []sparse.Matrix{csr, csr.BSR(4, 1)} {
		weight, err := graph.NewSparse([]int{rows, cols}, held)
		if err != nil {
			t.Fatal(err)
		}
		m := &graph.Model{
			Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "batch"}, {Size: cols}}}},
			Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
			Nodes:   []*graph.Node{{Op: "Gemm", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
			Weights: map[string]*graph.Tensor{"w": weight},
			Opset:   map[string]int{"": 17},
		}
		m.Nodes[0].Set("transB", 1)
		sizes := map[bool]int64{}
		for _, sparse := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "m.onnx")
			if err := Save(path, m, SaveOptions{Sparse: sparse}); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			sizes[sparse] = info.Size()
			got, err := Load(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if s := got.Weights["w"].Sparse(); s == nil || s.NNZ() != csr.NNZ() {
				t.Errorf("%T, written sparse %t: read back as %T", held, sparse, s)
			}
			if !slices.Equal(got.Weights["w"].Floats(), w) {
				t.Errorf("%T, written sparse %t: elements differ", held, sparse)
			}
			if got.Inputs[0].Shape[0].Symbol != "batch" {
				t.Errorf("the symbolic extent became %+v", got.Inputs[0].Shape[0])
			}
		}
		if sizes[true]*2 > sizes[false] {
			t.Errorf("%T: %d bytes sparse, %d dense", held, sizes[true], sizes[false])
		}
	}
}

func TestSaveRefuses(t *testing.T) {
	endless := &graph.Node{Op: "If"}
	endless.Attrs = map[string]*graph.Attr{"then_branch": {Kind: graph.AttrGraph, Graph: &graph.Model{Nodes: []*graph.Node{endless}}}}
	for _, tt := range []struct {
		node *graph.Node
		want string
	}{
		{&graph.Node{Op: "Conv", Domain: graph.FusedDomain, Outputs: []string{"y"}}, `node Conv of "y" exists only inside of the runtime`},
		{&graph.Node{Op: "Optional", Name: "n", Attrs: map[string]*graph.Attr{"type": {Kind: 13}}}, `node Optional "n": attribute "type" of kind 13 cannot be written`},
		{endless, "graphs nest more than 16 deep"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.onnx")
		err := Save(path, &graph.Model{Nodes: []*graph.Node{tt.node}}, SaveOptions{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %s", err, tt.want)
		}
		if files, _ := os.ReadDir(dir); len(files) != 0 {
			t.Errorf("%s was left behind", files[0].Name())
		}
	}
}

// TestSaveLarge refuses what no reader of the format accepts. The weights share
// memory that nothing touches.
func TestSaveLarge(t *testing.T) {
	const n = 1 << 26
	shared := graph.FromFloats([]int{n}, make([]float32, n))
	m := &graph.Model{Weights: make(map[string]*graph.Tensor)}
	for i := range 8 {
		m.Weights[fmt.Sprint("w", i)] = shared
	}
	err := Save(filepath.Join(t.TempDir(), "m.onnx"), m, SaveOptions{})
	if err == nil || !strings.Contains(err.Error(), "an ONNX file holds at most 2147483647") {
		t.Errorf("error %v", err)
	}
}

// TestTensorFiles writes tensors of every element type and reads them back.
func TestTensorFiles(t *testing.T) {
	strings, err := graph.NewStrings([]int{2, 1}, []string{"a", ""})
	if err != nil {
		t.Fatal(err)
	}
	tensors := []*graph.Tensor{strings}
	for dt := graph.Float32; dt.Valid(); dt++ {
		if dt == graph.String {
			continue
		}
		for _, shape := range [][]int{{}, {3, 5}, {2, 0}} {
			n, err := graph.Elements(shape)
			if err != nil {
				t.Fatal(err)
			}
			raw := make([]byte, dt.Size(n))
			for i := range raw {
				raw[i] = byte(17 * i)
			}
			x, err := graph.NewTensor(dt, shape, raw)
			if err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, x)
		}
	}
	path := filepath.Join(t.TempDir(), "x.pb")
	for _, x := range tensors {
		if err := WriteTensor(path, "x", x); err != nil {
			t.Fatal(err)
		}
		name, got, err := ReadTensor(path)
		if err != nil {
			t.Errorf("%s %v: %v", x.DType, x.Shape, err)
		} else if d := diffTensors(x, got); name != "x" || d != "" {
			t.Errorf("%s %v: %s", x.DType, x.Shape, d)
		}
	}
	if _, _, err := ReadTensor(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}
