package prune

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nnz-dev/nnz/graph"
)

// newSystem makes a problem of random weights and inputs, of which those of the
// pruned model are the dense one's with some noise. The weights in the mask are
// zero.
func newSystem(seed uint64, rows, cols, columns int, mask func(row, col int) bool) system {
	r := rand.New(rand.NewPCG(seed, 2))
	s := system{
		rows: rows, cols: cols, columns: float64(columns),
		dense: make([]float64, rows*cols), hessian: make([]float64, cols*cols), cross: make([]float64, cols*cols),
		mean: make([]float64, cols), meanDense: make([]float64, cols),
	}
	for i := range s.dense {
		s.dense[i] = r.NormFloat64()
	}
	s.weight = slices.Clone(s.dense)
	for i := range s.weight {
		if mask(i/cols, i%cols) {
			s.weight[i] = 0
		}
	}
	x, y := make([]float64, cols), make([]float64, cols)
	for range columns {
		common := r.NormFloat64() // makes inputs depend on each other
		for i := range x {
			x[i] = r.NormFloat64() + common + 0.5
			y[i] = x[i] + 0.1*r.NormFloat64()
		}
		axpy(s.mean, 1, y)
		axpy(s.meanDense, 1, x)
		for i := range y {
			axpy(s.hessian[i*cols:(i+1)*cols], y[i], y)
			axpy(s.cross[i*cols:(i+1)*cols], y[i], x)
		}
	}
	return s
}

func halves(row, col int) bool { return (row*7+col*3)%5 < 2 }

// naiveOBS solves for the weights without zeros, then removes weights from the
// left to the right by the update of Optimal
// Brain Surgeon, with the inverse of the Hessian of the columns that are left
// made anew for each.
func naiveOBS(s system, damping float64, goes func(w []float64, cost func(row, col int) float64, col int) []bool) []float64 {
	n := s.cols
	w := make([]float64, len(s.dense))
	h := slices.Clone(s.hessian)
	for i := range n {
		h[i*n+i] += damping
	}
	all := inverse(h, n)
	for row := range s.rows {
		b := make([]float64, n)
		for i := range b {
			b[i] = damping*s.dense[row*n+i] + dot(s.cross[i*n:(i+1)*n], s.dense[row*n:(row+1)*n])
		}
		for i := range b {
			w[row*n+i] = dot(all[i*n:(i+1)*n], b)
		}
	}
	inverses := make([][]float64, n) // of the columns from each on
	for col := range n {
		m := n - col
		h := make([]float64, m*m)
		for i := range m {
			copy(h[i*m:(i+1)*m], s.hessian[(col+i)*n+col:(col+i)*n+n])
			h[i*m+i] += damping
		}
		inverses[col] = inverse(h, m)
	}
	cost := func(row, col int) float64 {
		x := w[row*n+col]
		return x * x / inverses[col][0]
	}
	for col := range n {
		inv := inverses[col]
		for row, gone := range goes(w, cost, col) {
			if gone {
				axpy(w[row*n+col:(row+1)*n], -w[row*n+col]/inv[0], inv[:n-col])
				w[row*n+col] = 0
			}
		}
	}
	return w
}

func near(t *testing.T, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tolerance) {
			t.Fatalf("number %d is %g, want %g", i, got[i], want[i])
		}
	}
}

func TestSparseGPTWithMask(t *testing.T) {
	const rows, cols = 5, 140 // beyond a block
	s := newSystem(1, rows, cols, 300, halves)
	damping := s.damping(0.01)
	want := naiveOBS(s, damping, func(_ []float64, _ func(row, col int) float64, col int) []bool {
		gone := make([]bool, rows)
		for row := range gone {
			gone[row] = halves(row, col)
		}
		return gone
	})
	if err := s.sparseGPT(Recovery{Damping: 0.01}); err != nil {
		t.Fatal(err)
	}
	near(t, s.weight, want, 1e-8)
}

