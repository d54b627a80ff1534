package prune

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// withAttrs returns a node with attributes, given as name, value, name, value.
func withAttrs(n graph.Node, attrs ...any) graph.Node {
	for i := 0; i < len(attrs); i += 2 {
		n.Set(attrs[i].(string), attrs[i+1])
	}
	return n
}

// runnable makes a model of one layer without a bias, named "layer", that can
// be run, and an input for it.
func runnable(n graph.Node, left bool, input []int, weight ...int) (*graph.Model, map[string]*graph.Tensor) {
	n.Name, n.Inputs, n.Outputs = "layer", []string{"x", "w"}, []string{"y"}
	if left {
		n.Inputs = []string{"w", "x"}
	}
	m := &graph.Model{
		IR: 8, Opset: map[string]int{"": 17}, Nodes: []*graph.Node{&n},
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(input...)}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
		Weights: map[string]*graph.Tensor{"w": random(1, weight...)},
	}
	return m, map[string]*graph.Tensor{"x": random(2, input...)}
}

// kinds are layers of every kind and layout.
var kinds = []struct {
	name          string
	node          graph.Node
	left          bool
	input, weight []int
}{
	{"3x3", withAttrs(graph.Node{Op: "Conv"}, "pads", []int{1, 1, 1, 1}), false, []int{2, 3, 5, 6}, []int{4, 3, 3, 3}},
	{"3x3 of stride 2, dilated, padded unevenly", withAttrs(graph.Node{Op: "Conv"}, "pads", []int{2, 0, 1, 3}, "strides", []int{2, 1}, "dilations", []int{1, 2}), false, []int{1, 2, 7, 8}, []int{3, 2, 3, 3}},
	{"same padding", withAttrs(graph.Node{Op: "Conv"}, "auto_pad", "SAME_UPPER", "strides", []int{2, 2}), false, []int{1, 2, 7, 8}, []int{3, 2, 3, 3}},
	{"grouped", withAttrs(graph.Node{Op: "Conv"}, "group", 2), false, []int{2, 6, 4, 4}, []int{4, 3, 2, 2}},
	{"depthwise", withAttrs(graph.Node{Op: "Conv"}, "group", 4, "pads", []int{1, 1, 1, 1}), false, []int{1, 4, 5, 5}, []int{8, 1, 3, 3}},
	{"of rows", withAttrs(graph.Node{Op: "Conv"}, "pads", []int{1, 1}), false, []int{2, 3, 9}, []int{4, 3, 3}},
	{"of volumes", graph.Node{Op: "Conv"}, false, []int{1, 2, 4, 3, 5}, []int{3, 2, 2, 1, 3}},
	{"Gemm", graph.Node{Op: "Gemm"}, false, []int{4, 5}, []int{5, 3}},
	{"Gemm transB", withAttrs(graph.Node{Op: "Gemm"}, "transB", 1), false, []int{4, 5}, []int{3, 5}},
	{"Gemm transA", withAttrs(graph.Node{Op: "Gemm"}, "transA", 1), false, []int{5, 4}, []int{5, 3}},
	{"Gemm, left", graph.Node{Op: "Gemm"}, true, []int{5, 4}, []int{3, 5}},
	{"Gemm transA transB, left", withAttrs(graph.Node{Op: "Gemm"}, "transA", 1, "transB", 1), true, []int{4, 5}, []int{5, 3}},
	{"MatMul", graph.Node{Op: "MatMul"}, false, []int{4, 5}, []int{5, 3}},
	{"MatMul of a batch", graph.Node{Op: "MatMul"}, false, []int{2, 3, 4, 5}, []int{5, 3}},
	{"MatMul of a batch of weights", graph.Node{Op: "MatMul"}, false, []int{2, 3, 4, 5}, []int{3, 5, 2}},
	{"MatMul of a matrix and weights", graph.Node{Op: "MatMul"}, false, []int{4, 5}, []int{3, 5, 2}},
	{"MatMul of a stretched batch", graph.Node{Op: "MatMul"}, false, []int{3, 4, 5}, []int{2, 1, 5, 2}},
	{"MatMul of a vector", graph.Node{Op: "MatMul"}, false, []int{5}, []int{2, 5, 3}},
	{"MatMul, left", graph.Node{Op: "MatMul"}, true, []int{2, 5, 4}, []int{3, 5}},
	{"MatMul of a vector, left", graph.Node{Op: "MatMul"}, true, []int{5}, []int{2, 3, 5}},
}

