package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
)

func TestClasses(t *testing.T) {
	for _, c := range Classes() {
		if len(c.Goals) != len(c.Sparsities()) || len(c.Layers) == 0 {
			t.Errorf("%s: %d goals, %d layers", c.Name, len(c.Goals), len(c.Layers))
		}
		for _, l := range c.Layers {
			dense := 0
			for _, d := range Drivers() {
				if d.fits(l) && !d.Sparse && (!d.Winograd || c.Winograd) {
					dense++
				}
			}
			if dense == 0 {
				t.Errorf("%s: no dense driver for %v", c.Name, l)
			}
		}
	}
}

func TestFits(t *testing.T) {
	linear := kernels.Layer{In: 8, Out: 8, Columns: 4}
	pointwise := kernels.Layer{In: 8, Out: 8, Size: 7, Kernel: 1}
	square := kernels.Layer{In: 8, Out: 8, Size: 7, Kernel: 3}
	strided := kernels.Layer{In: 8, Out: 8, Size: 7, Kernel: 3, Stride: 2}
	for _, c := range []struct {
		variant string
		fits    [4]bool
	}{
		{"direct", [4]bool{false, true, true, true}},
		{"winograd", [4]bool{false, false, true, false}},
		{"inner", [4]bool{true, false, false, false}},
		{"sgemm", [4]bool{true, true, false, false}},
	} {
		for i, l := range []kernels.Layer{linear, pointwise, square, strided} {
			if got := (Driver{Variant: c.variant}).fits(l); got != c.fits[i] {
				t.Errorf("%s fits %v: %t", c.variant, l, got)
			}
		}
	}
}

func TestGoal(t *testing.T) {
	c := Class{Goals: []float64{1, 2, 3, 4}}
	dense := Class{Dense: true, Goals: []float64{0.9}}
	for _, x := range []struct {
		class    Class
		isa      isa.ISA
		sparsity float64
		want     float64
	}{
		{c, isa.AVX512, 0.7, 1}, {c, isa.AVX512, 0.95, 4}, {c, isa.AVX512, 0.85, 0},
		{c, isa.AVX2, 0.7, 0}, {c, isa.AVX2, 0.8, 4}, {c, isa.AVX2, 0.9, 7}, {c, isa.AVX2, 0.95, 12},
		{dense, isa.AVX512, 0, 0.9}, {dense, isa.AVX2, 0, 0.9}, {dense, isa.AVX512, 0.9, 0}, {dense, isa.NEON, 0, 0},
		{c, isa.NEON, 0.9, 0}, {Masks(128), isa.AVX512, 0.9, 0}, {Masks(128), isa.AVX2, 0.9, 0},
	} {
		if got := x.class.Goal(x.isa, x.sparsity); got != x.want {
			t.Errorf("%v at %g: %g, want %g", x.isa, x.sparsity, got, x.want)
		}
	}
}

// TestProblem reads back what engines are given.
func TestProblem(t *testing.T) {
	c := kernels.NewCase(kernels.Layer{In: 8, Out: 8, Columns: 4}, 1, 0.5)
	x := make([]float32, 32)
	for i := range x {
		x[i] = float32(i)
	}
	p, err := NewProblem(c, x)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(p.file(layerFile)); err != nil || info.Size() != 4*(6+64+32) {
		t.Errorf("the file of the layer: %v, error %v", info, err)
	}
	m, err := loader.Load(t.Context(), p.file(modelFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Inputs) != 1 || len(p.input) != 1 || p.input[0].Name != m.Inputs[0].Name {
		t.Errorf("the model has the inputs %v, the problem %v", m.Inputs, p.input)
	}
	if len(m.Outputs) != 2 || !slices.Equal(m.Outputs[0].Shape, graph.Dims(4, 8)) || m.Outputs[1].Name != part {
		t.Errorf("the model has the outputs %v", m.Outputs)
	}
	data, err := os.ReadFile(p.file(inputFile))
	if err != nil || len(data) != 4*32 {
		t.Fatalf("%d bytes of input, error %v", len(data), err)
	}
	if got := math.Float32frombits(binary.NativeEndian.Uint32(data[4:])); got != 4 {
		t.Errorf("the second feature of the first column is %v, want 4", got)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.dir); err == nil {
		t.Error("the files are left behind")
	}
	if _, err := NewProblem(kernels.Case{Layer: kernels.Layer{Groups: 2}}, nil); err == nil {
		t.Error("groups gave no error")
	}
}

func TestMissingDriver(t *testing.T) {
	p := &Problem{dir: t.TempDir()}
	if _, err := p.Start(context.Background(), Driver{Engine: "abacus"}, t.TempDir(), isa.Detect(), 1); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("error %v", err)
	}
	if _, err := p.Start(context.Background(), Driver{Engine: ORTName}, "", isa.Generic, 1); !says(err, "cannot be held to generic") && isa.Detect() != isa.Generic {
		t.Errorf("error %v", err)
	}
}