// TestSparseGPTChooses has the naive version choose by the same rule at the
// beginning of each block, or of each group of a pattern.
func TestSparseGPTChooses(t *testing.T) {
	const rows, cols = 4, 140
	cases := []struct {
		name string
		r    Recovery
		gone []int // how many units go of each block of columns
	}{
		{"weights", Recovery{}, []int{205, 19}}, // 224 of 560 lie in the mask, 512 weights in the first block
		{"4x1", Recovery{Granularity: Block{4, 1}}, []int{64, 6}},
		{"2:4", Recovery{Granularity: Pattern{2, 4}}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			mask := halves
			if _, ok := c.r.Granularity.(Block); ok {
				mask = func(_, col int) bool { return col%2 == 0 }
			}
			s := newSystem(3, rows, cols, 300, mask)
			c.r.Damping, c.r.Choose = 0.01, true
			gone := make([]bool, rows*cols)
			want := naiveOBS(s, s.damping(0.01), func(_ []float64, cost func(row, col int) float64, col int) []bool {
				if col%SparseGPTBlock == 0 {
					end := min(col+SparseGPTBlock, cols)
					naiveChoice(c.r, rows, cols, col, end, cost, gone, c.gone, col/SparseGPTBlock)
				}
				some := make([]bool, rows)
				for row := range some {
					some[row] = gone[row*cols+col]
				}
				return some
			})
			if err := s.sparseGPT(c.r); err != nil {
				t.Fatal(err)
			}
			near(t, s.weight, want, 1e-8)
		})
	}
}

// naiveChoice marks the cheapest units of the columns [from, end).
func naiveChoice(r Recovery, rows, cols, from, end int, cost func(row, col int) float64, gone []bool, counts []int, block int) {
	type unit struct {
		cells []int
		cost  float64
	}
	mark := func(units []unit, n int) {
		for range n {
			best := -1
			for i, u := range units {
				if !gone[u.cells[0]] && (best < 0 || u.cost < units[best].cost) {
					best = i
				}
			}
			for _, i := range units[best].cells {
				gone[i] = true
			}
		}
	}
	switch g := r.Granularity.(type) {
	case Pattern:
		for row := range rows {
			for col := from; col < end; col += g.M {
				var units []unit
				for j := range g.M {
					units = append(units, unit{[]int{row*cols + col + j}, cost(row, col+j)})
				}
				mark(units, g.M-g.N)
			}
		}
	case Block:
		var units []unit
		for col := from; col < end; col++ {
			u := unit{}
			for row := range rows {
				u.cells = append(u.cells, row*cols+col)
				u.cost += cost(row, col)
			}
			units = append(units, u)
		}
		mark(units, counts[block])
	default:
		var units []unit
		for row := range rows {
			for col := from; col < end; col++ {
				units = append(units, unit{[]int{row*cols + col}, cost(row, col)})
			}
		}
		mark(units, counts[block])
	}
}

// TestRefit compares with normal equations solved by elimination.
func TestRefit(t *testing.T) {
	for name, mask := range map[string]func(row, col int) bool{
		"each row its own": halves,
		"shared":           func(_, col int) bool { return col%3 == 0 },
		"empty rows":       func(row, col int) bool { return row == 1 || halves(row, col) },
	} {
		t.Run(name, func(t *testing.T) {
			const rows, cols = 6, 30
			s := newSystem(4, rows, cols, 100, mask)
			damping := s.damping(0.02)
			want := make([]float64, rows*cols)
			for row := range rows {
				support := nonzeros(s.weight[row*cols : (row+1)*cols])
				n := len(support)
				if n == 0 {
					continue
				}
				a, b := make([]float64, n*n), make([]float64, n)
				for i, p := range support {
					for j, q := range support {
						a[i*n+j] = s.hessian[p*cols+q]
					}
					a[i*n+i] += damping
					b[i] = damping * s.weight[row*cols+p]
					for q := range cols {
						b[i] += s.cross[p*cols+q] * s.dense[row*cols+q]
					}
				}
				inv := inverse(a, n)
				for i, p := range support {
					want[row*cols+p] = dot(inv[i*n:(i+1)*n], b)
				}
			}
			if err := s.refit(0.02); err != nil {
				t.Fatal(err)
			}
			near(t, s.weight, want, 1e-9)
		})
	}
}

