package huge

import (
	"runtime"
	"testing"
)

func TestMake(t *testing.T) {
	for _, n := range []int{0, 1, 1000, least / 4, least/4 + 1, page, 3*page + 7} {
		s := Make[float32](n)
		if len(s) != n {
			t.Fatalf("%d elements, want %d", len(s), n)
		}
		for i := range s {
			if s[i] != 0 {
				t.Fatalf("element %d of %d is %g", i, n, s[i])
			}
			s[i] = 1
		}
	}
}

// TestMakeAgain has the heap use memory again that held something else: it is
// zero, and so are its neighbours what they were.
func TestMakeAgain(t *testing.T) {
	const n = 3*page/4 + 1000
	for round := range 8 {
		var all [4][]float32
		for i := range all {
			if all[i] = Make[float32](n); i%2 > 0 {
				all[i] = make([]float32, n)
			}
			for k, v := range all[i] {
				if v != 0 {
					t.Fatalf("round %d: element %d of slice %d is %g", round, k, i, v)
				}
				all[i][k] = float32(i + 1)
			}
		}
		for i := range all {
			for k, v := range all[i] {
				if v != float32(i+1) {
					t.Fatalf("round %d: element %d of slice %d became %g", round, k, i, v)
				}
			}
		}
		runtime.GC()
	}
}
