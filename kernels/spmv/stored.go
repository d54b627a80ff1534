package spmv

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// A Stored is part of a packed sparse weight as it is kept in a file: arrays
// that kernels read where they lie.
type Stored struct {
	Form    Form
	R       int
	Entries []uint32 // four numbers each
	Columns []uint16 // of blocks
	Indices []uint8  // of tiles
	Order   []int32  // of tiles
	Values  []float32
}

// Store returns the parts of a sparse weight in the form that [Restore] takes,
// none of a dense one. They share the arrays of the weight.
func (w *Weight) Store() []Stored {
	var list []Stored
	for _, p := range w.parts {
		list = append(list, Stored{
			Form: p.form, R: p.r, Columns: p.col, Indices: p.index, Order: p.order, Values: p.val,
			Entries: unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(p.entries))), len(p.entries)*4),
		})
	}
	return list
}

// Restore makes a weight of rows x cols, which stores nnz elements, of what
// [Weight.Store] returned. It uses the arrays where they lie, so they must not
// change, and values want to begin at a cache line. Whatever they hold, kernels
// stay inside of the vectors of [Product.Run]: it is an error where they would
// not, or where a row is not computed exactly once.
func Restore(rows, cols, nnz int, parts []Stored) (*Weight, error) {
	if err := checkDims(rows, cols); err != nil {
		return nil, err
	}
	if len(parts) == 0 || nnz < 0 || nnz > rows*cols {
		return nil, fmt.Errorf("spmv: stored weight of %d parts and %d elements", len(parts), nnz)
	}
	w := &Weight{rows: rows, cols: cols, nnz: nnz}
	computed := make([]bool, rows)
	for _, s := range parts {
		p := part{form: s.Form, r: s.R, col: s.Columns, index: s.Indices, order: s.Order, val: s.Values}
		p.entries = unsafe.Slice((*entry)(unsafe.Pointer(unsafe.SliceData(s.Entries))), len(s.Entries)/4)
		err := errors.New("no entries")
		switch {
		case len(s.Entries) == 0 || len(s.Entries)%4 != 0 || len(s.Values) > math.MaxInt32:
		case s.Form == FormBlocks:
			err = p.checkBlocks(computed, cols)
		case s.Form == FormTiles:
			err = p.checkTiles(computed, cols)
		default:
			err = fmt.Errorf("form %d", s.Form)
		}
		if err != nil {
			return nil, fmt.Errorf("spmv: stored weight: %w", err)
		}
		w.parts = append(w.parts, p)
	}
	if i := slices.Index(computed, false); i >= 0 {
		return nil, fmt.Errorf("spmv: stored weight: row %d is not computed", i)
	}
	return w, nil
}

// compute marks that a row is computed, which is wrong a second time.
func compute(computed []bool, row int) error {
	if row < 0 || row >= len(computed) || computed[row] {
		return fmt.Errorf("row %d of %d, or a second time", row, len(computed))
	}
	computed[row] = true
	return nil
}

// cut begins a chunk where the last one is full, before entry i.
func (p *part) cut(i, val int) {
	if n := len(p.chunks); n == 0 || val-p.chunks[n-1].val >= chunkValues {
		p.chunks = append(p.chunks, chunk{i, val})
	}
}

// checkBlocks checks a part of blocks, and cuts it into chunks.
func (p *part) checkBlocks(computed []bool, cols int) error {
	if !slices.Contains(Blocks(), p.r) || len(p.val) != len(p.col)*p.r || len(p.index)+len(p.order) > 0 {
		return fmt.Errorf("%d values of %d blocks of %d rows", len(p.val), len(p.col), p.r)
	}
	at := 0 // blocks so far
	goesOn := false
	for i, e := range p.entries {
		if (e.row|e.count|e.base)>>31 > 0 || e.flags&^(later|partial) != 0 || e.flags&later != 0 != goesOn {
			return fmt.Errorf("entry %d of flags %x", i, e.flags)
		}
		row, n, base := int(e.row), int(e.count), int(e.base)
		if goesOn && e.row != p.entries[i-1].row || n > len(p.col)-at {
			return fmt.Errorf("entry %d of row %d and %d blocks", i, row, n)
		}
		if !goesOn {
			p.cut(i, at*p.r)
			for k := range p.r {
				if err := compute(computed, row+k); err != nil {
					return err
				}
			}
		}
		for _, k := range p.col[at : at+n] {
			if base > cols-1-int(k) {
				return fmt.Errorf("column %d of %d", base+int(k), cols)
			}
		}
		if base > cols {
			return fmt.Errorf("columns from %d on of %d", base, cols)
		}
		at += n
		goesOn = e.flags&partial != 0
	}
	if goesOn || at != len(p.col) {
		return fmt.Errorf("entries with %d of %d blocks", at, len(p.col))
	}
	p.chunks = append(p.chunks, p.end())
	return nil
}

// checkTiles checks a part of tiles, and cuts it into chunks. Six bits of an
// index are a column of the tile, so whatever they are will do.
func (p *part) checkTiles(computed []bool, cols int) error {
	if p.r != tileRows || cols < TileCols || len(p.index) != len(p.val) || len(p.col) > 0 || len(p.order)%tileRows != 0 {
		return fmt.Errorf("tiles of %d rows: %d values, %d indices, %d columns", p.r, len(p.val), len(p.index), cols)
	}
	for _, row := range p.order {
		if row == -1 {
			continue
		}
		if err := compute(computed, int(row)); err != nil {
			return err
		}
	}
	at, lane := 0, 0 // values and lanes so far
	goesOn := false
	for i, e := range p.entries {
		if (e.row|e.count|e.base)>>31 > 0 || e.flags&^partial != 0 {
			return fmt.Errorf("entry %d of flags %x", i, e.flags)
		}
		if !goesOn {
			p.cut(i, at)
		}
		n := int(e.count)
		if int(e.row) != lane || lane >= len(p.order) || n > (len(p.val)-at)/tileRows || int(e.base) > cols-TileCols {
			return fmt.Errorf("entry %d: %d steps of lane %d in columns from %d on", i, n, e.row, e.base)
		}
		at += n * tileRows
		if goesOn = e.flags&partial != 0; !goesOn {
			lane += tileRows
		}
	}
	if goesOn || at != len(p.val) || lane != len(p.order) {
		return fmt.Errorf("entries with %d of %d values and %d of %d lanes", at, len(p.val), lane, len(p.order))
	}
	p.chunks = append(p.chunks, p.end())
	return nil
}
