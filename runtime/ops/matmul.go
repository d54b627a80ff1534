package ops

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// A gemm is y += alpha * a·b for one pair of matrices of m x k and k x n,
// where element (i, j) of a is at i*ai + j*aj and a row of b, or a column of
// it where turned is set, is contiguous.
type gemm struct {
	m, n, k int
	ai, aj  int
	turned  bool // b is stored as n x k
	alpha   float32
}

// Extents of the panel of b that stays in the L2 cache: 256 KiB.
const (
	panelRows = 64
	panelCols = 1024
)

func (p *gemm) run(s *site, y, a, b []float32) {
	if p.turned || p.n == 1 {
		p.dots(s, y, a, b)
		return
	}
	for j := 0; j < p.n; j += panelCols {
		w := min(panelCols, p.n-j)
		for k := 0; k < p.k; k += panelRows {
			rows := min(panelRows, p.k-k)
			for i := range p.m {
				p.panel(y[i*p.n+j:i*p.n+j+w], a[i*p.ai+k*p.aj:], b[k*p.n+j:], rows)
			}
		}
	}
}

// panel adds rows of b, weighted by elements of a, to a row of y.
func (p *gemm) panel(y, a, b []float32, rows int) {
	i := 0
	for ; i+4 <= rows; i += 4 {
		f := [4]float32{a[i*p.aj] * p.alpha, a[(i+1)*p.aj] * p.alpha, a[(i+2)*p.aj] * p.alpha, a[(i+3)*p.aj] * p.alpha}
		axpy4(y, b[i*p.n:], &f, p.n, 1)
	}
	for ; i < rows; i++ {
		axpy(y, b[i*p.n:], a[i*p.aj]*p.alpha, 1)
	}
}

// dots takes the columns of b one by one.
func (p *gemm) dots(s *site, y, a, b []float32) {
	for i := range p.m {
		for j := range p.n {
			col := b[j*p.k : (j+1)*p.k]
			if p.aj == 1 {
				y[i*p.n+j] += p.alpha * s.vec.Dot(a[i*p.ai:i*p.ai+p.k], col)
				continue
			}
			sum := float32(0)
			for k, v := range col {
				sum += a[i*p.ai+k*p.aj] * v
			}
			y[i*p.n+j] += p.alpha * sum
		}
	}
}

// buildMatMul binds MatMul, with numpy's rules for vectors and for batches.
func buildMatMul(s *site) (Compute, error) {
	if s.out[0].DType.Integer() {
		const none = 2 // zero points that are not there
		dt := s.out[0].DType
		run, err := s.intMatMul([4]int{0, none, 1, none}, func(_ []Tensor, sum int64, _, _ int) int64 { return sum })
		return func(in, out []Tensor) {
			run(in, out)
			wrapInts(dt, out[0].I)
		}, err
	}
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	p, t, _, err := s.matMul(s.in[0].Shape, s.in[1].Shape)
	if err != nil {
		return nil, err
	}
	return func(in, out []Tensor) {
		y := out[0].F
		fill(y, 0)
		for r := range t.rows {
			i, j := t.at(0, r), t.at(1, r)
			for range t.n {
				p.run(s, y[:p.m*p.n], in[0].F[i*p.m*p.k:], in[1].F[j*p.k*p.n:])
				y = y[p.m*p.n:]
				i += t.walks[0].step
				j += t.walks[1].step
			}
		}
	}, nil
}

