package runtime

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/spmv"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// lowerVector appends a linear layer of a few vectors, which lie in row-major
// order: its time is that of reading the weight.
func (c *compiler) lowerVector(n *graph.Node) error {
	x, out := c.values[n.Inputs[0]], c.values[n.Outputs[0]]
	w, err := c.weightOf(n)
	if err != nil {
		return err
	}
	op := &vectorOp{k: c.k, columns: elements(out.typ.Shape) / w.rows}
	op.epilogue.Bias = w.bias
	op.epilogue.Min, op.epilogue.Max, op.epilogue.Clamp = clampOf(n)
	product := op.epilogue
	if name := n.Input(3); name != "" {
		op.residual = c.values[name]
		product.Clamp = false // it follows the residual
		c.plainValue(op.residual)
	}
	layer := LayerReport{
		Name: label(n), Op: n.Op, M: w.rows, K: w.cols, N: op.columns,
		KernelH: 1, KernelW: 1, Stride: 1, Sparsity: w.sparsity(), NNZ: w.nnz,
	}
	choice := c.chooseVector(w, op.columns)
	layer.Format, layer.Why, layer.Predicted = choice.format.String(), choice.why, choice.predicted
	if err := c.roomForWeight(w, choice.format); err != nil {
		return err
	}
	packed, err := c.packVector(w, choice.format)
	if err != nil {
		return err
	}
	if op.p, err = spmv.NewProduct(c.cfg.ISA, packed, product); err != nil {
		return err
	}
	layer.Kernel = op.p.Kernel()
	op.shares = 1
	if packed.Bytes() >= vectorShareBytes {
		op.shares = c.cfg.Threads
	}
	op.x, op.y = c.plainValue(x), out
	c.newPlain(out)
	touched := []*buffer{x.plain, out.plain}
	if op.residual != nil {
		touched = append(touched, op.residual.plain)
	}
	c.countWeight(w, &layer, choice.format, packed.Bytes())
	c.step(layer, op, touched...)
	return nil
}

// vectorShareBytes is how large a weight is that more than one thread reads:
// below it, about 20 microseconds, handing out the work costs more.
const vectorShareBytes = 256 << 10

// plainValue makes sure that a value can be read in row-major order.
func (c *compiler) plainValue(v *value) *value {
	if v.typ.Const == nil {
		c.plainOf(v)
	} else {
		c.constant(v)
	}
	return v
}

// chooseVector picks the format of a product with some columns.
func (c *compiler) chooseVector(w *weight, columns int) choice {
	formats := []format{{dense: true, r: 1}}
	if c.sparse(w) {
		for _, r := range spmv.Blocks() {
			formats = append(formats, format{r: r})
		}
	}
	return c.pick(w, formats, func(f format) float64 { return c.vectorCost(w, f, columns) })
}

// vectorCost predicts the microseconds that a format takes on one thread: those
// of the loads or those of the arithmetic, whichever are more.
func (c *compiler) vectorCost(w *weight, f format, columns int) float64 {
	values := w.stored(f) * float64(w.rows*w.cols)
	k := vectorKernels[c.cfg.ISA == isa.AVX512][f]
	bytes := values * k.bytes
	passes := (columns + 3) / 4
	work := values * (k.first + k.more*float64(min(columns, 4)-1))
	return float64(passes) * max(bytes/bandwidth(bytes), work) / 1e3
}

// bandwidth is how many bytes a nanosecond come from where weights of a size
// stay between runs: on Zen 5, L2, L3, which others use too, and memory, where a
// dense weight comes at 35 to 45 and a sparse one at 23 to 45.
func bandwidth(bytes float64) float64 {
	switch {
	case bytes <= 1<<20:
		return 115
	case bytes <= 16<<20:
		return 70
	default:
		return 35
	}
}

// A vectorKernel is what a stored value takes in matrix-vector kernels: bytes,
// and nanoseconds for the first column of x and for each one more.
type vectorKernel struct{ bytes, first, more float64 }

// vectorKernels holds those of AVX-512 and of other instruction sets. All that
// matters is how they compare. They were measured on Zen 5 with weights of
// 256 x 512 and 1000 x 2048 values in cache; Zen 4 took two to three times as
// long for dense values and for blocks of 2 to 16 rows alike, tiles were not
// measured there.
var vectorKernels = map[bool]map[format]vectorKernel{
	true: {
		{dense: true, r: 1}: {4, 0.034, 0.013},
		{r: 1}:              {5.6, 0.07, 0.037}, // tiles, empty steps included
		{r: 2}:              {5, 0.12, 0.08},
		{r: 4}:              {4.5, 0.072, 0.045},
		{r: 8}:              {4.25, 0.05, 0.021},
		{r: 16}:             {4.125, 0.037, 0.014},
	},
	false: {
		{dense: true, r: 1}: {4, 0.038, 0.019},
		{r: 1}:              {6, 0.22, 0.16},
		{r: 2}:              {5, 0.125, 0.085},
		{r: 4}:              {4.5, 0.072, 0.05},
		{r: 8}:              {4.25, 0.052, 0.021},
		{r: 16}:             {4.125, 0.042, 0.017},
	},
}

// packVector packs the weight for the matrix-vector kernels in a format.
func (w *weight) packVector(i isa.ISA, f format) (*spmv.Weight, error) {
	if f.dense {
		return spmv.PackDense(w.rows, w.cols, w.tensor.Floats())
	}
	csr, err := w.sparse()
	if err != nil {
		return nil, err
	}
	if f.r == 1 {
		return spmv.Pack(i, csr)
	}
	return spmv.PackBSR(csr.BSR(f.r, 1))
}

// vectorOp is a packed weight times some row-major vectors.
type vectorOp struct {
	k        *vec.Kernels
	p        *spmv.Product
	columns  int
	shares   int
	x, y     *value
	residual *value // added before the clamp, nil for none
	epilogue spmv.Epilogue
}

func (o *vectorOp) bind(s *Session) runner {
	return &vectorRunner{vectorOp: o, x: s.tensor(o.x).F, y: s.tensor(o.y).F, res: s.tensor(o.residual).F}
}

type vectorRunner struct {
	*vectorOp
	x, y, res []float32
}

func (r *vectorRunner) run(p *parallel.Pool) {
	p.Run(r, r.shares)
	if r.res != nil {
		r.k.Add(r.y, r.y, r.res)
		if e := &r.epilogue; e.Clamp {
			r.k.Clamp(r.y, r.y, e.Min, e.Max)
		}
	}
}

func (r *vectorRunner) Chunk(i int) { r.p.Run(r.y, r.x, r.columns, i, r.shares) }
