package vec

import "fmt"

// A ShuffleTable lists vectors to be made from other vectors of the same
// buffer by moving lanes about. It fills the halo of lane-split images: the
// vector beside an image's edge holds the pixels of the edge of the next
// lane, or padding where there is no next.
//
// A buffer is planes of equal size, and the table holds for each of them:
//
//	for e := range dst {
//		v := the vector src[e] of the plane
//		for l := range lanes {
//			the vector dst[e] of the plane [l] = v[lane[e*lanes+l]], fill where that is negative
//		}
//	}
//
// Entries take effect one after the other; src[e] may be dst[e].
type ShuffleTable struct {
	lanes int
	plane int      // elements
	move  []uint32 // of each entry: byte offsets of dst and of src within a plane
	lane  []int32  // of each entry: lanes indices; -1 is the fill
}

// NewShuffleTable makes a table for vectors of lanes elements and planes of
// plane vectors. dst and src count vectors within a plane; lane holds lanes
// indices for each entry, each less than lanes; a negative one asks for the
// fill.
func NewShuffleTable(lanes, plane int, dst, src []int, lane []int32) (*ShuffleTable, error) {
	const maxPlane = 1 << 24 // vectors: keeps byte offsets within 32 bits
	switch {
	case lanes < 1 || lanes > 16:
		return nil, fmt.Errorf("vec: shuffle table of %d lanes", lanes)
	case plane < 1 || plane > maxPlane:
		return nil, fmt.Errorf("vec: shuffle table for a plane of %d vectors: want 1 to %d", plane, maxPlane)
	case len(src) != len(dst) || len(lane) != len(dst)*lanes:
		return nil, fmt.Errorf("vec: shuffle table of %d targets has %d sources and %d lane indices of %d lanes",
			len(dst), len(src), len(lane), lanes)
	}
	t := &ShuffleTable{
		lanes: lanes,
		plane: plane * lanes,
		move:  make([]uint32, 0, 2*len(dst)),
		lane:  make([]int32, len(lane)),
	}
	for e := range dst {
		for _, v := range [2]int{dst[e], src[e]} {
			if v < 0 || v >= plane {
				return nil, fmt.Errorf("vec: shuffle entry %d names vector %d of a plane of %d", e, v, plane)
			}
			t.move = append(t.move, uint32(v*lanes*4))
		}
	}
	for i, l := range lane {
		if int(l) >= lanes {
			return nil, fmt.Errorf("vec: shuffle entry %d names lane %d of %d", i/lanes, l, lanes)
		}
		t.lane[i] = max(l, -1)
	}
	return t, nil
}

// Len returns the number of entries.
func (t *ShuffleTable) Len() int { return len(t.move) / 2 }