// matMul returns the product of one pair of matrices of arrays of shapes x and
// w, the loops over the pairs, which count matrices, and the rows of a matrix
// of x. It checks the shape of the output.
func (s *site) matMul(x, w []int) (p gemm, t nest, rows int, err error) {
	a, b := slices.Clone(x), slices.Clone(w)
	if len(a) == 0 || len(b) == 0 {
		return p, t, 0, fmt.Errorf("shapes %v and %v, expected rank 1 or more", a, b)
	}
	rowVector, colVector := len(a) == 1, len(b) == 1
	if rowVector {
		a = []int{1, a[0]}
	}
	if colVector {
		b = []int{b[0], 1}
	}
	ra, rb := len(a)-2, len(b)-2
	p = gemm{m: a[ra], k: a[ra+1], n: b[rb+1], ai: a[ra+1], aj: 1, alpha: 1}
	rows = p.m
	if b[rb] != p.k {
		return p, t, 0, fmt.Errorf("shapes %v and %v do not multiply: %d against %d", x, w, p.k, b[rb])
	}
	batch, err := graph.Broadcast(a[:ra], b[:rb])
	if err != nil {
		return p, t, 0, err
	}
	want := slices.Clone(batch)
	if !rowVector {
		want = append(want, p.m)
	}
	if !colVector {
		want = append(want, p.n)
	}
	if err := s.wantOut(0, want); err != nil {
		return p, t, 0, err
	}
	if product(b[:rb]) == 1 {
		// One b for all of a: the batch is more rows.
		p.m *= product(batch)
		batch = nil
		a, b = a[ra:], b[rb:]
		ra, rb = 0, 0
	}
	sa, err := broadcastStrides(a[:ra], batch)
	if err != nil {
		return p, t, 0, err
	}
	sb, err := broadcastStrides(b[:rb], batch)
	if err != nil {
		return p, t, 0, err
	}
	return p, newNest(batch, sa, sb), rows, nil
}

// buildGemm binds Gemm: alpha*A'·B' + beta*C.
func buildGemm(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	a, b := s.in[0].Shape, s.in[1].Shape
	if len(a) != 2 || len(b) != 2 {
		return nil, fmt.Errorf("shapes %v and %v, expected rank 2", a, b)
	}
	p := gemm{m: a[0], k: a[1], ai: a[1], aj: 1, n: b[1], alpha: s.Float("alpha", 1)}
	depth := b[0]
	if s.Int("transA", 0) != 0 {
		p.m, p.k, p.ai, p.aj = a[1], a[0], 1, a[1]
	}
	if s.Int("transB", 0) != 0 {
		p.turned = true
		p.n, depth = b[0], b[1]
	}
	if depth != p.k {
		return nil, fmt.Errorf("shapes %v and %v do not multiply: %d against %d", a, b, p.k, depth)
	}
	if err := s.wantOut(0, []int{p.m, p.n}); err != nil {
		return nil, err
	}
	var c nest
	beta := s.Float("beta", 1)
	if s.has(2) {
		st, err := broadcastStrides(s.in[2].Shape, s.out[0].Shape)
		if err != nil {
			return nil, err
		}
		c = newNest(s.out[0].Shape, st)
	}
	return func(in, out []Tensor) {
		y := out[0].F
		if s.has(2) {
			copyRows(&c, y, in[2].F)
			if beta != 1 {
				s.vec.Affine(y, y, beta, 0)
			}
		} else {
			fill(y, 0)
		}
		p.run(s, y, in[0].F, in[1].F)
	}, nil
}

// buildLinear binds nnz.Linear: X [..., K], W [M, K], B [M] optional, residual
// of the output's shape optional, to Y [..., M].
func buildLinear(s *site) (Compute, error) {
	if err := s.wantFloat(0); err != nil {
		return nil, err
	}
	x, w := s.in[0].Shape, s.in[1].Shape
	if len(x) == 0 || len(w) != 2 || x[len(x)-1] != w[1] {
		return nil, fmt.Errorf("X %v and W %v, expected [..., K] and [M, K]", x, w)
	}
	if err := s.wantBias(2, w[0]); err != nil {
		return nil, err
	}
	rows := product(x[:len(x)-1])
	if err := s.wantOut(0, append(slices.Clone(x[:len(x)-1]), w[0])); err != nil {
		return nil, err
	}
	epi, err := s.newEpilogue()
	if err != nil {
		return nil, err
	}
	p := gemm{m: 1, n: w[0], k: w[1], ai: w[1], aj: 1, turned: true, alpha: 1}
	bias := s.has(2)
	return func(in, out []Tensor) {
		for r := range rows {
			y := out[0].F[r*p.n : (r+1)*p.n]
			if bias {
				copy(y, in[2].F)
			} else {
				fill(y, 0)
			}
			p.run(s, y, in[0].F[r*p.k:], in[1].F)
			epi.run(in, out, r*p.n, (r+1)*p.n)
		}
	}, nil
}
