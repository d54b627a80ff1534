package peers

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// A Driver is a program of the folder drivers, built by `make peers`, and how
// it computes a layer.
type Driver struct {
	Engine  string // the program's name
	Variant string
	Sparse  bool // it skips zeros
	// Winograd is a convolution by an algorithm with fewer multiplications and
	// larger errors.
	Winograd bool
}

func (d Driver) String() string { return d.Engine + " " + d.Variant }

// fits reports whether the driver has an algorithm for a layer.
func (d Driver) fits(l kernels.Layer) bool {
	switch d.Variant {
	case "winograd":
		return l.Kernel == 3 && l.Stride <= 1
	case "direct":
		return l.Size > 0
	case "inner":
		return l.Size == 0
	}
	return l.Kernel <= 1 && l.Stride <= 1
}

// Drivers lists all drivers.
func Drivers() []Driver {
	return []Driver{
		{Engine: "onednn", Variant: "direct"},
		{Engine: "onednn", Variant: "winograd", Winograd: true},
		{Engine: "onednn", Variant: "inner"},
		{Engine: "onednn", Variant: "matmul"},
		{Engine: "openblas", Variant: "sgemm"},
		{Engine: "libxsmm", Variant: "dense"},
		{Engine: "libxsmm", Variant: "sparse", Sparse: true},
		{Engine: "xnnpack", Variant: "sparse", Sparse: true},
	}
}

// A Problem is a layer with its weight and activations in a temporary file.
type Problem struct {
	layer   kernels.Layer
	dir     string
	threads int
}

// NewProblem writes a layer for drivers to read. x is a row of columns for each
// input feature. It must be closed.
func NewProblem(c kernels.Case, x []float32, threads int) (*Problem, error) {
	l := c.Layer
	if l.Groups > 1 {
		return nil, errors.New("the drivers know no groups")
	}
	dir, err := os.MkdirTemp("", "nnz")
	if err != nil {
		return nil, err
	}
	p := &Problem{layer: l, dir: dir, threads: threads}
	var b bytes.Buffer // as driver.h reads it
	for _, v := range []int{l.In, l.Out, l.Size, max(1, l.Kernel), max(1, l.Stride), l.Columns, threads} {
		b.Write(binary.NativeEndian.AppendUint32(nil, uint32(v)))
	}
	for _, list := range [][]float32{c.Weight, x} {
		for _, v := range list {
			b.Write(binary.NativeEndian.AppendUint32(nil, math.Float32bits(v)))
		}
	}
	if err := os.WriteFile(p.file(), b.Bytes(), 0o600); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Problem) file() string { return filepath.Join(p.dir, "layer") }

// Close removes the file.
func (p *Problem) Close() error { return os.RemoveAll(p.dir) }

// ErrNotBuilt says that a driver is missing.
var ErrNotBuilt = errors.New("not built: see make peers")

// Start starts a driver, found in a folder of programs, on the problem. The
// instruction set is the best that the engine may use.
func (p *Problem) Start(ctx context.Context, d Driver, folder string, i isa.ISA) (*Layer, error) {
	program := filepath.Join(folder, d.Engine)
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%v: %w", d, ErrNotBuilt)
	}
	cmd := exec.CommandContext(ctx, program, d.Variant, p.file())
	cmd.Env = append(os.Environ(), environment(i, p.threads)...)
	s, err := start(cmd)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", d, err)
	}
	s.name = d.String()
	return &Layer{process: s, out: filepath.Join(p.dir, d.Engine+"."+d.Variant)}, nil
}

// environment holds the variables by which engines are told how many threads
// and which instructions to use. OpenBLAS would take kernels of 2008 for a
// processor that it does not know.
func environment(i isa.ISA, threads int) []string {
	env := []string{
		fmt.Sprintf("OMP_NUM_THREADS=%d", threads),
		fmt.Sprintf("OPENBLAS_NUM_THREADS=%d", threads),
		"OMP_WAIT_POLICY=passive", // no spinning through the turns of others
	}
	switch i {
	case isa.AVX512:
		env = append(env, "OPENBLAS_CORETYPE=SkylakeX", "LIBXSMM_TARGET=skx")
	case isa.AVX2:
		env = append(env, "OPENBLAS_CORETYPE=Haswell", "LIBXSMM_TARGET=hsw", "DNNL_MAX_CPU_ISA=AVX2")
	}
	return env
}

// A Layer is an engine that is ready to compute one layer.
type Layer struct {
	*process
	out string
}

// Output returns the output of the last run: a row of columns for each feature.
func (l *Layer) Output() ([]float32, error) {
	if _, err := io.WriteString(l.in, "write "+l.out+"\n"); err != nil {
		return nil, fmt.Errorf("%s: %w", l.name, err)
	}
	answer, err := l.answer()
	if err == nil && answer != "ok" {
		err = fmt.Errorf("answered %q, expected ok", answer)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.name, err)
	}
	data, err := os.ReadFile(l.out)
	if err != nil {
		return nil, err
	}
	y := make([]float32, len(data)/4)
	for i := range y {
		y[i] = math.Float32frombits(binary.NativeEndian.Uint32(data[4*i:]))
	}
	return y, nil
}
