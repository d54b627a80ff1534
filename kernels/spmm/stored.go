package spmm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// A Stored is a packed weight as it is kept in a file: arrays that kernels read
// where they lie, and what the chunks and runs are.
type Stored struct {
	// Runs has rows, columns and the largest offset; then of each chunk the rows
	// of a block, whether it has a rest and pairs, and its runs, and of each run
	// kind, flags and how many entries it has.
	Runs    []uint32
	Entries []uint32 // four numbers each; of Pairs likewise
	Pairs   []uint32
	Offsets []uint32
	Values  []float32
}

// words is how many numbers an entry is, and one of pairs.
const words = 4

// Store returns the weight in the form that [Restore] takes. It shares the
// arrays of the weight.
func (w *Weight) Store() Stored {
	s := Stored{
		Runs:    []uint32{uint32(w.rows), uint32(w.cols), uint32(w.maxOff)},
		Entries: unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(w.entries))), len(w.entries)*words),
		Pairs:   unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(w.pairs))), len(w.pairs)*words),
		Offsets: w.off,
		Values:  w.val,
	}
	bit := map[bool]uint32{true: 1}
	for _, c := range w.chunks {
		s.Runs = append(s.Runs, uint32(c.r), bit[c.rest], bit[c.pairs], uint32(len(c.runs)))
		for _, r := range c.runs {
			s.Runs = append(s.Runs, uint32(r.kind), uint32(r.flags), uint32(r.hi-r.lo))
		}
	}
	return s
}

// Restore makes a weight of rows rows of what [Weight.Store] returned, for the
// addressing that it was packed with. It uses the arrays where they lie, so they
// must not change. Whatever they hold, kernels stay inside of buffers that
// [Product.Check] accepts: it is an error where they would not, or where a row
// is not computed exactly once.
func Restore(s Stored, rows int, a Addressing) (*Weight, error) {
	w, err := restore(s, rows, a)
	if err != nil {
		return nil, fmt.Errorf("spmm: stored weight: %w", err)
	}
	return w, nil
}

func restore(s Stored, rows int, a Addressing) (*Weight, error) {
	p, err := newPacker(rows, len(a.Offsets), 1, a)
	if err != nil {
		return nil, err
	}
	w := &p.w
	switch {
	case len(s.Entries)%words != 0 || len(s.Pairs)%words != 0:
		return nil, errors.New("a part of an entry")
	case len(s.Offsets) < lookahead || len(s.Values) < 1 || len(s.Values) > math.MaxInt32:
		return nil, fmt.Errorf("%d offsets, %d values", len(s.Offsets), len(s.Values))
	}
	w.entries = unsafe.Slice((*entry)(unsafe.Pointer(unsafe.SliceData(s.Entries))), len(s.Entries)/words)
	w.pairs = unsafe.Slice((*pairEntry)(unsafe.Pointer(unsafe.SliceData(s.Pairs))), len(s.Pairs)/words)
	w.off, w.val, w.nnz = s.Offsets, s.Values, len(s.Values)-1
	for _, o := range w.off {
		if uint(o) > uint(w.maxOff) || o%4 != 0 {
			return nil, fmt.Errorf("offset %d of at most %d", o, w.maxOff)
		}
	}
	r := restorer{w: w, groupRows: p.groupRows, numbers: s.Runs, begun: make([]uint8, rows), ended: make([]uint8, rows)}
	return w, r.run()
}

// A restorer checks that runs, entries and lists follow each other as a packer
// writes them.
type restorer struct {
	w              *Weight
	groupRows      int
	numbers        []uint32 // yet to be read
	entries, pairs int      // that runs had so far
	off, val       int      // likewise of the lists
	begun, ended   []uint8  // how often each row was
}

// read reads as many numbers as there are places.
func (r *restorer) read(places ...*uint32) error {
	if len(r.numbers) < len(places) {
		return errors.New("its runs are cut off")
	}
	for i, p := range places {
		*p = r.numbers[i]
	}
	r.numbers = r.numbers[len(places):]
	return nil
}

func (r *restorer) run() error {
	var rows, cols, largest uint32
	if err := r.read(&rows, &cols, &largest); err != nil {
		return err
	}
	if int(rows) != r.w.rows || int(cols) != r.w.cols || int(largest) != r.w.maxOff {
		return fmt.Errorf("of %d x %d, expected %d x %d in the same places", rows, cols, r.w.rows, r.w.cols)
	}
	for len(r.numbers) > 0 {
		if err := r.chunk(); err != nil {
			return err
		}
	}
	w := r.w
	switch {
	case len(w.chunks) == 0:
		return errors.New("no runs")
	case r.off+lookahead != len(w.off) || r.val+1 != len(w.val):
		return fmt.Errorf("runs with %d of %d offsets and %d of %d values", r.off, len(w.off)-lookahead, r.val, len(w.val)-1)
	case !padded(r.entries, len(w.entries)) || !padded(r.pairs, len(w.pairs)):
		return fmt.Errorf("runs with %d of %d entries and %d of %d pairs", r.entries, len(w.entries), r.pairs, len(w.pairs))
	}
	// Kernels prefetch the rows of those that they look ahead to.
	for _, e := range w.entries[r.entries:] {
		if uint(e.row) >= uint(w.rows) {
			return fmt.Errorf("row %d of %d", e.row, w.rows)
		}
	}
	for _, e := range w.pairs[r.pairs:] {
		if max(uint(e.row[0]), uint(e.row[1])) >= uint(w.rows) {
			return fmt.Errorf("rows %d of %d", e.row, w.rows)
		}
	}
	for i := range r.begun {
		if r.begun[i] != 1 || r.ended[i] != 1 {
			return fmt.Errorf("row %d begins %d and ends %d times", i, r.begun[i], r.ended[i])
		}
	}
	return nil
}

