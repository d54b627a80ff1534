package runtime

import "github.com/nnz-dev/nnz/graph"

// planes says which planes of its input a window that slides over volumes
// begins at: the zero value is of images, each its own.
type planes struct {
	out    int // planes of a volume of the output, 0 of images
	in     int // planes of a volume of the input, padding included
	stride int
}

// of returns the first plane, counted over all volumes, for a plane of the
// output.
func (p *planes) of(img int) int {
	if p.out == 0 {
		return img
	}
	return img/p.out*p.in + img%p.out*p.stride
}

// apart reports whether planes of input and output are others.
func (p *planes) apart() bool { return p.out != 0 }

// A deepWindow is how a window goes through the planes of volumes.
type deepWindow struct{ kernel, stride, dilation, front, back int }

func deepWindowOf(n *graph.Node) deepWindow {
	return deepWindow{
		kernel: n.Ints("kernel_shape")[0], stride: n.Ints("strides")[0], dilation: n.Ints("dilations")[0],
		front: n.Ints("pads")[0], back: n.Ints("pads")[3],
	}
}

// volumeSource brings the input of a convolution of volumes into images of
// their planes, with planes of zeros before and after for padding. A tap in
// another plane is a move by whole images.
func (c *compiler) volumeSource(n *graph.Node, w window, out *layout) (source, error) {
	x := n.Inputs[0]
	d := deepWindowOf(n)
	shape := c.values[x].typ.Shape
	volumes, features, depth := shape[0], shape[1], shape[2]
	perGroup := features / n.Int("group", 1)
	g, reach := c.windowLayout(w, n.Outputs[0])
	padded := d.front + depth + d.back
	l := imageLayout(g, features, volumes*padded, shape[3], shape[4], reach)
	if w.sw > 2 || !c.near(x, g, reach) || float64(padded)*float64(l.image) > maxHaloGrowth*float64(depth*g.sx*g.sy) {
		im, err := c.tapVolume(x, w, d, out)
		if err != nil {
			return source{}, err
		}
		return directSource(im, unitWindow, perGroup*d.kernel*w.taps()), nil
	}
	if err := c.roomForImage(&l); err != nil {
		return source{}, err
	}
	in := c.volumePlacement(x, g)
	r := c.volumeGather(x, in, &l, []tap{same})
	for f := range features {
		for v := range volumes {
			for z := range padded {
				r.plane(l.plane(f, v*padded+z), f, v, z-d.front, 0)
			}
		}
	}
	s := directSource(&image{layout: l, buf: r.finish()}, w, perGroup)
	s.planes = planes{out: c.depth(n.Outputs[0]), in: padded, stride: d.stride}
	flat := s.offsets
	s.offsets = nil
	for f := range perGroup {
		for z := range d.kernel {
			for _, at := range flat[f*w.taps():][:w.taps()] {
				s.offsets = append(s.offsets, at+uint32(z*d.dilation*l.image*l.lanes*4))
			}
		}
	}
	return s, nil
}

// tapVolume is tapImage of volumes: feature (f*kernel+kz)*taps+t is tap t of
// plane kz of feature f under every output pixel.
func (c *compiler) tapVolume(x string, w window, d deepWindow, out *layout) (*image, error) {
	shape := c.values[x].typ.Shape
	depth := out.n / shape[0]
	l := imageLayout(out.grid(), shape[1]*d.kernel*w.taps(), out.n, out.h, out.w, halo{})
	if err := c.roomForImage(&l); err != nil {
		return nil, err
	}
	taps := w.positions()
	r := c.volumeGather(x, c.volumePlacement(x, out.grid()), &l, taps)
	for f := range shape[1] {
		for kz := range d.kernel {
			for t := range taps {
				for img := range out.n {
					z := img%depth*d.stride + kz*d.dilation - d.front
					r.plane(l.plane((f*d.kernel+kz)*len(taps)+t, img), f, img/depth, z, t)
				}
			}
		}
	}
	return &image{layout: l, buf: r.finish()}, nil
}

// volumePlacement returns where the planes of a volume value are read.
func (c *compiler) volumePlacement(x string, g grid) placement {
	images, features, h, w := c.extents(x)
	l := imageLayout(g, features, images, h, w, halo{}).ofVolumes(c.depth(x))
	return c.source(c.values[x], &l)
}

// A volumeGather is a relayout of planes into images, some of which are zeros.
type volumeGather struct {
	*relayout
	c     *compiler
	name  string
	src   placement
	depth int // planes of a volume of the source
}

func (c *compiler) volumeGather(x string, src placement, dst *layout, taps []tap) *volumeGather {
	r := &volumeGather{c: c, name: x, src: src, depth: c.depth(x)}
	r.relayout = &relayout{k: c.k, src: src.buf, constant: src.constant, dst: c.newBuffer(c.values[x], dst.size(), false)}
	for _, t := range taps {
		r.addTable(src.under(dst, 0, t))
	}
	zeros := make([]int32, dst.image*dst.lanes)
	for i := range zeros {
		zeros[i] = -1
	}
	r.addTable(zeros)
	return r
}

// plane fills the image at dst with plane z of a feature of a volume under a
// tap, zeros where the volume has no such plane.
func (r *volumeGather) plane(dst, feature, volume, z, tap int) {
	if z < 0 || z >= r.depth {
		r.runs = append(r.runs, gatherRun{dst: dst, table: len(r.tables) - 1})
		return
	}
	r.runs = append(r.runs, gatherRun{dst: dst, src: r.src.plane(feature, volume*r.depth+z), table: tap})
}

// finish appends the step and returns what it fills.
func (r *volumeGather) finish() *buffer {
	r.c.step(LayerReport{Name: r.name, Op: "Relayout", Why: "into lane-split planes of volumes"}, r.relayout, r.src.buf, r.relayout.dst)
	return r.relayout.dst
}
