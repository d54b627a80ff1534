package huge

import "testing"

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
