package runtime

import (
	"math"

	"github.com/nnz-dev/nnz/kernels/spmm"
)

// A layout places a value's elements for the kernels: features are rows,
// columns (pixels or tokens, times batch) run along vectors, and an image is
// split over the lanes of a vector.
//
// An image of h x w pixels is cut into ly x lx sub-images of sy x sx pixels,
// one lane each. Pixel (y, x) lies in lane (y/sy)*lx + x/sx of vector
// (y%sy, x%sx), so that a convolution's tap is a move by whole vectors. Around
// the sub-images lies a halo of vectors that hold the neighbours' pixels, or
// padding. Memory is [feature][image][vector row][vector column][lane].
//
// A matrix is an image one pixel wide: its columns are the pixels. Where it is cut
// into parts, each has such memory of its own, one after the other. A volume is
// an image for each of its planes.
type layout struct {
	lanes   int // of a vector
	ly, lx  int // ly*lx == lanes
	c       int // features
	n       int // images
	h, w    int // pixels of an image
	sy, sx  int // vectors of a sub-image
	halo    halo
	row     int // vectors from one vector row to the next
	image   int // vectors from one image to the next
	channel int // vectors from one feature to the next
	cut     int // parts that the rows of vectors are cut into, 0 where they lie together
	plain   plainStrides
}

// A halo counts the vectors around a sub-image.
type halo struct{ top, left, bottom, right int }

func (a halo) max(b halo) halo {
	return halo{max(a.top, b.top), max(a.left, b.left), max(a.bottom, b.bottom), max(a.right, b.right)}
}

func (a halo) covers(b halo) bool { return a.max(b) == a }

// plainStrides are the element strides of the same value in row-major order.
type plainStrides struct {
	c, n, y, x int
	depth, z   int // planes of a volume, and from one to the next; depth 0 is 1
}

// plane returns where a feature of an image begins.
func (p *plainStrides) plane(c, n int) int {
	if p.depth > 1 {
		return c*p.c + n/p.depth*p.n + n%p.depth*p.z
	}
	return c*p.c + n*p.n
}

// A grid is how an image is cut over the lanes.
type grid struct{ ly, lx, sy, sx int }

// gridOf cuts an image into the sub-images that take the fewest vectors; ties
// go to the squarest, which has the smallest halo, then to the widest, which
// gives the longest tiles.
func gridOf(lanes, h, w int) grid {
	best, bestVectors, bestPerimeter := grid{}, math.MaxInt, math.MaxInt
	for lx := 1; lx <= lanes; lx *= 2 {
		g := grid{ly: lanes / lx, lx: lx}
		g.sy, g.sx = ceilDiv(h, g.ly), ceilDiv(w, g.lx)
		vectors, perimeter := g.sy*g.sx, g.sy+g.sx
		if vectors < bestVectors || vectors == bestVectors && (perimeter < bestPerimeter ||
			perimeter == bestPerimeter && g.sx > best.sx) {
			best, bestVectors, bestPerimeter = g, vectors, perimeter
		}
	}
	return best
}

// imageLayout lays out a value of n images with c features of h x w pixels on
// grid g, with room for halo o.
func imageLayout(g grid, c, n, h, w int, o halo) layout {
	l := layout{
		lanes: g.ly * g.lx, ly: g.ly, lx: g.lx, c: c, n: n, h: h, w: w, sy: g.sy, sx: g.sx, halo: o,
		row:   g.sx + o.left + o.right,
		plain: plainStrides{c: h * w, n: c * h * w, y: w, x: 1},
	}
	l.image = l.row * (g.sy + o.top + o.bottom)
	// An odd stride spreads the features of a panel over the sets of the L1
	// cache; an even one would put them into a few.
	l.channel = l.n*l.image | 1
	return l
}

// ofVolumes makes l, whose images are the planes of volumes, that of them.
func (l layout) ofVolumes(depth int) layout {
	if depth > 1 {
		l.plain.depth, l.plain.z = depth, l.h*l.w
		l.plain.c *= depth
		l.plain.n = l.c * l.plain.c
	}
	return l
}

// leastPart is how many vectors a thread has to have of its own: so many have the
// same results wherever they are cut. For fewer, walking to a weight takes longer
// than to multiply with it, too.
const leastPart = spmm.Uniform

