package sparse

import "math"

// Stats says where the zeros of a matrix are.
type Stats struct {
	Rows, Cols     int
	Zeros          int
	Sparsity       float64 // share of zeros, 0 to 1; 0 for a matrix without elements
	RowMin, RowMax int     // nonzeros in the emptiest and in the fullest row
	RowMean        float64 // nonzeros in a row
	RowStd         float64 // standard deviation of that over the rows
	Blocks         []BlockStats
	Patterns       []PatternStats
}

// BlockStats says what a format of R x C blocks would find. A block that
// reaches over an edge counts with the elements that lie in the matrix.
type BlockStats struct {
	R, C  int
	Total int     // blocks of the matrix
	Empty int     // blocks without a nonzero, which need not be stored
	Full  int     // blocks without a zero
	Fill  float64 // share of nonzeros in the blocks that are not empty, 0 to 1
}

// PatternStats says whether a matrix is N:M sparse: of each group of M
// consecutive columns of a row, the last of a row possibly shorter, at most N
// are not zero.
type PatternStats struct {
	N, M  int
	Total int // groups of the matrix
	Over  int // groups that hold more than N nonzeros
}

// Holds reports whether no group has too many nonzeros.
func (s PatternStats) Holds() bool { return s.Over == 0 }

// Patterns lists the N:M patterns that [Stats] reports on, those first that
// leave less.
func Patterns() [][2]int { return [][2]int{{1, 4}, {2, 4}} }

// blockShapes are the blocks that [Stats] reports on: runs along an output
// column, as the block kernels take them, runs along a row, and squares.
var blockShapes = [...][2]int{{2, 1}, {4, 1}, {8, 1}, {16, 1}, {1, 4}, {1, 8}, {1, 16}, {4, 4}, {8, 8}}

// Measure returns the statistics of a row-major matrix. It panics where dense
// does not have rows*cols elements.
func Measure(rows, cols int, dense []float32) Stats {
	m, err := FromDense(rows, cols, dense)
	if err != nil {
		panic("sparse: " + err.Error())
	}
	return m.Stats()
}

// Stats returns the statistics of the matrix. Stored zeros count as zeros.
func (m *CSR) Stats() Stats {
	s := Stats{Rows: m.rows, Cols: m.cols}
	nonzeros, squares := 0, 0.0
	for i := range m.rows {
		_, val := m.Row(i)
		n := 0
		for _, v := range val {
			if v != 0 {
				n++
			}
		}
		if i == 0 || n < s.RowMin {
			s.RowMin = n
		}
		s.RowMax = max(s.RowMax, n)
		nonzeros += n
		squares += float64(n) * float64(n)
	}
	elements := m.rows * m.cols
	s.Zeros = elements - nonzeros
	if elements > 0 {
		s.Sparsity = float64(s.Zeros) / float64(elements)
		s.RowMean = float64(nonzeros) / float64(m.rows)
		s.RowStd = math.Sqrt(max(0, squares/float64(m.rows)-s.RowMean*s.RowMean))
	}
	for _, shape := range blockShapes {
		s.Blocks = append(s.Blocks, m.blockStats(shape[0], shape[1]))
	}
	for _, p := range Patterns() {
		s.Patterns = append(s.Patterns, m.patternStats(p[0], p[1]))
	}
	return s
}

func (m *CSR) blockStats(r, c int) BlockStats {
	s := BlockStats{R: r, C: c, Total: ceilDiv(m.rows, r) * ceilDiv(m.cols, c)}
	s.Empty = s.Total
	nonzeros, elements := 0, 0
	m.eachBlock(r, c, func(i, j, n int) {
		inside := min(r, m.rows-i*r) * min(c, m.cols-j*c)
		s.Empty--
		if n == inside {
			s.Full++
		}
		nonzeros += n
		elements += inside
	})
	if elements > 0 {
		s.Fill = float64(nonzeros) / float64(elements)
	}
	return s
}

func (m *CSR) patternStats(n, of int) PatternStats {
	s := PatternStats{N: n, M: of, Total: m.rows * ceilDiv(m.cols, of)}
	m.eachBlock(1, of, func(_, _, nonzeros int) {
		if nonzeros > n {
			s.Over++
		}
	})
	return s
}

// Holds reports whether the matrix is n:of sparse along its rows. It stops at
// the first group that has too many nonzeros.
func (m *CSR) Holds(n, of int) bool {
	for i := range m.rows {
		col, val := m.Row(i)
		group, nonzeros := -1, 0
		for k, j := range col {
			if val[k] == 0 {
				continue
			}
			if g := int(j) / of; g != group {
				group, nonzeros = g, 0
			}
			if nonzeros++; nonzeros > n {
				return false
			}
		}
	}
	return true
}
