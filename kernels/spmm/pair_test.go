package spmm

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMatch: every row of a K-block is paired once or stays single, pairs are
// of rows that have as many columns, and are alike where such rows exist.
func TestMatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, rows := range []int{1, 2, 3, 60, Band + 70} {
		for _, density := range []float64{0, 0.1, 0.5, 1} {
			const first, block = 70, 130
			p := &packer{groupRows: rows}
			p.Block = block
			var parts []part
			for row := range rows {
				s := strip{row: row, r: 1}
				for k := range block {
					if rng.Float64() < density {
						s.col = append(s.col, int32(first+k))
					}
				}
				parts = append(parts, part{strip: s})
			}
			slices.SortStableFunc(parts, func(a, b part) int { return len(b.col) - len(a.col) })
			seen := make([]bool, rows)
			see := func(x *part) {
				if seen[x.row] {
					t.Fatalf("row %d is there twice", x.row)
				}
				seen[x.row] = true
			}
			pairs, single := p.match(parts, first)
			for i, x := range pairs {
				see(x.a)
				see(x.b)
				shared := 0
				for _, k := range x.a.col {
					if slices.Contains(x.b.col, k) {
						shared++
					}
				}
				if shared != x.shared {
					t.Errorf("rows %d and %d share %d columns, not %d", x.a.row, x.b.row, shared, x.shared)
				}
				if len(x.a.col) != len(x.b.col) || x.a.row/Band != x.b.row/Band {
					t.Errorf("rows %d and %d with %d and %d columns are paired", x.a.row, x.b.row, len(x.a.col), len(x.b.col))
				}
				if i > 0 && len(x.a.col) > len(pairs[i-1].a.col) {
					t.Errorf("a pair of %d columns follows one of %d", len(x.a.col), len(pairs[i-1].a.col))
				}
			}
			for _, x := range single {
				see(&x)
			}
			if slices.Contains(seen, false) {
				t.Error("a row is missing")
			}
			if density == 1 && len(single) > (rows/Band+1) {
				t.Errorf("%d of %d equal rows stay single", len(single), rows)
			}
		}
	}
}

// TestMatchTwins: a row finds its like.
func TestMatchTwins(t *testing.T) {
	p := &packer{groupRows: 40}
	p.Block = 40
	var parts []part
	for row := range 40 {
		parts = append(parts, part{strip: strip{row: row, r: 1, col: []int32{int32(row % 20), int32(row%20 + 20)}}})
	}
	pairs, single := p.match(parts, 0)
	if len(single) > 0 {
		t.Errorf("%d rows stay single", len(single))
	}
	for _, x := range pairs {
		if x.b.row-x.a.row != 20 && x.a.row-x.b.row != 20 {
			t.Errorf("row %d is paired with %d", x.a.row, x.b.row)
		}
	}
}

// TestSplit: tiles that are split cover what they did.
func TestSplit(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, 29, 100} {
		places := Split([]Placed{{Shape: Shape{2, 7}}, {Shape: Shape{2, 7}, Col: 7}}, n)
		seen := map[[2]int]bool{}
		for _, p := range places {
			for v := range p.Vectors() {
				at := [2]int{p.Row + v/p.Cols, p.Col + v%p.Cols}
				if seen[at] || at[0] > 1 || at[1] > 13 {
					t.Fatalf("split in %d: vector %v of %+v", n, at, p)
				}
				seen[at] = true
			}
		}
		if want := min(max(n, 2), 28); len(seen) != 28 || len(places) != want {
			t.Errorf("split in %d: %d tiles of %d vectors", n, len(places), len(seen))
		}
	}
}
