package spmm

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// maxVectors bounds the accumulators of a portable kernel.
const maxVectors = 16

// lane4 is the portable kernels' vector.
type lane4 [4]float32

// genericKernels lists the portable kernels.
func genericKernels() []Kernel {
	var list []Kernel
	for _, s := range []struct {
		r     int
		tiles []Shape
	}{
		{1, []Shape{{1, 1}, {1, 2}, {1, 4}, {1, 7}, {2, 7}}},
		{2, []Shape{{1, 1}, {1, 2}, {1, 4}, {1, 7}}},
		{4, []Shape{{1, 1}, {1, 2}, {1, 4}}},
		{8, []Shape{{1, 1}, {1, 2}}},
	} {
		for _, tile := range s.tiles {
			for step := 1; step <= 2; step++ {
				list = append(list, Kernel{
					Name: fmt.Sprintf("f32_spmm_%dx%dx%ds%d_generic", s.r, tile.Rows, tile.Cols, step),
					ISA:  isa.Generic, R: s.r, Tile: tile, Step: step,
					fn: func(a *args) { generic(a, s.r, tile, step) },
				})
				if s.r == 1 {
					list = append(list, Kernel{
						Name: fmt.Sprintf("f32_spmm_pair_%dx%ds%d_generic", tile.Rows, tile.Cols, step),
						ISA:  isa.Generic, R: 1, Pair: true, Tile: tile, Step: step,
						fn: func(a *args) { genericPair(a, tile, step) },
					})
				}
			}
		}
	}
	return list
}

// A genericTile is the vectors of a tile: how many bytes each lies from the
// tile's origin.
type genericTile struct {
	n         int
	x, y, res [maxVectors]uintptr
}

func newGenericTile(a *args, tile Shape, step int) genericTile {
	const size = unsafe.Sizeof(lane4{})
	t := genericTile{n: tile.Vectors()}
	for j := range t.n {
		row, col := uintptr(j/tile.Cols), uintptr(j%tile.Cols)*size
		t.x[j] = row*a.xRow + col*uintptr(step)
		t.y[j] = row*a.yRow + col
		t.res[j] = row*a.resRow + col
	}
	return t
}

// begin sets the accumulators of a weight row.
func (t *genericTile) begin(a *args, row uint32, acc []lane4) {
	if a.flags&first == 0 {
		y := unsafe.Add(a.y, uintptr(row)*a.yChan)
		for j := range acc {
			acc[j] = *(*lane4)(unsafe.Add(y, t.y[j]))
		}
		return
	}
	b := unsafe.Slice(a.bias, int(row)+1)[row]
	for j := range acc {
		acc[j] = lane4{b, b, b, b}
		if a.flags&residual != 0 {
			p := (*lane4)(unsafe.Add(a.res, uintptr(row)*a.resChan+t.res[j]))
			for l := range p {
				acc[j][l] += p[l]
			}
		}
	}
}

// add adds the activations at an offset times a weight.
func (t *genericTile) add(a *args, off uint32, w float32, acc []lane4) {
	x := unsafe.Add(a.x, uintptr(off))
	for j := range acc {
		p, q := (*lane4)(unsafe.Add(x, t.x[j])), &acc[j]
		q[0] += w * p[0]
		q[1] += w * p[1]
		q[2] += w * p[2]
		q[3] += w * p[3]
	}
}

// end clamps and stores the accumulators of a weight row.
func (t *genericTile) end(a *args, row uint32, acc []lane4) {
	y := unsafe.Add(a.y, uintptr(row)*a.yChan)
	for j := range acc {
		q := acc[j]
		if a.flags&clamp != 0 {
			for l, v := range q {
				q[l] = min(max(v, a.min), a.max)
			}
		}
		*(*lane4)(unsafe.Add(y, t.y[j])) = q
	}
}

// generic is what every kernel of blocks of r rows computes.
func generic(a *args, r int, tile Shape, step int) {
	var acc [maxVectors]lane4 // weight row by weight row, tile row by tile row
	t := newGenericTile(a, tile, step)
	of := func(i int) []lane4 { return acc[i*t.n : (i+1)*t.n] }
	for _, e := range unsafe.Slice((*entry)(a.entries), a.count) {
		for i := range r {
			t.begin(a, e.row+uint32(i), of(i))
		}
		if e.count > 0 {
			off := unsafe.Slice(a.off, e.off+e.count)[e.off:]
			val := unsafe.Slice(a.val, int(e.val)+int(e.count)*r)[e.val:]
			for k, o := range off {
				for i, w := range val[k*r : (k+1)*r] {
					t.add(a, o, w, of(i))
				}
			}
		}
		for i := range r {
			t.end(a, e.row+uint32(i), of(i))
		}
	}
}

// genericPair is what every kernel of pairs computes.
func genericPair(a *args, tile Shape, step int) {
	var acc [2][maxVectors]lane4
	t := newGenericTile(a, tile, step)
	off, val := unsafe.Pointer(a.off), unsafe.Pointer(a.val)
	offset := func() (o uint32) {
		o, off = *(*uint32)(off), unsafe.Add(off, 4)
		return o
	}
	weight := func() (w float32) {
		w, val = *(*float32)(val), unsafe.Add(val, 4)
		return w
	}
	for _, e := range unsafe.Slice((*pairEntry)(a.entries), a.count) {
		for i, row := range e.row {
			t.begin(a, row, acc[i][:t.n])
		}
		for range e.shared {
			o := offset()
			for i := range acc {
				t.add(a, o, weight(), acc[i][:t.n])
			}
		}
		for range e.apart {
			for i := range acc {
				t.add(a, offset(), weight(), acc[i][:t.n])
			}
		}
		for i, row := range e.row {
			t.end(a, row, acc[i][:t.n])
		}
	}
}

// loadsGeneric adds up the vectors of so many blocks, one stream after the
// other.
func loadsGeneric(x *float32, stride, blocks, passes int) {
	var a, b, c, d, e, f, g, h float32
	for n := range passes * loadStreams {
		from := unsafe.Add(unsafe.Pointer(x), n%loadStreams*stride)
		v := unsafe.Slice((*[8]float32)(from), blocks*loadBlock*4/8)
		for i := range v {
			p := &v[i]
			a += p[0]
			b += p[1]
			c += p[2]
			d += p[3]
			e += p[4]
			f += p[5]
			g += p[6]
			h += p[7]
		}
	}
	runtime.KeepAlive(a + b + c + d + e + f + g + h)
}
