package runtime

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/spmv"
	"github.com/nnz-dev/nnz/runtime/ops"
)

// lowerRecurrent appends what is left of an RNN, GRU or LSTM when the products
// with its input are a layer: in each step R times the hidden states of the
// batch, on the matrix-vector kernels, and the gates.
func (c *compiler) lowerRecurrent(n *graph.Node) error {
	op := &recurrentOp{}
	var in []Tensor
	var reads, writes []*buffer
	op.in, in, reads = c.plainInputs(n)
	op.out, _, writes = c.plainOutputs(n)
	var err error
	if op.r, err = ops.NewRecurrence(n, in, c.k); err != nil {
		return err
	}
	r := op.r
	rows := r.Gates * r.Hidden
	whole := &weight{
		tensor: graph.FromFloats([]int{r.Directions * rows, r.Hidden}, in[2].F),
		rows:   r.Directions * rows, cols: r.Hidden, groups: 1, held: make(map[int][]int),
	}
	if err := c.measure(whole); err != nil {
		return err
	}
	choice := c.chooseVector(whole, r.Batch, nil)
	if err := c.roomForWeight(whole, choice.format); err != nil {
		return err
	}
	layer := LayerReport{
		Name: label(n), Op: n.Op, M: whole.rows, K: whole.cols, N: r.Batch * r.Steps,
		KernelH: 1, KernelW: 1, Stride: 1, Sparsity: whole.sparsity(), NNZ: whole.nnz,
		Format: choice.format.String(), Why: choice.why, Predicted: choice.predicted,
	}
	for f := range layer.Predicted {
		layer.Predicted[f] *= float64(r.Steps)
	}
	packed := 0
	for d := range r.Directions {
		for _, p := range r.Products() {
			at := d*rows + p.From
			part := &weight{
				tensor: graph.FromFloats([]int{p.Rows, r.Hidden}, in[2].F[at*r.Hidden:(at+p.Rows)*r.Hidden]),
				rows:   p.Rows, cols: r.Hidden, groups: 1, held: make(map[int][]int),
			}
			w, err := c.packVector(part, choice.format)
			if err != nil {
				return err
			}
			var epilogue spmv.Epilogue
			if len(in) > 3 && in[3].F != nil {
				epilogue.Bias = in[3].F[at : at+p.Rows]
			}
			product, err := spmv.NewProduct(c.cfg.ISA, w, epilogue)
			if err != nil {
				return err
			}
			packed += w.Bytes()
			op.products = append(op.products, product)
		}
	}
	layer.Kernel = op.products[0].Kernel()
	op.shares = 1
	if packed/r.Directions >= vectorShareBytes {
		op.shares = c.cfg.Threads
	}
	op.scratch = c.newBuffer(&value{lastUse: c.node}, r.Directions*r.Scratch(), false)
	op.scratch.touch(len(c.plan.steps))
	c.countWeight(whole, &layer, choice.format, packed)
	c.step(layer, op, append(reads, writes...)...)
	return nil
}

// recurrentOp runs a recurrence on packed weights.
type recurrentOp struct {
	r        *ops.Recurrence
	products []*spmv.Product // of each direction those that the recurrence has
	shares   int
	in, out  []*value
	scratch  *buffer
}

func (o *recurrentOp) bind(s *Session) runner {
	r := &recurrentRunner{recurrentOp: o, scratch: s.memory(o.scratch)}
	for _, v := range o.in {
		r.in = append(r.in, s.tensor(v))
	}
	for _, v := range o.out {
		r.out = append(r.out, s.tensor(v))
	}
	for d := range o.r.Directions {
		r.multiply = append(r.multiply, func(i int, y, x []float32) { r.product(d, i, y, x) })
	}
	return r
}

type recurrentRunner struct {
	*recurrentOp
	in, out  []Tensor
	scratch  []float32
	multiply []ops.Multiply // of each direction
	pool     *parallel.Pool // that shares a product, nil for none
	share    productShare
}

// run gives each direction to a thread where there are two, else the rows of
// each product to all threads.
func (r *recurrentRunner) run(p *parallel.Pool) {
	if r.r.Directions > 1 {
		p.Run(r, r.r.Directions)
		return
	}
	if r.shares > 1 {
		r.pool = p
	}
	r.Chunk(0)
}

func (r *recurrentRunner) Chunk(d int) {
	n := r.r.Scratch()
	r.r.Run(r.in, r.out, r.scratch[d*n:(d+1)*n], d, r.multiply[d])
}

// product computes product i of direction d.
func (r *recurrentRunner) product(d, i int, y, x []float32) {
	p := r.products[d*len(r.r.Products())+i]
	if r.pool == nil {
		p.Run(y, x, r.r.Batch, 0, 1)
		return
	}
	r.share = productShare{p: p, y: y, x: x, cols: r.r.Batch, shares: r.shares}
	r.pool.Run(&r.share, r.shares)
}

// A productShare is a matrix-vector product that threads share by rows.
type productShare struct {
	p            *spmv.Product
	y, x         []float32
	cols, shares int
}

func (s *productShare) Chunk(i int) { s.p.Run(s.y, s.x, s.cols, i, s.shares) }
