package vec

import "fmt"

// A PermuteTable lists vectors of a plane to be made of elements of another
// plane, or of the same. It fills the halo of lane-split images, where the
// vector beside an image's edge holds the pixels of the edge of the next lane,
// or padding where there is no next; and it brings images from one grid of
// lanes to another.
//
// It holds for a target's plane d and a source's s:
//
//	for e, target := range dst {
//		for l := range lanes {
//			d[target*lanes+l] = s[index[e*lanes+l]], fill where that is negative
//		}
//	}
//
// Targets are made one after the other, each after all that it is made of has
// been read.
type PermuteTable struct {
	lanes    int
	src, dst int // elements of a plane that are reached
	pieces   int
	parts    []permutePart
}

// A permutePart is some targets. A target is put together of pieces: of the
// lanes that it takes from one vector.
type permutePart struct {
	target []uint32 // of each target: its byte offset in the plane, and how many pieces it has
	from   []uint32 // of each piece: the byte offset of its vector
	// lane has for each piece the lane of the vector that each lane of the
	// target takes, -1 where it takes none.
	lane []int8
	// bytes are the lanes as bytes of the vector, for vectors of four lanes.
	bytes []uint8
}

// partPieces bounds the pieces and targets of a part: its lanes stay in the L1 cache, and
// one call for some planes takes some 20 microseconds.
const partPieces = 1024

// permutePlanes is how many planes a call of assembly takes, a multiple of the
// four that are taken at once.
const permutePlanes = 32

// NewPermuteTable makes a table for vectors of lanes elements. dst counts
// vectors within the target's plane; index holds lanes elements of the source's
// plane for each of them, of which a negative one asks for the fill. The planes
// have as many vectors as dst and index reach.
func NewPermuteTable(lanes int, dst []int, index []int32) (*PermuteTable, error) {
	const most = 1 << 24 // vectors: keeps byte offsets within 32 bits
	switch {
	case lanes < 1 || lanes > 16:
		return nil, fmt.Errorf("vec: permute table of %d lanes", lanes)
	case len(index) != len(dst)*lanes:
		return nil, fmt.Errorf("vec: permute table of %d targets has %d indices of %d lanes", len(dst), len(index), lanes)
	}
	t := &PermuteTable{lanes: lanes}
	part := &permutePart{}
	for e, target := range dst {
		if target < 0 || target >= most {
			return nil, fmt.Errorf("vec: permute table makes vector %d of a plane of at most %d", target, most)
		}
		t.dst = max(t.dst, (target+1)*lanes)
		if len(part.from)+lanes > partPieces || len(part.target) > 2*partPieces {
			t.parts = append(t.parts, *part)
			part = &permutePart{}
		}
		first := len(part.from)
		for l, i := range index[e*lanes:][:lanes] {
			if i < 0 {
				continue
			}
			vector := int(i) / lanes
			if vector >= most {
				return nil, fmt.Errorf("vec: permute table takes element %d of a plane of at most %d vectors", i, most)
			}
			t.src = max(t.src, (vector+1)*lanes)
			part.take(first, lanes, vector, l, int(i)%lanes)
		}
		pieces := len(part.from) - first
		t.pieces += pieces
		part.target = append(part.target, uint32(target*lanes*4), uint32(pieces))
	}
	t.parts = append(t.parts, *part)
	return t, nil
}

// take makes lane l of the target whose pieces begin at first lane from of a
// vector.
func (p *permutePart) take(first, lanes, vector, l, from int) {
	at := first
	for at < len(p.from) && p.from[at] != uint32(vector*lanes*4) {
		at++
	}
	if at == len(p.from) {
		p.from = append(p.from, uint32(vector*lanes*4))
		for range lanes {
			p.lane = append(p.lane, -1)
			if lanes == 4 {
				p.bytes = append(p.bytes, 0xff, 0xff, 0xff, 0xff)
			}
		}
	}
	p.lane[at*lanes+l] = int8(from)
	if lanes == 4 {
		for b := range 4 {
			p.bytes[at*16+l*4+b] = uint8(from*4 + b)
		}
	}
}

func (p *permutePart) lanes() []int8      { return p.lane }
func (p *permutePart) laneBytes() []uint8 { return p.bytes }

// Len returns the number of targets.
func (t *PermuteTable) Len() int {
	n := 0
	for _, p := range t.parts {
		n += len(p.target) / 2
	}
	return n
}

// Elements returns how many elements the targets have.
func (t *PermuteTable) Elements() int { return t.Len() * t.lanes }

// Pieces returns how many vectors are read, for all targets together.
func (t *PermuteTable) Pieces() int { return t.pieces }

// Planes are N planes of a target and of a source, each so many elements after
// the one before.
type Planes struct {
	N, Dst, Src int
}

// cut returns what a table reaches of the planes.
func (p Planes) cut(dst, src []float32, t *PermuteTable) (d, s []float32) {
	if p.Dst < 0 || p.Src < 0 {
		panic("vec: planes that go backwards")
	}
	if p.N <= 0 {
		return nil, nil
	}
	return dst[:(p.N-1)*p.Dst+t.dst], src[:(p.N-1)*p.Src+t.src]
}

// permuteGeneric takes a table of any number of lanes.
func permuteGeneric(dst, src []float32, t *PermuteTable, p Planes, fill float32) {
	dst, src = p.cut(dst, src, t)
	for n := range p.N {
		for i := range t.parts {
			t.parts[i].make(dst[n*p.Dst:], src[n*p.Src:], t.lanes, fill)
		}
	}
}

func (p *permutePart) make(dst, src []float32, lanes int, fill float32) {
	piece := 0
	for e := 0; e < len(p.target); e += 2 {
		var v [16]float32 // apart, as a source may be the target
		for l := range v {
			v[l] = fill
		}
		for range p.target[e+1] {
			s := src[p.from[piece]/4:][:lanes]
			for l, from := range p.lane[piece*lanes:][:lanes] {
				if from >= 0 {
					v[l] = s[from]
				}
			}
			piece++
		}
		copy(dst[p.target[e]/4:], v[:lanes])
	}
}