// TestCompare needs no driver: ours are measured, the others missing.
func TestCompare(t *testing.T) {
	t.Setenv("NODE_PATH", "")
	i := isa.Detect()
	b := Bench{Folder: t.TempDir(), ISAs: []isa.ISA{isa.Generic, i}, Threads: []int{1, 2}, Timing: kernels.Timing{Turns: 1}}
	class := Class{Name: "class", Goals: []float64{1, 2, 3, 4}}
	rows, err := b.Compare(context.Background(), class, kernels.NewCase(kernels.Layer{Name: "layer", In: 32, Out: 48, Columns: 20}, 4, 0.8))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	for n, r := range rows {
		if r.Threads != n+1 || r.Class != "class" || r.Name != "" || r.Shape != "48x32x20" || r.Sparsity != 0.8 || r.Block != 4 {
			t.Errorf("%+v", r)
		}
		if r.Ours["generic"] <= 0 || r.Ours[i.String()] <= 0 || r.Dense != 0 || r.Ratio != 0 || len(r.Peers) != 0 {
			t.Errorf("%+v", r)
		}
		if want := []float64{class.Goal(i, 0.8), 0}[n]; r.Goal != want {
			t.Errorf("goal %g on %d threads, want %g", r.Goal, r.Threads, want)
		}
		for _, d := range []string{"onednn inner", "openblas sgemm", "xnnpack sparse", ORTName} {
			if r.Missing[d] == "" {
				t.Errorf("no reason why %s is missing", d)
			}
		}
	}
}

// TestDrivers compares outputs: a driver that is wrong is reported as missing.
// An engine may well lack an algorithm on the CPU at hand.
func TestDrivers(t *testing.T) {
	folder := filepath.Join("..", "..", "bin", "peers")
	built := 0
	for _, d := range Drivers() {
		if _, err := os.Stat(filepath.Join(folder, d.Engine)); err == nil {
			built++
		}
	}
	if built == 0 {
		t.Skip("no driver is built: see make peers")
	}
	b := Bench{Folder: folder, ISAs: []isa.ISA{isa.Detect()}, Threads: []int{1, 2}, Timing: kernels.Timing{Turns: 1}}
	for _, l := range []kernels.Layer{
		{In: 32, Out: 48, Columns: 20}, {In: 32, Out: 48, Columns: 1}, {In: 32, Out: 48, Size: 7, Kernel: 1},
		{In: 32, Out: 32, Size: 14, Kernel: 3}, {In: 32, Out: 32, Size: 14, Kernel: 3, Stride: 2},
	} {
		rows, err := b.Compare(context.Background(), Class{Winograd: true}, kernels.NewCase(l, 1, 0.8))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if len(r.Peers) == 0 {
				t.Errorf("%v: no driver runs: %v", l, r.Missing)
			}
			for d, reason := range r.Missing {
				if says(errors.New(reason), "differs") || says(errors.New(reason), "elements") || says(errors.New(reason), "asked") {
					t.Errorf("%v: %s: %s", l, d, reason)
				}
			}
		}
	}
}
