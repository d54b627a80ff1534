package spmm

import "fmt"

// Values returns the packed values of the weight, in the order that kernels
// read them; it must not be written to. A weight packed from its own row-major
// indices shows where each of them comes from, for [Product.WithValues].
func (p *Product) Values() []float32 { return p.w.val }

// WithValues returns the product of a weight of the same form whose packed
// values are val, as many as Values has. val is not copied: what it holds when
// the product runs is what is multiplied, so that a product of two computed
// matrices is one of a weight that is filled again before each run.
func (p *Product) WithValues(val []float32) *Product {
	if len(val) != len(p.w.val) {
		panic(fmt.Sprintf("spmm: %d values in place of %d", len(val), len(p.w.val)))
	}
	w, q := *p.w, *p
	w.val = val
	q.w = &w
	return &q
}
