package runtime

import (
	"fmt"

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
	var small *activations
	if a, ok := c.active[n]; ok {
		small = &a
	}
	choice := c.chooseVector(w, op.columns, small)
	if small != nil {
		op.limit, op.skip = small.limit, choice.format.columns
		layer.Activations = &ActivationReport{Threshold: small.limit, Density: small.density, Skipped: op.skip}
		if !op.skip {
			op.cleared = c.newBuffer(&value{lastUse: c.node}, elements(x.typ.Shape), false)
		}
	}
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
	if op.cleared != nil {
		touched = append(touched, op.cleared)
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

// chooseVector picks the format of a product with some columns, of which small
// elements are taken for zero where small is not nil.
func (c *compiler) chooseVector(w *weight, columns int, small *activations) choice {
	formats := []format{{dense: true, r: 1}}
	if c.sparse(w) {
		for _, r := range spmv.Blocks() {
			formats = append(formats, format{r: r})
		}
	}
	if small == nil || columns > 1 || c.cfg.Mode == Dense {
		return c.pick(w, formats, func(f format) float64 { return c.vectorCost(w, f, columns) })
	}
	formats = append(formats, format{dense: true, r: 1, columns: true})
	if c.sparse(w) {
		formats = append(formats, format{r: 1, columns: true})
	}
	out := c.pick(w, formats, func(f format) float64 {
		if f.columns {
			return c.columnCost(w, f, small.density)
		}
		return c.vectorCost(w, f, columns)
	})
	switch {
	case !out.format.columns:
		out.why += "; leaving activations out would take longer"
	case c.cfg.Format == "":
		out.why = fmt.Sprintf("%.0f %% of the activations are left out, predicted %.1f times as fast as dense",
			100*(1-small.density), out.predicted["dense"]/out.predicted[out.format.String()])
	}
	return out
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

// columnCost predicts the microseconds that a product by columns takes with a
// share of them.
func (c *compiler) columnCost(w *weight, f format, density float64) float64 {
	positions := float64(w.rows * w.cols)
	k := columnKernels[c.cfg.ISA]
	bytes, work := 4*positions, positions*k.dense
	if !f.dense {
		bytes, work = 4*float64(w.nnz)+positions/8, positions*k.masked+float64(w.nnz)*k.nonzero
	}
	speed := bandwidth(bytes)
	if speed == memory {
		speed *= k.picking
	}
	return (density*max(bytes/speed, work) + float64(w.cols)*pickCost) / 1e3
}

// pickCost is the nanoseconds that finding out whether an activation counts takes.
const pickCost = 0.8

// A columnKernel is the nanoseconds that an element of a weight by columns takes,
// stored or not, and one that is stored under masks besides; and the share of the
// bandwidth of memory that picking columns gets, which come in runs of 1 KiB on
// AVX-512 and of 256 bytes on AVX2 and NEON.
type columnKernel struct{ dense, masked, nonzero, picking float64 }

// columnKernels were measured as vectorKernels were, on Zen 5; those of NEON are
// guessed from how many instructions its kernels have.
var columnKernels = map[isa.ISA]columnKernel{
	isa.AVX512:  {0.043, 0.044, 0, 0.9},
	isa.AVX2:    {0.045, 0.09, 0, 0.5},
	isa.NEON:    {0.05, 0.18, 0, 0.5},
	isa.Generic: {0.05, 0.01, 0.18, 1},
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
		return memory
	}
}

// memory is the bandwidth of memory, in bytes a nanosecond.
const memory = 35

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
	switch {
	case f.dense && f.columns:
		return spmv.PackColumns(i, w.rows, w.cols, w.tensor.Floats())
	case f.dense:
		return spmv.PackDense(w.rows, w.cols, w.tensor.Floats())
	}
	csr, err := w.sparse()
	if err != nil {
		return nil, err
	}
	switch {
	case f.columns:
		return spmv.PackMasked(i, csr)
	case f.r == 1:
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
	// Elements of x up to limit are taken for zero: they are left out where skip
	// is set, else set to zero in cleared, where that is not nil.
	limit   float32
	skip    bool
	cleared *buffer
}

func (o *vectorOp) bind(s *Session) runner {
	r := &vectorRunner{vectorOp: o, x: s.tensor(o.x).F, y: s.tensor(o.y).F, res: s.tensor(o.residual).F, cleared: s.memory(o.cleared)}
	if o.skip {
		r.active = spmv.NewActive(len(r.x))
	}
	return r
}

type vectorRunner struct {
	*vectorOp
	x, y, res []float32
	active    *spmv.Active // elements of x that count, nil where all do
	cleared   []float32    // x with zeros for those that do not, nil where all do
}

func (r *vectorRunner) run(p *parallel.Pool) {
	switch {
	case r.active != nil:
		r.active.Pick(r.x, r.limit)
	case r.cleared != nil:
		r.k.Threshold(r.cleared, r.x, r.limit)
	}
	p.Run(r, r.shares)
	if r.res != nil {
		r.k.Add(r.y, r.y, r.res)
		if e := &r.epilogue; e.Clamp {
			r.k.Clamp(r.y, r.y, e.Min, e.Max)
		}
	}
}

func (r *vectorRunner) Chunk(i int) {
	switch {
	case r.active != nil:
		r.p.RunActive(r.y, r.active, i, r.shares)
	case r.cleared != nil:
		r.p.Run(r.y, r.cleared, r.columns, i, r.shares)
	default:
		r.p.Run(r.y, r.x, r.columns, i, r.shares)
	}
}