// TestOBS compares with an inverse by elimination.
func TestOBS(t *testing.T) {
	m, set := runnable(withAttrs(graph.Node{Op: "Conv"}, "pads", []int{1, 1, 1, 1}, "group", 2), false, []int{2, 4, 6, 6}, 4, 2, 3, 3)
	layers := Layers(m)
	c := Calibration{Data: Sets(set), Columns: -1}
	all, err := Calibrate(t.Context(), m, layers, c, Inputs|Hessian)
	if err != nil {
		t.Fatal(err)
	}
	w := m.Weights["w"].Floats()
	obs, obd, wanda := &OBS{Calibration: c, Damping: 0.05}, &OBD{Calibration: c}, &Wanda{Calibration: c}
	scores := make([][]float32, 3)
	for i, criterion := range []Calibrated{obs, obd, wanda} {
		if _, err := criterion.Saliency(layers[0], w); err == nil {
			t.Fatal("scores without a calibration")
		}
		if err := criterion.Calibrate(t.Context(), m, layers); err != nil {
			t.Fatal(err)
		}
		if scores[i], err = criterion.Saliency(layers[0], w); err != nil {
			t.Fatal(err)
		}
	}
	at := layers[0].at
	n := at.cols
	for g, h := range all[0].Hessian {
		mean, trace := make([]float64, n*n), 0.0
		for i, x := range h {
			mean[i] = x / float64(all[0].Columns)
		}
		for i := range n {
			trace += mean[i*n+i]
		}
		for i := range n {
			mean[i*n+i] += 0.05 * trace / float64(n)
		}
		inv := inverse(mean, n)
		for row := range at.rows {
			for col := range n {
				i := g*at.groupStride + row*at.rowStride + col
				x, square := float64(w[i]), h[col*n+col]/float64(all[0].Columns)
				near(t, []float64{float64(scores[0][i]), float64(scores[1][i]), float64(scores[2][i])},
					[]float64{x * x / inv[col*n+col] / 2, x * x * square / 2, math.Abs(x) * math.Sqrt(square)}, 1e-5)
			}
		}
	}
}

// TestWandaRows takes the same share of every row, by weights times norms.
func TestWandaRows(t *testing.T) {
	m, _ := runnable(withAttrs(graph.Node{Op: "Gemm"}, "transB", 1), false, []int{1, 4}, 2, 4)
	m.Weights["w"] = graph.FromFloats([]int{2, 4}, []float32{1, 2, 3, 4, 10, -20, 3, 40})
	x := graph.FromFloats([]int{1, 4}, []float32{10, 1, 1, 1})
	c := Calibration{Data: Sets(map[string]*graph.Tensor{"x": x})}
	out, _, err := Apply(t.Context(), m, Options{Sparsity: 0.5, Criterion: &Wanda{Calibration: c, Rows: true}})
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{1, 0, 0, 4, 10, 0, 0, 40}
	if got := out.Weights["w"].Floats(); !slices.Equal(got, want) {
		t.Errorf("weights %v, want %v", got, want)
	}
}

