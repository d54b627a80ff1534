package runtime

import (
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/kernels/spmm"
)

// A window is what a convolution or pooling slides over an image: an image of
// one row has kernels of one row.
type window struct {
	kh, kw                   int // taps
	sh, sw                   int // strides
	dh, dw                   int // dilations
	top, left, bottom, right int // how far the window reaches beyond the image
}

// unitWindow slides a single tap over every pixel: of matrix products.
var unitWindow = window{kh: 1, kw: 1, sh: 1, sw: 1, dh: 1, dw: 1}

// windowOf reads a node's window, with automatic padding and the rounding of
// the output's extents resolved from the shapes.
func (c *compiler) windowOf(n *graph.Node) window {
	_, _, h, w := c.extents(n.Inputs[0])
	_, _, oh, ow := c.extents(n.Outputs[0])
	get := func(name string) (h, w int) {
		switch v := n.Ints(name); len(v) {
		case 1:
			return 1, v[0]
		case 2:
			return v[0], v[1]
		case 3: // of a volume, the planes apart
			return v[1], v[2]
		}
		return 1, 1
	}
	var win window
	win.kh, win.kw = get("kernel_shape")
	win.sh, win.sw = get("strides")
	win.dh, win.dw = get("dilations")
	reachH := (oh-1)*win.sh + (win.kh-1)*win.dh + 1 - h
	reachW := (ow-1)*win.sw + (win.kw-1)*win.dw + 1 - w
	switch n.Str("auto_pad", "NOTSET") {
	case "SAME_UPPER":
		win.top, win.left = max(0, reachH)/2, max(0, reachW)/2
	case "SAME_LOWER":
		win.top, win.left = (max(0, reachH)+1)/2, (max(0, reachW)+1)/2
	case "NOTSET":
		switch p := n.Ints("pads"); len(p) {
		case 2:
			win.left = p[0]
		case 4:
			win.top, win.left = p[0], p[1]
		case 6:
			win.top, win.left = p[1], p[2]
		}
	}
	win.bottom, win.right = max(0, reachH-win.top), max(0, reachW-win.left)
	return win
}

// padded reports whether the window reaches beyond the image.
func (w window) padded() bool { return w.top > 0 || w.left > 0 || w.bottom > 0 || w.right > 0 }

// reads reports whether the window, on a layout that it needs halo o of, reads
// vectors or lanes that the producer of the image does not write.
func (w window) reads(o halo) bool { return o != halo{} || w.padded() }

// taps returns how many elements a window covers.
func (w window) taps() int { return w.kh * w.kw }

// reach returns how many rows a window spans.
func (w *window) reach() int { return (w.kh-1)*w.dh + 1 }

// positions returns where the window's elements are taken from.
func (w window) positions() []tap {
	var taps []tap
	for ky := range w.kh {
		for kx := range w.kw {
			taps = append(taps, tap{sy: w.sh, y0: ky*w.dh - w.top, sx: w.sw, x0: kx*w.dw - w.left})
		}
	}
	return taps
}

// footprint returns how many vectors of a feature a tile reads.
func (w window) footprint(tile spmm.Shape) int {
	rows, cols := (tile.Rows-1)*w.sh+(w.kh-1)*w.dh+1, (tile.Cols-1)*w.sw+(w.kw-1)*w.dw+1
	return min(rows*cols, tile.Vectors()*w.taps())
}

// windowLayout returns the grid that a windowed node's input must be cut on
// for the taps to be moves by whole vectors, and the halo they reach into:
// lanes begin at the pixels under the output's lanes.
func (c *compiler) windowLayout(w window, out string) (grid, halo) {
	g := c.naturalGrid(out)
	in := grid{ly: g.ly, lx: g.lx, sy: g.sy * w.sh, sx: g.sx * w.sw}
	return in, halo{
		top: w.top, left: w.left,
		bottom: max(0, w.sh*(g.sy-1)+w.dh*(w.kh-1)-w.top-(in.sy-1)),
		right:  max(0, w.sw*(g.sx-1)+w.dw*(w.kw-1)-w.left-(in.sx-1)),
	}
}
