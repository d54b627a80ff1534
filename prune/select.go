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

// cutAt makes the cut below which exactly k scores lie, 0 <= k <= all of them.
//
// It counts keys by their upper 16 bits, then those inside the bin that holds
// the k-th by their lower 15: two passes that copy nothing.
func cutAt(scores []float32, k int) cut {
	const low = 15
	if k == 0 {
		return cut{}
	}
	bins := make([]int, 1<<(31-low))
	for _, x := range scores {
		bins[scoreKey(x)>>low]++
	}
	upper, left := locate(bins, k)
	clear(bins)
	for _, x := range scores {
		if key := scoreKey(x); int(key>>low) == upper {
			bins[key&(1<<low-1)]++
		}
	}
	lower, left := locate(bins, left)
	return cut{key: uint32(upper)<<low | uint32(lower), ties: left}
}

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