// padded reports whether a list is as long as one of n entries that kernels look
// ahead in.
func padded(n, length int) bool { return n == 0 && length == 0 || n > 0 && length == n+lookahead }

func (r *restorer) chunk() error {
	var rows, rest, pairs, runs uint32
	if err := r.read(&rows, &rest, &pairs, &runs); err != nil {
		return err
	}
	c := chunk{class: class{r: int(rows), rest: rest == 1, pairs: pairs == 1}}
	if !slices.Contains(Blocks(), int(rows)) || runs < 1 || int(runs) > len(r.numbers)/3 {
		return fmt.Errorf("%d runs of blocks of %d rows", runs, rows)
	}
	c.runs = make([]run, runs)
	for i := range c.runs {
		var kindOf, f, n uint32
		if err := r.read(&kindOf, &f, &n); err != nil {
			return err
		}
		x := run{kind: kind(min(kindOf, uint32(kinds))), flags: flags(f), off: r.off, val: r.val}
		if flags(f)&^(first|residual|clamp|prefetch) != 0 || n < 1 {
			return fmt.Errorf("a run of %d entries with flags %x", n, f)
		}
		var err error
		switch {
		case x.kind == blockRows:
			err = r.rows(&x, int(n), c.r)
		case x.kind == singleRows && c.rest:
			err = r.rows(&x, int(n), 1)
		case x.kind == pairRows && c.pairs:
			err = r.paired(&x, int(n))
		default:
			err = fmt.Errorf("a run of kind %d", kindOf)
		}
		if err != nil {
			return err
		}
		c.runs[i] = x
	}
	r.w.chunks = append(r.w.chunks, c)
	return nil
}

// rows checks a run of n entries of so many rows each.
func (r *restorer) rows(x *run, n, rows int) error {
	w := r.w
	if n > len(w.entries)-r.entries {
		return fmt.Errorf("a run of %d entries, %d are left", n, len(w.entries)-r.entries)
	}
	x.off, x.val = 0, 0 // their entries say where
	x.lo, x.hi = r.entries, r.entries+n
	r.entries = x.hi
	for i := x.lo; i < x.hi; i++ {
		e := w.entries[i]
		row, count := int(e.row), int(e.count)
		if (e.row|e.count|e.off|e.val)>>31 > 0 || row > w.rows-rows || row/r.groupRows != (row+rows-1)/r.groupRows {
			return fmt.Errorf("rows from %d on of %d", row, w.rows)
		}
		// Its list is a new one, or where lists may be shared that of the entry
		// before.
		shares := rows > 1 && i > 0 && e.off == w.entries[i-1].off && e.count == w.entries[i-1].count
		switch {
		case int(e.val) != r.val || count > (len(w.val)-1-r.val)/rows:
			return fmt.Errorf("%d values from %d on, expected them from %d on", count*rows, e.val, r.val)
		case int(e.off) == r.off && count <= len(w.off)-lookahead-r.off:
			r.off += count
		case !shares:
			return fmt.Errorf("%d offsets from %d on, expected them from %d on", count, e.off, r.off)
		}
		r.val += count * rows
		for k := row; k < row+rows; k++ {
			r.mark(k, x.flags)
		}
	}
	return nil
}

// paired checks a run of n pairs.
func (r *restorer) paired(x *run, n int) error {
	w := r.w
	if n > len(w.pairs)-r.pairs {
		return fmt.Errorf("a run of %d pairs, %d are left", n, len(w.pairs)-r.pairs)
	}
	x.lo, x.hi = r.pairs, r.pairs+n
	r.pairs = x.hi
	for _, e := range w.pairs[x.lo:x.hi] {
		a, b := int(e.row[0]), int(e.row[1])
		if (e.row[0]|e.row[1]|e.shared|e.apart)>>30 > 0 || max(a, b) >= w.rows || a == b || a/r.groupRows != b/r.groupRows {
			return fmt.Errorf("rows %d and %d of %d in a pair", a, b, w.rows)
		}
		off, val := int(e.shared)+2*int(e.apart), 2*(int(e.shared)+int(e.apart))
		if off > len(w.off)-lookahead-r.off || val > len(w.val)-1-r.val {
			return fmt.Errorf("a pair of %d columns and %d apart", e.shared, e.apart)
		}
		r.off, r.val = r.off+off, r.val+val
		r.mark(a, x.flags)
		r.mark(b, x.flags)
	}
	return nil
}

// mark counts that a row begins or ends, up to twice.
func (r *restorer) mark(row int, f flags) {
	if f&first != 0 {
		r.begun[row] = min(r.begun[row]+1, 2)
	}
	if f&clamp != 0 {
		r.ended[row] = min(r.ended[row]+1, 2)
	}
}
