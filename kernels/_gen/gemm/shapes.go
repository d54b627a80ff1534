package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/reg"
)

// A shape is what kernels differ by: how many vectors of weight rows they take
// at once, and which lanes of activations: lanes of each of groups, which begin
// stride lanes apart.
type shape struct {
	panels                int
	groups, lanes, stride int
}

// live is how many lanes of activations the shape takes.
func (s shape) live() int { return s.groups * s.lanes }

// lane is the n-th of them.
func (s shape) lane(n int) int { return n/s.lanes*s.stride + n%s.lanes }

func (s shape) symbol(t target) string {
	lanes := fmt.Sprint(s.lanes)
	if s.groups > 1 {
		lanes = fmt.Sprintf("%dx%d", s.groups, s.lanes)
	}
	return fmt.Sprintf("f32_gemm_%dx%s_%s", s.panels*t.lanes, lanes, t.name)
}

// A target is an instruction set.
type target struct {
	name, title string
	bytes       int // a vector
	lanes       int
	regs        int
	spec        reg.Spec
	maxPanels   int // that a kernel takes at once
	rects       [][3]int
}

// v is vector register n.
func (t target) v(n int) reg.VecPhysical {
	return reg.Vector.Lookup(reg.Index(n), t.spec).(reg.VecPhysical)
}

// kernels lists the shapes that exist for a target.
func (t target) kernels() []shape {
	var list []shape
	for panels := 1; panels <= t.maxPanels; panels++ {
		for _, l := range t.rects {
			list = append(list, shape{panels, l[0], l[1], l[2]})
		}
	}
	return list
}

// The lanes that kernels exist for are groups, lanes of a group and stride: the
// first lanes of a vector, and the rectangles of lanes that images of 7 and 14
// pixels leave.
var targets = map[string]target{
	// Three panels and 8 lanes take 11 loads for 24 products, two and 8, as one
	// pass of 16 lanes has, 10 for 16; two and 14 take 16 for 28.
	"avx512": {
		name: "avx512", title: "AVX-512", bytes: 64, lanes: 16, regs: 32, spec: reg.S512, maxPanels: 3,
		rects: [][3]int{{1, 1, 1}, {1, 2, 2}, {1, 4, 4}, {1, 6, 6}, {1, 8, 8}, {1, 10, 10}, {1, 12, 12}, {1, 14, 14}, {1, 15, 15}, {1, 16, 16}, {3, 3, 4}, {4, 3, 4}},
	},
	"avx2": {
		name: "avx2", title: "AVX2", bytes: 32, lanes: 8, regs: 16, spec: reg.S256, maxPanels: 3,
		rects: [][3]int{{1, 1, 1}, {1, 2, 2}, {1, 4, 4}, {1, 6, 6}, {1, 7, 7}, {1, 8, 8}},
	},
}
