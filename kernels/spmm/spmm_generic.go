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
			}
		}
	}
	return list
}

// generic is what every kernel computes.
func generic(a *args, r int, tile Shape, step int) {
	const size = unsafe.Sizeof(lane4{})
	var acc [maxVectors]lane4 // weight row by weight row, tile row by tile row
	n := tile.Vectors()
	var xAt, yAt, resAt [maxVectors]uintptr
	for j := range n {
		row, col := uintptr(j/tile.Cols), uintptr(j%tile.Cols)*size
		xAt[j] = row*a.xRow + col*uintptr(step)
		yAt[j] = row*a.yRow + col
		resAt[j] = row*a.resRow + col
	}
	for _, e := range unsafe.Slice(a.entries, a.count) {
		y := unsafe.Add(a.y, uintptr(e.row)*a.yChan)
		for i := range r {
			out := acc[i*n : (i+1)*n]
			if a.flags&first == 0 {
				for j := range out {
					out[j] = *(*lane4)(unsafe.Add(y, uintptr(i)*a.yChan+yAt[j]))
				}
				continue
			}
			b := unsafe.Slice(a.bias, int(e.row)+r)[int(e.row)+i]
			for j := range out {
				out[j] = lane4{b, b, b, b}
				if a.flags&residual != 0 {
					p := (*lane4)(unsafe.Add(a.res, (uintptr(e.row)+uintptr(i))*a.resChan+resAt[j]))
					for l := range p {
						out[j][l] += p[l]
					}
				}
			}
		}
		if e.count > 0 {
			off := unsafe.Slice(a.off, e.off+e.count)[e.off:]
			val := unsafe.Slice(a.val, int(e.val)+int(e.count)*r)[e.val:]
			for k, o := range off {
				x := unsafe.Add(a.x, uintptr(o))
				for i, w := range val[k*r : (k+1)*r] {
					out := acc[i*n : (i+1)*n]
					for j := range out {
						p, q := (*lane4)(unsafe.Add(x, xAt[j])), &out[j]
						q[0] += w * p[0]
						q[1] += w * p[1]
						q[2] += w * p[2]
						q[3] += w * p[3]
					}
				}
			}
		}
		for i := range r {
			out := acc[i*n : (i+1)*n]
			for j := range out {
				q := out[j]
				if a.flags&clamp != 0 {
					for l, v := range q {
						q[l] = min(max(v, a.min), a.max)
					}
				}
				*(*lane4)(unsafe.Add(y, uintptr(i)*a.yChan+yAt[j])) = q
			}
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
