package prune

import "math"

// A cut divides scores into those that go and those that stay: all with a key
// below key go, and the first ties of those equal to it.
type cut struct {
	key  uint32
	ties int
}

// takes reports whether the next score, of the given key, goes. It must be
// asked for every score once, in order.
func (c *cut) takes(key uint32) bool {
	if key == c.key && c.ties > 0 {
		c.ties--
		return true
	}
	return key < c.key
}

// scoreKey maps a score to an integer of 31 bits that orders as its absolute
// value does; a NaN comes after infinity. It is the IEEE encoding without the
// sign.
func scoreKey(score float32) uint32 { return math.Float32bits(score) &^ (1 << 31) }

// A stream visits scores in order, some at a time, and the same every time.
type stream func(visit func(scores []float32)) error

// cutAt makes the cut below which exactly k scores lie, 0 <= k <= all of them.
//
// It counts keys by their upper 16 bits, then those inside the bin that holds
// the k-th by their lower 15: two passes that copy nothing.
func cutAt(each stream, k int) (cut, error) {
	if k == 0 {
		return cut{}, nil
	}
	bins := make([]int, 1<<(31-lowBits))
	err := each(func(scores []float32) {
		for _, x := range scores {
			bins[scoreKey(x)>>lowBits]++
		}
	})
	if err != nil {
		return cut{}, err
	}
	upper, left := locate(bins, k)
	clear(bins)
	err = each(func(scores []float32) {
		for _, x := range scores {
			if key := scoreKey(x); int(key>>lowBits) == upper {
				bins[key&(1<<lowBits-1)]++
			}
		}
	})
	lower, left := locate(bins, left)
	return cut{key: uint32(upper)<<lowBits | uint32(lower), ties: left}, err
}

// lowBits are the bits of a key that the first of two passes passes over.
const lowBits = 15

// locate finds the bin that holds the k-th element, counted from 1, and how
// many elements of that bin it takes to get there.
func locate(bins []int, k int) (bin, left int) {
	for i, n := range bins {
		if k <= n {
			return i, k
		}
		k -= n
	}
	return len(bins) - 1, k
}

// countKey returns how many scores have exactly this key.
func countKey(scores []float32, key uint32) int {
	n := 0
	for _, x := range scores {
		if scoreKey(x) == key {
			n++
		}
	}
	return n
}