// network makes a convolution, Relu, another one, and a product, with Relu
// between, that start with 8 channels of 6 x 6 pixels.
func network() (*graph.Model, Calibration) {
	m := &graph.Model{
		IR: 8, Opset: map[string]int{"": 17},
		Inputs:  []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(4, 8, 6, 6)}},
		Outputs: []*graph.Value{{Name: "y", DType: graph.Float32}},
		Weights: map[string]*graph.Tensor{
			"w1": random(1, 12, 8, 3, 3), "w2": random(2, 10, 12, 1, 1), "b2": random(3, 10), "w3": random(4, 160, 8),
		},
	}
	first := withAttrs(graph.Node{Op: "Conv", Inputs: []string{"x", "w1"}, Outputs: []string{"h1"}})
	second := withAttrs(graph.Node{Op: "Conv", Inputs: []string{"r1", "w2", "b2"}, Outputs: []string{"h2"}})
	flat := withAttrs(graph.Node{Op: "Flatten", Inputs: []string{"r2"}, Outputs: []string{"f"}}, "axis", 1)
	m.Nodes = []*graph.Node{
		&first, {Op: "Relu", Inputs: []string{"h1"}, Outputs: []string{"r1"}},
		&second, {Op: "Relu", Inputs: []string{"h2"}, Outputs: []string{"r2"}},
		&flat, {Op: "MatMul", Inputs: []string{"f", "w3"}, Outputs: []string{"y"}},
	}
	var sets []map[string]*graph.Tensor
	for i := range 60 {
		sets = append(sets, map[string]*graph.Tensor{"x": random(uint64(10+i), 4, 8, 6, 6)})
	}
	return m, Calibration{Data: Sets(sets...)}
}

// TestRecover prunes a network and makes up for it: each method leaves what is
// zero, and comes closer to the dense model, a refit closest, on the data.
func TestRecover(t *testing.T) {
	m, c := network()
	pruned, _, err := Apply(t.Context(), m, Options{Sparsity: 0.6})
	if err != nil {
		t.Fatal(err)
	}
	before, err := OutputErrors(t.Context(), m, pruned, c)
	if err != nil {
		t.Fatal(err)
	}
	after := make(map[Method]float64)
	for _, method := range []Method{BiasCorrection, SparseGPT, Refit} {
		out, err := Recover(t.Context(), m, pruned, Recovery{Method: method, Calibration: c})
		if err != nil {
			t.Fatal(err)
		}
		for name, w := range pruned.Weights {
			got := out.Weights[name].Floats()
			for i, x := range w.Floats() {
				if strings.HasPrefix(name, "w") && x == 0 && got[i] != 0 {
					t.Fatalf("%s: element %d of %s was pruned and is %g", method, i, name, got[i])
				}
			}
		}
		errors, err := OutputErrors(t.Context(), m, out, c)
		if err != nil {
			t.Fatal(err)
		}
		after[method] = errors["y"]
	}
	bias, gpt, refit := after[BiasCorrection], after[SparseGPT], after[Refit]
	if !(bias < before["y"] && gpt < before["y"] && refit < min(bias, gpt)) {
		t.Errorf("an error of %.3f becomes %.3f with biases, %.3f with SparseGPT and %.3f with a refit", before["y"], bias, gpt, refit)
	}
	if b := pruned.Weights["b2"].Floats(); !slices.Equal(b, m.Weights["b2"].Floats()) || len(pruned.Nodes) != len(m.Nodes) {
		t.Error("the pruned model was changed")
	}
	layers, err := LayerErrors(t.Context(), m, pruned, Layers(m), c)
	if err != nil || len(layers) != 3 || layers["w1"] <= 0 {
		t.Errorf("errors of layers %v, %v", layers, err)
	}
}

