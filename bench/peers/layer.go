package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
)

// A Driver is an engine and how it computes a layer: a program of the folder
// drivers, built by `make peers`, or ONNX Runtime.
type Driver struct {
	Engine  string // the program's name
	Variant string
	Sparse  bool // it skips zeros
	// Winograd is a convolution by an algorithm with fewer multiplications and
	// larger errors.
	Winograd bool
}

func (d Driver) String() string { return strings.TrimSpace(d.Engine + " " + d.Variant) }

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
	return d.Engine == ORTName || l.Kernel <= 1 && l.Stride <= 1
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
		{Engine: ORTName},
	}
}

// A Problem is a layer with its weight and activations in temporary files, for
// engines to read.
type Problem struct {
	layer kernels.Layer
	dir   string
	input []graph.Value // of the ONNX model
}

// The files of a problem: for the drivers, and for ONNX Runtime.
const layerFile, modelFile, inputFile = "layer", "model.onnx", "input"

// NewProblem writes a layer. x is a row of columns for each input feature. It
// must be closed.
func NewProblem(c kernels.Case, x []float32) (*Problem, error) {
	l := c.Layer
	if l.Groups > 1 {
		return nil, errors.New("the drivers know no groups")
	}
	dir, err := os.MkdirTemp("", "nnz")
	if err != nil {
		return nil, err
	}
	p := &Problem{layer: l, dir: dir}
	if err := errors.Join(p.writeLayer(c.Weight, x), p.writeModel(c.Weight, x)); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// writeLayer writes the file that driver.h reads.
func (p *Problem) writeLayer(weight, x []float32) error {
	l := p.layer
	var b []byte
	for _, v := range []int{l.In, l.Out, l.Size, max(1, l.Kernel), max(1, l.Stride), l.Columns} {
		b = binary.NativeEndian.AppendUint32(b, uint32(v))
	}
	return os.WriteFile(p.file(layerFile), appendFloats(appendFloats(b, weight), x), 0o600)
}

// writeModel writes the layer as a model, and its input.
func (p *Problem) writeModel(weight, x []float32) error {
	m, err := p.layer.Model(weight)
	if err != nil {
		return err
	}
	for _, v := range m.Inputs {
		p.input = append(p.input, *v)
	}
	addPart(m)
	if p.layer.Size == 0 { // it has a row of features for each column
		x = kernels.Transposed(x, p.layer.In, p.layer.Columns)
	}
	if err := os.WriteFile(p.file(inputFile), appendFloats(nil, x), 0o600); err != nil {
		return err
	}
	return loader.Save(p.file(modelFile), m, loader.SaveOptions{})
}

// part is an output of the model for ONNX Runtime: a piece of the layer's. Its
// binding makes a new buffer for every output of every run, and the faults of
// those pages took three times as long as a 3x3 convolution. Asked for the
// part alone, it keeps the layer's output in its arena, as within a network.
const part = "part"

// addPart adds the output.
func addPart(m *graph.Model) {
	whole := m.Outputs[0]
	axis := 1 // a channel of an image
	if len(whole.Shape) == 2 {
		axis = 0 // a row of a linear layer
	}
	n := &graph.Node{Name: part, Op: "Slice", Inputs: []string{whole.Name, "starts", "ends", "axes"}, Outputs: []string{part}}
	for i, v := range []int{0, 1, axis} {
		m.Weights[n.Inputs[1+i]] = graph.FromInts(graph.Int64, []int{1}, []int64{int64(v)})
	}
	shape := slices.Clone(whole.Shape)
	shape[axis] = graph.Dims(1)[0]
	m.Nodes = append(m.Nodes, n)
	m.Outputs = append(m.Outputs, &graph.Value{Name: part, DType: whole.DType, Shape: shape})
}

func appendFloats(b []byte, list []float32) []byte {
	b = slices.Grow(b, 4*len(list))
	for _, v := range list {
		b = binary.NativeEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func (p *Problem) file(name string) string { return filepath.Join(p.dir, name) }

// Close removes the files.
func (p *Problem) Close() error { return os.RemoveAll(p.dir) }

// ErrNotBuilt says that a driver is missing.
var ErrNotBuilt = errors.New("not built: see make peers")

// Start starts a driver, found in a folder of programs, on the problem. The
// instruction set is the best that the engine may use.
func (p *Problem) Start(ctx context.Context, d Driver, folder string, i isa.ISA, threads int) (*Layer, error) {
	l := &Layer{output: p.file(fmt.Sprintf("%s.%s.%d", d.Engine, d.Variant, threads))}
	var err error
	if d.Engine == ORTName {
		l.process, err = p.startORT(ctx, folder, i, threads)
		if p.layer.Size == 0 {
			l.columns = p.layer.Columns
		}
	} else {
		l.process, err = p.startDriver(ctx, d, folder, i, threads)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", d, err)
	}
	l.name = d.String()
	return l, nil
}

func (p *Problem) startDriver(ctx context.Context, d Driver, folder string, i isa.ISA, threads int) (*process, error) {
	program := filepath.Join(folder, d.Engine)
	if _, err := os.Stat(program); err != nil {
		return nil, ErrNotBuilt
	}
	cmd := exec.CommandContext(ctx, program, d.Variant, p.file(layerFile), strconv.Itoa(threads))
	cmd.Env = append(os.Environ(), environment(i, threads)...)
	return start(cmd)
}

// startORT starts ONNX Runtime. It has no switch for its instruction set.
func (p *Problem) startORT(ctx context.Context, folder string, i isa.ISA, threads int) (*process, error) {
	if best := isa.Detect(); i != best {
		return nil, fmt.Errorf("takes %v where the CPU has it, and cannot be held to %v", best, i)
	}
	o := ORT{
		Model: p.file(modelFile), Threads: threads, Modules: folder,
		Files: []string{p.file(inputFile)}, outputs: []string{part}, session: ortLayerSession,
	}
	return o.start(ctx, p.input)
}

// environment holds the variables by which engines are told how many threads
// and which instructions to use. OpenBLAS would take kernels of 2008 for a
// processor that it does not know. Threads spin for some 0.1 ms before they
// sleep: long enough that one run finds them awake after the other, not so long
// that they take the turn of whoever is next.
func environment(i isa.ISA, threads int) []string {
	env := []string{
		fmt.Sprintf("OMP_NUM_THREADS=%d", threads),
		fmt.Sprintf("OPENBLAS_NUM_THREADS=%d", threads),
		"GOMP_SPINCOUNT=10000",       // rounds of a loop
		"OPENBLAS_THREAD_TIMEOUT=18", // logarithm of cycles
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
	output  string // file
	columns int    // of an output that has a row for each of them, else 0
}

// Output returns the output: a row of columns for each feature.
func (l *Layer) Output(ctx context.Context) ([]float32, error) {
	if err := l.Write(ctx, l.output); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(l.output)
	if err != nil {
		return nil, err
	}
	y := make([]float32, len(data)/4)
	for i := range y {
		y[i] = math.Float32frombits(binary.NativeEndian.Uint32(data[4*i:]))
	}
	if l.columns > 0 {
		y = kernels.Transposed(y, l.columns, len(y)/l.columns)
	}
	return y, nil
}
