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
	var dst, src []int
	var lanes []int32
	for vy := -l.halo.top; vy < l.sy+l.halo.bottom; vy++ {
		for vx := -l.halo.left; vx < l.sx+l.halo.right; vx++ {
			inside := vy >= 0 && vy < l.sy && vx >= 0 && vx < l.sx
			needed := !inside
			from := make([]int32, l.lanes)
			wy, wx := mod(vy, l.sy), mod(vx, l.sx) // the vector that holds the same pixels
			for lane := range l.lanes {
				y, x, ok := l.pixel(vy, vx, lane)
				from[lane] = -1
				if ok {
					from[lane] = int32(y/l.sy*l.lx + x/l.sx)
				} else if l.live(lane) {
					needed = true // a sub-image that the image does not fill
				}
			}
			if needed {
				dst = append(dst, (vy+l.halo.top)*l.row+vx+l.halo.left)
				src = append(src, (wy+l.halo.top)*l.row+wx+l.halo.left)
				lanes = append(lanes, from...)
			}
		}
	}
	im.filled, im.fill = true, 0
	if len(dst) == 0 {
		return nil
	}
	table, err := vec.NewShuffleTable(l.lanes, l.image, dst, src, lanes)
	if err != nil {
		return fmt.Errorf("halo of %s: %w", name, err)
	}
	c.step(LayerReport{Name: name, Op: "Halo", Why: "neighbours' edges and padding, for the windows that follow"},
		&haloOp{shuffle: c.k.Shuffle, table: table, buf: im.buf, l: *l}, im.buf)
	return nil
}

func mod(a, b int) int { return ((a % b) + b) % b }

type haloOp struct {
	shuffle func(buf []float32, t *vec.ShuffleTable, fill float32)
	table   *vec.ShuffleTable
	buf     *buffer
	l       layout
}

func (o *haloOp) bind(s *Session) runner {
	return &haloRunner{haloOp: o, mem: s.memory(o.buf)}
}

type haloRunner struct {
	*haloOp
	mem []float32
}

// haloGrain is how many entries of the table a chunk takes.
const haloGrain = 4096

func (r *haloRunner) perChunk() int { return 1 + haloGrain/(r.table.Len()*r.l.n) }

func (r *haloRunner) run(p *parallel.Pool) { p.Run(r, ceilDiv(r.l.c, r.perChunk())) }

func (r *haloRunner) Chunk(i int) {
	l, per := &r.l, r.perChunk()
	for f := i * per; f < min((i+1)*per, l.c); f++ {
		r.shuffle(r.mem[l.plane(f, 0):][:l.n*l.image*l.lanes], r.table, 0)
	}
}