// TestRecoverChooses keeps the number of zeros of each layer.
func TestRecoverChooses(t *testing.T) {
	m, c := network()
	for _, o := range []Options{{Sparsity: 0.6}, {Sparsity: 0.5, Granularity: Block{2, 1}}, {Granularity: Pattern{2, 4}}} {
		pruned, _, err := Apply(t.Context(), m, o)
		if err != nil {
			t.Fatal(err)
		}
		r := Recovery{Method: SparseGPT, Calibration: c, Choose: true, Granularity: o.Granularity}
		out, err := Recover(t.Context(), m, pruned, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range Layers(m) {
			a, b := pruned.Weights[l.Weight].Floats(), out.Weights[l.Weight].Floats()
			if countKey(a, 0) != countKey(b, 0) {
				t.Errorf("%v: %d zeros in %s, want %d", o, countKey(b, 0), l.Weight, countKey(a, 0))
			}
		}
	}
}

// TestBiasCorrection leaves no error in the mean of the outputs, whatever kind
// of layer there is and whatever bias it has.
func TestBiasCorrection(t *testing.T) {
	for _, k := range kinds {
		for _, bias := range []string{"none", "constant", "shared"} {
			if k.node.Op == "MatMul" && (k.left || len(k.weight) > 2) && bias != "none" {
				continue // nothing but an Add of its own can have it
			}
			t.Run(k.name+", "+bias, func(t *testing.T) {
				m, set := runnable(k.node, k.left, k.input, k.weight...)
				l := Layers(m)[0]
				n := l.at.groups * l.at.rows
				shape := []int{n}
				if k.left {
					shape = []int{n, 1}
				}
				if bias != "none" {
					if k.node.Op == "MatMul" {
						m.Nodes[0].Outputs[0] = "product"
						m.Nodes = append(m.Nodes, &graph.Node{Op: "Add", Inputs: []string{"product", "b"}, Outputs: []string{"y"}})
					} else {
						m.Nodes[0].Inputs = append(m.Nodes[0].Inputs, "b")
					}
					m.Weights["b"] = random(5, shape...)
				}
				if bias == "shared" {
					m.Nodes = append(m.Nodes, &graph.Node{Op: "Neg", Inputs: []string{"b"}, Outputs: []string{"minus"}})
					m.Outputs = append(m.Outputs, &graph.Value{Name: "minus", DType: graph.Float32})
				}
				c := Calibration{Data: Sets(set, map[string]*graph.Tensor{"x": random(9, k.input...)}), Columns: -1}
				pruned, _, err := Apply(t.Context(), m, Options{Sparsity: 0.5})
				if err != nil {
					t.Fatal(err)
				}
				out, err := Recover(t.Context(), m, pruned, Recovery{Method: BiasCorrection, Calibration: c})
				if err != nil {
					t.Fatal(err)
				}
				// Biases of before do not count: once more changes nothing.
				again, err := Recover(t.Context(), m, out, Recovery{Method: BiasCorrection, Calibration: c})
				if err != nil {
					t.Fatal(err)
				}
				if len(again.Nodes) != len(out.Nodes) || len(again.Weights) != len(out.Weights) {
					t.Errorf("a second correction makes %d nodes of %d", len(again.Nodes), len(out.Nodes))
				}
				out = again
				// Means of the model's output, over all but the axis of the channels.
				var means [3][]Moments
				for i, model := range []*graph.Model{m, out, pruned} {
					model = model.Clone()
					layers := Layers(model)
					u := usesOf(model, layers)[0][0]
					meter := newMeter(model, layers[0], nil, c, Outputs)
					for set := range c.Data {
						values := outputsOf(t, model, set)
						p, err := productOf(layers[0], u, set["x"].Shape)
						if err != nil {
							t.Fatal(err)
						}
						p.measureOutputs(values["y"], meter.outputs)
					}
					means[i] = meter.outputs
				}
				changed := false
				for i := range means[0] {
					want, got := means[0][i].Mean(), means[1][i].Mean()
					if math.Abs(want-got) > 1e-5 {
						t.Errorf("the mean of output %d is %g, want %g", i, got, want)
					}
					changed = changed || math.Abs(want-means[2][i].Mean()) > 1e-3
				}
				if !changed {
					t.Error("pruning has changed nothing")
				}
				if bias == "shared" {
					a, b := m.Weights["b"].Floats(), out.Weights["b"].Floats()
					if !slices.Equal(a, b) {
						t.Error("the bias of another node was changed")
					}
				}
			})
		}
	}
}

// outputsOf runs a model.
func outputsOf(t *testing.T, m *graph.Model, set map[string]*graph.Tensor) map[string][]float32 {
	t.Helper()
	var names []string
	for _, o := range m.Outputs {
		names = append(names, o.Name)
	}
	p := newProbe(m, names, Calibration{}.Config)
	defer p.close()
	out := make(map[string][]float32)
	err := p.run(t.Context(), set, func(value valueFunc) error {
		for _, n := range names {
			v, err := value(n)
			if err != nil {
				return err
			}
			out[n] = slices.Clone(v.F)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStages(t *testing.T) {
	m := &graph.Model{Weights: map[string]*graph.Tensor{}}
	product := func(in, out string) {
		m.Weights[out+".w"] = random(1, 2, 2)
		m.Nodes = append(m.Nodes, &graph.Node{Op: "MatMul", Inputs: []string{in, out + ".w"}, Outputs: []string{out}})
	}
	product("x", "q")
	product("x", "k")
	product("q", "deep")
	m.Nodes = append(m.Nodes, &graph.Node{Op: "Add", Inputs: []string{"k", "deep"}, Outputs: []string{"sum"}})
	product("x", "v")
	product("sum", "last")
	var got []string
	for _, stage := range stages(m, Layers(m)) {
		var names []string
		for _, l := range stage {
			names = append(names, l.Weight)
		}
		got = append(got, strings.Join(names, " "))
	}
	if want := []string{"q.w k.w v.w", "deep.w", "last.w"}; !slices.Equal(got, want) {
		t.Errorf("stages %q, want %q", got, want)
	}
}

func TestRecoverErrors(t *testing.T) {
	m, c := network()
	pruned, _, err := Apply(t.Context(), m, Options{Sparsity: 0.6})
	if err != nil {
		t.Fatal(err)
	}
	half, err := graph.NewTensor(graph.Float16, []int{160, 8}, make([]byte, 2*160*8))
	if err != nil {
		t.Fatal(err)
	}
	other := pruned.Clone()
	other.Weights["w3"] = half
	broken := m.Clone()
	broken.Weights["w1"] = graph.FromFloats([]int{12, 8, 3, 3}, slices.Repeat([]float32{float32(math.Inf(1))}, 12*8*9))
	without := m.Clone()
	delete(without.Weights, "w1")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	cases := []struct {
		name          string
		ctx           context.Context
		dense, pruned *graph.Model
		r             Recovery
		want          string
	}{
		{"no method", t.Context(), m, pruned, Recovery{Calibration: c}, "no method"},
		{"no data", t.Context(), m, pruned, Recovery{Method: Refit}, "no data"},
		{"a negative damping", t.Context(), m, pruned, Recovery{Method: Refit, Calibration: c, Damping: -1}, "damping"},
		{"half precision", t.Context(), m, other, Recovery{Method: Refit, Calibration: c}, `"w3" is float16`},
		{"another model", t.Context(), without, pruned, Recovery{Method: Refit, Calibration: c}, `"w1": the dense model has none`},
		{"infinite weights", t.Context(), broken, pruned, Recovery{Method: Refit, Calibration: c}, "finite"},
		{"canceled", canceled, m, pruned, Recovery{Method: Refit, Calibration: c}, "canceled"},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			if _, err := Recover(k.ctx, k.dense, k.pruned, k.r); err == nil || !strings.Contains(err.Error(), k.want) {
				t.Errorf("error %v, want one with %q", err, k.want)
			}
		})
	}
	wide := newSystem(1, 1, 4, 10, func(int, int) bool { return false })
	wide.cols, wide.weight = MaxSupport+1, slices.Repeat([]float64{1}, MaxSupport+1)
	wide.hessian = make([]float64, wide.cols*wide.cols)
	wide.hessian[0] = 1
	if err := wide.refit(0.01); err == nil || !strings.Contains(err.Error(), fmt.Sprint(MaxSupport)) {
		t.Errorf("error %v of a row of too many weights", err)
	}
}
