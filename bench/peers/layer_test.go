package peers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/kernels/isa"
)

func TestClasses(t *testing.T) {
	for _, c := range Classes() {
		if len(c.Goals) != len(Sparsities()) || len(c.Layers) == 0 {
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

func TestMissingDriver(t *testing.T) {
	c := kernels.NewCase(kernels.Layer{In: 8, Out: 8, Columns: 4}, 1, 0.5)
	p, err := NewProblem(c, make([]float32, 32), 1)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(p.file()); err != nil || info.Size() != 4*(7+64+32) {
		t.Errorf("the file of the layer: %v, error %v", info, err)
	}
	if _, err := p.Start(context.Background(), Driver{Engine: "abacus"}, t.TempDir(), isa.Detect()); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("error %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.file()); err == nil {
		t.Error("the file of the layer is left behind")
	}
	if _, err := NewProblem(kernels.Case{Layer: kernels.Layer{Groups: 2}}, nil, 1); err == nil {
		t.Error("groups gave no error")
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
	b := Bench{Folder: folder, ISAs: []isa.ISA{isa.Detect()}, Threads: 1, Timing: kernels.Timing{Runs: 3}}
	for _, l := range []kernels.Layer{
		{In: 32, Out: 48, Columns: 20}, {In: 32, Out: 48, Columns: 1}, {In: 32, Out: 48, Size: 7, Kernel: 1},
		{In: 32, Out: 32, Size: 14, Kernel: 3}, {In: 32, Out: 32, Size: 14, Kernel: 3, Stride: 2},
	} {
		r, err := b.Compare(context.Background(), Class{Winograd: true}, kernels.NewCase(l, 1, 0.8), 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Peers) == 0 {
			t.Errorf("%v: no driver runs: %v", l, r.Missing)
		}
		for d, reason := range r.Missing {
			if says(errors.New(reason), "differs") || says(errors.New(reason), "elements") {
				t.Errorf("%v: %s: %s", l, d, reason)
			}
		}
	}
}
