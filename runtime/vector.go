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
	choice := c.chooseVector(w)
	layer.Format, layer.Why, layer.Predicted = choice.format.String(), choice.why, choice.predicted
	packed, err := w.packVector(c.cfg.ISA, choice.format)
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
	c.countWeight(w, packed.Bytes())
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

// chooseVector picks the format of a matrix-vector product.
func (c *compiler) chooseVector(w *weight) choice {
	formats := []format{{dense: true, r: 1}}
	if c.cfg.Mode != Dense && w.nnz < w.rows*w.cols {
		for _, r := range spmv.Blocks() {
			formats = append(formats, format{r: r})
		}
	}
	return c.pick(w, formats, func(f format) float64 {
		values := w.stored(f) * float64(w.rows*w.cols)
		switch {
		case f.dense && values < nearValues:
			return values * 0.05e-3
		case f.dense:
			return values * 0.1e-3
		case f.r == 1 && c.cfg.ISA == isa.AVX512:
			return values * 0.13e-3 // permuted in registers
		}
		return values * vectorCost[f.r]
	})
}

// nearValues is how large a dense weight is that stays in the L2 cache: a
// larger one comes at half the speed.
const nearValues = 1 << 18

// vectorCost is the microseconds that a matrix-vector kernel takes for a
// stored value, by rows of a block: measured on Zen 4 with weights of 500 x 800
// to 4096 x 4096, where the size made little difference.
var vectorCost = map[int]float64{1: 0.21e-3, 2: 0.14e-3, 4: 0.1e-3, 8: 0.07e-3, 16: 0.06e-3}

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
