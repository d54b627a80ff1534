package runtime

import (
	"context"
	"math/rand/v2"
	"testing"
)

func TestLayoutPlacesEveryPixelOnce(t *testing.T) {
	for _, lanes := range []int{4, 8, 16} {
		for h := 1; h <= 33; h += 4 {
			for w := 1; w <= 33; w += 3 {
				l := imageLayout(gridOf(lanes, h, w), 3, 2, h, w, halo{1, 2, 3, 0})
				seen := make(map[int]bool)
				for c := range l.c {
					for n := range l.n {
						for y := range h {
							for x := range w {
								at := l.plane(c, n) + l.at(y, x)
								if at < 0 || at >= l.size() || seen[at] {
									t.Fatalf("%d lanes, %d x %d: pixel (%d, %d) of feature %d, image %d at %d of %d", lanes, h, w, y, x, c, n, at, l.size())
								}
								seen[at] = true
							}
						}
					}
				}
				for vy := range l.sy {
					for vx := range l.sx {
						for lane := range lanes {
							if y, x, ok := l.pixel(vy, vx, lane); ok && l.at(y, x) != ((vy+l.halo.top)*l.row+vx+l.halo.left)*lanes+lane {
								t.Fatalf("%d lanes, %d x %d: vector (%d, %d) lane %d holds pixel (%d, %d), which lies elsewhere", lanes, h, w, vy, vx, lane, y, x)
							}
						}
					}
				}
			}
		}
	}
}

func TestGridOf(t *testing.T) {
	for _, c := range []struct {
		lanes, h, w int
		want        grid
	}{
		{16, 224, 224, grid{4, 4, 56, 56}},
		{16, 56, 56, grid{4, 4, 14, 14}},
		{16, 28, 28, grid{4, 4, 7, 7}},
		{16, 14, 14, grid{8, 2, 2, 7}},
		{16, 7, 7, grid{4, 4, 2, 2}},
		{8, 56, 56, grid{4, 2, 14, 28}},
		{16, 1, 128, grid{1, 16, 1, 8}},
		{4, 1, 1, grid{1, 4, 1, 1}},
	} {
		if got := gridOf(c.lanes, c.h, c.w); got != c.want && got.sy*got.sx != c.want.sy*c.want.sx {
			t.Errorf("gridOf(%d, %d, %d) = %v, want %v", c.lanes, c.h, c.w, got, c.want)
		}
	}
}

func TestPlaceKeepsLiveBuffersApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var buffers []*buffer
		alive := make([]int, 40) // elements that are alive at each step
		for range 1 + rng.IntN(40) {
			b := &buffer{size: 1 + rng.IntN(5000), first: rng.IntN(40)}
			b.last = b.first + rng.IntN(40-b.first)
			buffers = append(buffers, b)
			for s := b.first; s <= b.last; s++ {
				alive[s] += roundUp(b.size, alignElements)
			}
		}
		a, err := place(context.Background(), buffers)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range buffers {
			if b.offset%alignElements != 0 || b.offset+b.size > a.floats {
				t.Fatalf("buffer of %d at %d of %d", b.size, b.offset, a.floats)
			}
			for _, o := range buffers[:i] {
				if b.first <= o.last && o.first <= b.last && b.offset < o.offset+o.size && o.offset < b.offset+b.size {
					t.Fatalf("steps %d-%d at %d+%d overlap steps %d-%d at %d+%d", b.first, b.last, b.offset, b.size, o.first, o.last, o.offset, o.size)
				}
			}
		}
		peak := 0
		for _, n := range alive {
			peak = max(peak, n)
		}
		if a.floats > 2*peak {
			t.Errorf("arena of %d for %d alive at once", a.floats, peak)
		}
	}
}