// TestProducts multiplies the columns of each kind of layer with its weight:
// that is what the runtime computes.
func TestProducts(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			m, set := runnable(k.node, k.left, k.input, k.weight...)
			l := Layers(m)[0]
			u := usesOf(m, []Layer{l})[0][0]
			p := newProbe(m, []string{"x", "y"}, runtime.Config{})
			defer p.close()
			w := m.Weights["w"].Floats()
			err := p.run(t.Context(), set, func(value func(string) (runtime.Tensor, error)) error {
				x, _ := value("x")
				y, err := value("y")
				if err != nil {
					return err
				}
				prod, err := productOf(l, u, x.Shape)
				if err != nil {
					return err
				}
				seen := make([]bool, len(y.F))
				column := make([]float32, l.at.cols)
				for g := range l.at.groups {
					for c := range prod.columns {
						prod.input(x.F, g, c, column)
						at, stride := prod.output(g, c)
						for row := range l.at.rows {
							sum := 0.0
							for i, v := range column {
								sum += float64(v) * float64(w[g*l.at.groupStride+row*l.at.rowStride+i*l.at.colStride])
							}
							i := at + row*stride
							if math.Abs(sum-float64(y.F[i])) > 1e-4 {
								t.Fatalf("output %d is %g, by columns %g", i, y.F[i], sum)
							}
							seen[i] = true
						}
					}
				}
				if slices.Contains(seen, false) {
					t.Error("outputs without a column")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCalibrate compares the statistics of every kind of layer with those that
// follow from its columns.
func TestCalibrate(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			m, set := runnable(k.node, k.left, k.input, k.weight...)
			layers := Layers(m)
			other := map[string]*graph.Tensor{"x": random(3, k.input...)}
			c := Calibration{Data: Sets(set, other), Columns: -1}
			all, err := Calibrate(t.Context(), m, layers, c, Inputs|Hessian|Outputs)
			if err != nil {
				t.Fatal(err)
			}
			got, at := all[0], layers[0].at
			u := usesOf(m, layers)[0][0]
			p, err := productOf(layers[0], u, k.input)
			if err != nil {
				t.Fatal(err)
			}
			w := m.Weights["w"].Floats()
			if got.Columns != 2*p.columns {
				t.Fatalf("%d columns, want %d", got.Columns, 2*p.columns)
			}
			for g := range at.groups {
				hessian, mean, outputs := make([]float64, at.cols*at.cols), make([]float64, at.cols), make([]float64, at.rows)
				for _, x := range []*graph.Tensor{set["x"], other["x"]} {
					for column := range p.columns {
						v := make([]float32, at.cols)
						p.input(x.Floats(), g, column, v)
						for i := range v {
							mean[i] += float64(v[i])
							for j := range v {
								hessian[i*at.cols+j] += float64(v[i]) * float64(v[j])
							}
							for row := range outputs {
								outputs[row] += float64(v[i]) * float64(w[g*at.groupStride+row*at.rowStride+i*at.colStride])
							}
						}
					}
				}
				for i, h := range hessian {
					if math.Abs(h-got.Hessian[g][i]) > 1e-9*float64(got.Columns) {
						t.Fatalf("element %d of the Hessian of group %d is %g, want %g", i, g, got.Hessian[g][i], h)
					}
				}
				for i := range mean {
					s := got.Inputs[g*at.cols+i]
					if math.Abs(s.Sum-mean[i]) > 1e-9 || math.Abs(s.Squares-hessian[i*at.cols+i]) > 1e-9 || s.Count != got.Columns {
						t.Fatalf("input %d of group %d: %+v, want sum %g and squares %g", i, g, s, mean[i], hessian[i*at.cols+i])
					}
				}
				for row, sum := range outputs {
					if s := got.Outputs[g*at.rows+row]; math.Abs(s.Sum-sum) > 1e-3 || s.Count != got.Columns {
						t.Fatalf("output %d of group %d: %+v, want sum %g", row, g, s, sum)
					}
				}
			}
		})
	}
}

func TestMoments(t *testing.T) {
	var m Moments
	for _, x := range []float32{0, -3, 0, 1} {
		m.add(x)
	}
	got := []float64{m.Mean(), m.MeanAbs(), m.RMS(), m.Variance(), m.APoZ()}
	want := []float64{-0.5, 1, math.Sqrt(2.5), 2.25, 0.5}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestActivations follows a convolution through bias, BatchNormalization and
// Relu: half of a channel is zero there.
func TestActivations(t *testing.T) {
	m, _ := runnable(graph.Node{Op: "Conv"}, false, []int{1, 1, 1, 4}, 2, 1, 1, 1)
	m.Weights["w"] = graph.FromFloats([]int{2, 1, 1, 1}, []float32{1, -1})
	vector := func(name string, v ...float32) string {
		m.Weights[name] = graph.FromFloats([]int{len(v)}, v)
		return name
	}
	m.Nodes = append(m.Nodes,
		&graph.Node{Op: "BatchNormalization", Outputs: []string{"n"},
			Inputs: []string{"y", vector("scale", 2, 1), vector("shift", 0, 0), vector("mean", 1, 0), vector("var", 1, 1)}},
		&graph.Node{Op: "Relu", Inputs: []string{"n"}, Outputs: []string{"z"}},
		&graph.Node{Op: "Neg", Inputs: []string{"z"}, Outputs: []string{"out"}})
	m.Outputs[0].Name = "out"
	x := graph.FromFloats([]int{1, 1, 1, 4}, []float32{1, 2, 3, -1})
	all, err := Calibrate(t.Context(), m, Layers(m), Calibration{Data: Sets(map[string]*graph.Tensor{"x": x})}, Activations)
	if err != nil {
		t.Fatal(err)
	}
	a := all[0].Activations
	// 2(x-1) of 1, 2, 3, -1 is 0, 2, 4, -4; -x is positive once.
	if a[0].Zeros != 2 || math.Abs(a[0].Sum-6) > 1e-4 || a[1].Zeros != 3 || math.Abs(a[1].Sum-1) > 1e-4 {
		t.Errorf("moments %+v", a)
	}
}

func TestSampler(t *testing.T) {
	c := Calibration{Columns: 7, Seed: 1}
	l := Layer{at: byRows(1, 1, 3)}
	a, b := c.sampler(l).choose(100), c.sampler(l).choose(100)
	if !slices.Equal(a, b) || len(a) != 7 || a[0] < 0 || a[6] > 99 || !slices.IsSorted(a) || len(slices.Compact(slices.Clone(a))) != 7 {
		t.Errorf("columns %v and %v", a, b)
	}
	if all := c.sampler(l).choose(3); !slices.Equal(all, []int{0, 1, 2}) {
		t.Errorf("columns %v of 3", all)
	}
}

func TestCalibrateErrors(t *testing.T) {
	m, set := runnable(graph.Node{Op: "MatMul"}, false, []int{4, 5}, 5, 3)
	layers := Layers(m)
	fails := func(name, want string, m *graph.Model, layers []Layer, data Data) {
		t.Run(name, func(t *testing.T) {
			_, err := Calibrate(t.Context(), m, layers, Calibration{Data: data}, Hessian)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		})
	}
	fails("no data", "no data", m, layers, nil)
	fails("no sets", "no data", m, layers, Sets())
	fails("a missing input", `no data for input "x"`, m, layers, Sets(map[string]*graph.Tensor{}))
	fails("a wrong type", "element type", m, layers, Sets(map[string]*graph.Tensor{"x": graph.FromInts(graph.Int64, []int{4, 5}, make([]int64, 20))}))
	fails("a wrong shape", "set 0", m, layers, Sets(map[string]*graph.Tensor{"x": random(1, 4, 4)}))
	broken := errors.New("broken")
	fails("a broken file", "broken", m, layers, func(yield func(map[string]*graph.Tensor, error) bool) { yield(nil, broken) })
	large := slices.Clone(layers)
	large[0].at.cols = 1 << 20
	fails("a huge Hessian", "exclude it", m, large, Sets(set))

	ctx, cancel := context.WithCancel(t.Context())
	endless := func(yield func(map[string]*graph.Tensor, error) bool) {
		for i := 0; yield(set, nil); i++ {
			if i == 3 {
				cancel()
			}
		}
	}
	if _, err := Calibrate(ctx, m, layers, Calibration{Data: endless}, Inputs); err != context.Canceled {
		t.Errorf("error %v where the context was canceled", err)
	}
}

func TestRandomData(t *testing.T) {
	m, _ := runnable(graph.Node{Op: "MatMul"}, false, []int{4, 5}, 5, 3)
	m.Inputs[0].Shape[0] = graph.Dim{Symbol: "batch"}
	d, err := RandomData(m, map[string]int{"batch": 3}, 5, 1)
	if err != nil {
		t.Fatal(err)
	}
	var first []float32
	n := 0
	for range 2 {
		for set, err := range d.Take(2) {
			if err != nil {
				t.Fatal(err)
			}
			x := set["x"]
			if !slices.Equal(x.Shape, []int{3, 5}) {
				t.Fatal(x.Shape)
			}
			if n == 0 {
				first = x.Floats()
			} else if same := slices.Equal(first, x.Floats()); same != (n == 2) {
				t.Errorf("set %d is the first one: %v", n, same)
			}
			n++
		}
	}
	if n != 4 {
		t.Errorf("%d sets, want 4", n)
	}
}
