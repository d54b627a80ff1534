package runtime

import (
	"fmt"

	"github.com/nnz-dev/nnz/internal/parallel"
	"github.com/nnz-dev/nnz/kernels/vec"
)

// fillHalo appends a step that fills the halo of an image in place: vectors
// around the sub-images with the neighbouring lanes' pixels, and every place
// beyond the image that a window may reach with zeros.
func (c *compiler) fillHalo(name string, im *image) error {
	l := &im.layout
	// Threads share the halo as they do the products before and behind it, so that
	// each finds most of what it reads in its own cache: by rows where there are
	// tiles for all, else by features.
	shares := 1 // of the rows
	if l.sy*l.sx >= usualTile*pieces*c.cfg.Threads {
		shares = min(c.cfg.Threads, l.sy)
	}
	tables := make([]haloTable, shares)
	for vy := -l.halo.top; vy < l.sy+l.halo.bottom; vy++ {
		for vx := -l.halo.left; vx < l.sx+l.halo.right; vx++ {
			inside := vy >= 0 && vy < l.sy && vx >= 0 && vx < l.sx
			needed := !inside
			from := make([]int32, l.lanes)
			for lane := range l.lanes {
				y, x, ok := l.pixel(vy, vx, lane)
				from[lane] = -1
				if ok {
					from[lane] = int32(l.at(y, x))
				} else if l.live(lane) {
					needed = true // a sub-image that the image does not fill
				}
			}
			if needed {
				t := &tables[min(max(vy, 0), l.sy-1)*len(tables)/l.sy]
				t.dst = append(t.dst, (vy+l.halo.top)*l.row+vx+l.halo.left)
				t.index = append(t.index, from...)
			}
		}
	}
	im.filled, im.fill = true, 0
	op := &permuteOp{permute: c.k.Permute, dst: im.buf, src: im.buf}
	for _, t := range tables {
		if len(t.dst) == 0 {
			continue
		}
		table, err := vec.NewPermuteTable(l.lanes, t.dst, t.index)
		if err != nil {
			return fmt.Errorf("halo of %s: %w", name, err)
		}
		for img := range l.n {
			at := l.plane(0, img)
			op.add(table, at, at, vec.Planes{N: l.c, Dst: l.plane(1, 0), Src: l.plane(1, 0)})
		}
	}
	if len(op.runs) == 0 {
		return nil
	}
	c.step(LayerReport{Name: name, Op: "Halo", Why: "neighbours' edges and padding, for the windows that follow"}, op, im.buf)
	return nil
}

// A haloTable is vectors of a plane, and the elements that they are made of, -1
// for zeros.
type haloTable struct {
	dst   []int
	index []int32
}

// permuteOp makes vectors of planes from lanes of others, in the same buffer
// or another.
type permuteOp struct {
	permute  func(dst, src []float32, t *vec.PermuteTable, p vec.Planes, fill float32)
	dst, src *buffer
	runs     []permuteRun
	fill     float32
}

// A permuteRun is a use of a table on some planes.
type permuteRun struct {
	table    *vec.PermuteTable
	dst, src int // elements before the first planes
	planes   vec.Planes
}

// permuteGrain is about how many vectors a run reads and writes, some 10
// microseconds.
const permuteGrain = 8192

// add appends runs of a table on planes: of some at a time, for the threads to
// share.
func (o *permuteOp) add(t *vec.PermuteTable, dst, src int, p vec.Planes) {
	const atOnce = 4 // planes for which a table is read once
	per := roundUp(1+permuteGrain/(1+t.Len()+t.Pieces()), atOnce)
	for at := 0; at < p.N; at += per {
		some := p
		some.N = min(per, p.N-at)
		o.runs = append(o.runs, permuteRun{table: t, dst: dst + at*p.Dst, src: src + at*p.Src, planes: some})
	}
}

// moved implements [mover]: every element is read once and written once.
func (o *permuteOp) moved() int {
	n := 0
	for _, r := range o.runs {
		n += 8 * r.table.Elements() * r.planes.N
	}
	return n
}

// tableBytes implements [tabled]. Of a vector that is put together of pieces, a
// table has where each comes from and the lanes that it fills.
func (o *permuteOp) tableBytes() int {
	n := 64 * len(o.runs)
	var last *vec.PermuteTable // runs of a table follow each other
	for _, r := range o.runs {
		if r.table != last {
			last = r.table
			n += 8*last.Len() + 8*last.Pieces() + 4*last.Elements()
		}
	}
	return n
}

func (o *permuteOp) bind(s *Session) runner {
	return &permuteRunner{permuteOp: o, to: s.memory(o.dst), from: s.memory(o.src)}
}

type permuteRunner struct {
	*permuteOp
	to, from []float32
}

func (r *permuteRunner) run(p *parallel.Pool) { p.Run(r, len(r.runs)) }

func (r *permuteRunner) Chunk(i int) {
	run := &r.runs[i]
	r.permute(r.to[run.dst:], r.from[run.src:], run.table, run.planes, r.fill)
}