// matrixLayout lays out cols rows of c features, as row-major tensors hold
// them, [cols][c]: as images one pixel wide. Its vectors are cut into parts for
// threads, as many as have enough of them. Each part has all features, and parts
// lie apart: what one thread writes shares neither cache lines nor pages with
// what another reads.
func matrixLayout(lanes, c, cols, threads int) layout {
	l := imageLayout(gridOf(lanes, cols, 1), c, 1, cols, 1, halo{})
	l.plain = plainStrides{c: 1, y: c}
	if parts := min(threads, l.sy/leastPart); parts > 1 {
		l.cut = parts
		l.channel = ceilDiv(l.sy, parts) | 1
	}
	return l
}

// matrixLayout lays out the columns of a matrix for the threads of the plan.
func (c *compiler) matrixLayout(features, cols int) layout {
	return matrixLayout(c.lanes, features, cols, c.cfg.Threads)
}

// parts returns into how many parts the rows of vectors are cut.
func (l *layout) parts() int { return max(l.cut, 1) }

// first returns which row of vectors part i begins with, and rows how many it has.
func (l *layout) first(i int) int { return i * l.sy / l.parts() }
func (l *layout) rows(i int) int  { return l.first(i+1) - l.first(i) }

// partOf returns the part of a row of vectors.
func (l *layout) partOf(vy int) int { return ((vy+1)*l.parts() - 1) / l.sy }

// part returns how many elements lie from one part to the next.
func (l *layout) part() int { return l.c * l.channel * l.lanes }

// rowAt returns where a row of vectors lies, in vectors from the first one.
func (l *layout) rowAt(vy int) int {
	if l.cut == 0 {
		return vy * l.row
	}
	i := l.partOf(vy)
	return i*l.c*l.channel + (vy-l.first(i))*l.row
}

// perPart returns how many threads share a part.
func (c *compiler) perPart(l *layout) int { return ceilDiv(c.cfg.Threads, l.parts()) }

// ownParts returns how many parts there are where each has a thread of its own,
// else 0.
func (c *compiler) ownParts(l *layout) byParts {
	if l.cut == 0 || c.perPart(l) > 1 {
		return 0
	}
	return byParts(l.parts())
}

func (l *layout) grid() grid { return grid{l.ly, l.lx, l.sy, l.sx} }

// size returns the float32 elements that the layout takes.
func (l *layout) size() int { return l.parts() * l.part() }

// origin returns the element where vector (0, 0) of image 0 of feature 0 lies.
func (l *layout) origin() int { return (l.halo.top*l.row + l.halo.left) * l.lanes }

// at returns where pixel (y, x) lies, in elements from its feature and image.
func (l *layout) at(y, x int) int {
	vector := l.rowAt(y%l.sy) + l.halo.top*l.row + x%l.sx + l.halo.left
	return vector*l.lanes + y/l.sy*l.lx + x/l.sx
}

// plane returns where a feature of an image begins, in elements.
func (l *layout) plane(c, n int) int { return (c*l.channel + n*l.image) * l.lanes }

// pixel returns the pixel in a lane of vector (vy, vx), which may lie in the
// halo, and whether it is one of the image.
func (l *layout) pixel(vy, vx, lane int) (y, x int, ok bool) {
	y, x = lane/l.lx*l.sy+vy, lane%l.lx*l.sx+vx
	return y, x, y >= 0 && y < l.h && x >= 0 && x < l.w
}

// live reports whether a lane holds any pixel at all.
func (l *layout) live(lane int) bool { return lane/l.lx*l.sy < l.h && lane%l.lx*l.sx < l.w }

// complete reports whether every pixel lies in a sub-image; an image made for
// one window may hold the last ones in its halo only.
func (l *layout) complete() bool { return l.ly*l.sy >= l.h && l.lx*l.sx >= l.w }

// flat reports whether the vectors of a feature follow each other without
// halo, so that they can be walked as one run.
func (l *layout) flat() bool { return l.halo == halo{} }

// gapless reports whether the rows of vectors of an image follow each other
// without gaps.
func (l *layout) gapless() bool { return l.row == l.sx }

func ceilDiv(a, b int) int { return (a + b - 1) / b }
