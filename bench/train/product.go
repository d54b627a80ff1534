package train

import (
	"fmt"

	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/kernels/spmm"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// A matrix is rows of float32, stride elements apart: whole vectors, so that
// kernels may write a row to the end of its last.
type matrix struct {
	rows, cols, stride int
	v                  []float32
}

func newMatrix(i isa.ISA, rows, cols int) matrix {
	stride := (cols + i.Lanes() - 1) / i.Lanes() * i.Lanes()
	return matrix{rows, cols, stride, make([]float32, rows*stride)}
}

// row returns the elements of a row.
func (m matrix) row(i int) []float32 { return m.v[i*m.stride:][:m.cols] }

// transpose writes m to dst with rows and columns exchanged.
func (m matrix) transpose(dst matrix) {
	for i := range m.rows {
		for j, v := range m.row(i) {
			dst.v[j*dst.stride+i] = v
		}
	}
}

// A product is y = a·x + bias of matrices whose elements change from run to
// run, limited to at least 0 where it is rectified. It runs on the kernels of
// dense layers, which read a in an order of their own.
type product struct {
	p      *spmm.Product
	k      *vec.Kernels
	a      []float32
	order  []int32 // which element of a each packed value is
	packed []float32
	x, y   matrix
}

// An operand is a matrix on the left of a product, or its transpose.
type operand struct {
	matrix
	transposed bool
}

// rowsOfChunk is how many rows of a matrix on the left a goroutine takes at
// once.
const rowsOfChunk = 32

// newProduct binds a product to its operands. A nil bias is zeros.
func newProduct(i isa.ISA, a operand, x, y matrix, bias []float32, rectified bool) (*product, error) {
	const exact = 1 << 24 // integers below are float32
	if len(a.v) > exact {
		return nil, fmt.Errorf("a matrix of %d elements, expected at most %d", len(a.v), exact)
	}
	p := &product{k: vec.For(i), a: a.v, x: x, y: y}
	// Weights that are their own places show where the packed ones come from.
	places := make([]float32, y.rows*x.rows)
	for row := range y.rows {
		for col := range x.rows {
			place := row*a.stride + col
			if a.transposed {
				place = col*a.stride + row
			}
			places[row*x.rows+col] = float32(place)
		}
	}
	fit := spmm.Fit{ISA: i, R: 4, Step: 1, Columns: x.rows, Density: 1}
	for fit.R > y.rows {
		fit.R /= 2
	}
	addressing := spmm.Addressing{Block: x.rows, Chunk: rowsOfChunk}
	for col := range x.rows {
		addressing.Offsets = append(addressing.Offsets, uint32(col*x.stride*4))
	}
	var tiles []spmm.Tile
	for _, t := range fit.Cover(spmm.Shape{Rows: 1, Cols: y.stride / i.Lanes()}) {
		at := t.Col * i.Lanes()
		tiles = append(tiles, spmm.Tile{Shape: t.Shape, X: at, Y: at})
		addressing.Block = min(addressing.Block, fit.Block(t.Shape))
	}
	w, err := spmm.PackDense(y.rows, places, fit.R, addressing)
	if err != nil {
		return nil, err
	}
	epilogue := spmm.Epilogue{Bias: bias, Clamp: rectified, Max: infinity}
	bound, err := spmm.NewProduct(i, w, 1, spmm.Geometry{YChan: y.stride * 4}, tiles, epilogue)
	if err != nil {
		return nil, err
	}
	p.order = make([]int32, len(bound.Values()))
	for n, place := range bound.Values() {
		p.order[n] = int32(place)
	}
	p.packed = make([]float32, len(p.order))
	p.p = bound.WithValues(p.packed)
	return p, p.p.Check(p.buffers())
}

func (p *product) buffers() spmm.Buffers { return spmm.Buffers{X: p.x.v, Y: p.y.v} }

// valuesOfChunk is how many values of a matrix a goroutine packs at once.
const valuesOfChunk = 1 << 15

// run computes the product of what the operands hold now.
func (p *product) run(pool *parallel.Pool) {
	pool.Run((*packing)(p), (len(p.packed)+valuesOfChunk-1)/valuesOfChunk)
	pool.Run((*multiplying)(p), p.p.Units())
}

// packing and multiplying are the steps of a product as tasks.
type (
	packing     product
	multiplying product
)

func (p *packing) Chunk(i int) {
	lo := i * valuesOfChunk
	hi := min(lo+valuesOfChunk, len(p.packed))
	p.k.Gather(p.packed[lo:hi], p.a, p.order[lo:hi], 0)
}

func (p *multiplying) Chunk(i int) { p.p.Run((*product)(p).buffers(), i, i+1) }
