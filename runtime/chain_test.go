package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStripsOfNetworks compiles networks for a cache so small that all that can
// run in strips does.
func TestStripsOfNetworks(t *testing.T) {
	for name, build := range networks() {
		t.Run(name, func(t *testing.T) { checkConfig(t, build().model(), Config{cache: 1 << 10}) })
	}
}

// window appends a node with a window of its own, pads in ONNX's order.
func (t *testNet) window(op, x string, w []string, k, stride, dilation int, pads [4]int, group int) string {
	attrs := []any{"kernel_shape", []int{k, k}, "strides", []int{stride, stride}, "pads", pads[:]}
	if op != "AveragePool" {
		attrs = append(attrs, "dilations", []int{dilation, dilation})
	}
	if op == "Conv" {
		attrs = append(attrs, "group", group)
	}
	return t.node(op, append([]string{x}, w...), attrs...)
}

// TestStrips holds chains of every kind against the reference, with caches of all
// sizes at which some steps run in strips; with one of them those named do.
func TestStrips(t *testing.T) {
	depthwise := func(n *testNet, x string, channels, k, stride, dilation int, pads [4]int) string {
		return n.relu(n.window("Conv", x, []string{n.weight(0.3, 1, channels, 1, k, k), n.weight(0, 1, channels)}, k, stride, dilation, pads, channels))
	}
	same := func(n int) [4]int { return [4]int{n, n, n, n} }
	for name, test := range map[string]struct {
		build func() *testNet
		steps string // that run in strips
	}{
		"inverted residual": {func() *testNet {
			n := newNet(1, 8, 32, 32)
			x := n.relu(n.conv("x", 8, 8, 3, 1, 0))
			a := n.relu(n.conv(x, 8, 24, 1, 1, 0.7))
			a = depthwise(n, a, 24, 3, 1, 1, same(1))
			n.node("Add", []string{n.conv(a, 24, 8, 1, 1, 0.7), x})
			return n
		}, "Conv Halo Conv Conv"},
		"inverted residual with stride 2": {func() *testNet {
			n := newNet(2, 8, 32, 32)
			a := n.relu(n.conv("x", 8, 24, 1, 1, 0.7))
			a = depthwise(n, a, 24, 3, 2, 1, same(1))
			n.conv(a, 24, 8, 1, 1, 0.7)
			return n
		}, "Conv Halo Conv"},
		"stem and pool of negative values": {func() *testNet {
			n := newNet(1, 3, 64, 64)
			a := n.conv("x", 3, 16, 7, 2, 0)
			n.window("MaxPool", a, nil, 3, 2, 1, same(1), 1)
			n.conv(n.last, 16, 8, 1, 1, 0.7)
			return n
		}, "Conv Halo MaxPool"},
		"convolutions and pool": {func() *testNet {
			n := newNet(1, 4, 48, 48)
			a := n.relu(n.conv("x", 4, 16, 3, 1, 0.7))
			a = n.relu(n.conv(a, 16, 16, 3, 1, 0.7))
			n.window("MaxPool", a, nil, 2, 2, 1, same(0), 1)
			return n
		}, "Conv Halo Conv MaxPool"},
		"pool of averages that counts its padding": {func() *testNet {
			n := newNet(1, 4, 32, 32)
			a := n.relu(n.conv("x", 4, 24, 1, 1, 0))
			n.window("AveragePool", a, nil, 3, 1, 1, same(1), 1)
			return n
		}, "Conv Halo AveragePool"},
		"two halos": {func() *testNet {
			n := newNet(1, 4, 48, 48)
			a := n.relu(n.conv("x", 4, 12, 3, 1, 0.5))
			a = n.relu(n.conv(a, 12, 12, 3, 1, 0.5))
			n.relu(n.conv(a, 12, 12, 3, 1, 0.5))
			return n
		}, "Conv Halo Conv"},
		"dilation": {func() *testNet {
			n := newNet(1, 4, 48, 48)
			a := n.relu(n.conv("x", 4, 16, 1, 1, 0))
			depthwise(n, a, 16, 3, 1, 2, same(2))
			return n
		}, "Conv Halo Conv"},
		"uneven padding": {func() *testNet {
			n := newNet(1, 4, 48, 48)
			a := n.relu(n.conv("x", 4, 16, 1, 1, 0))
			depthwise(n, a, 16, 4, 1, 1, [4]int{1, 2, 2, 1})
			return n
		}, "Conv Halo Conv"},
		"a value that is read twice": {func() *testNet {
			n := newNet(1, 8, 32, 32)
			a := n.relu(n.conv("x", 8, 24, 1, 1, 0.7))
			b := depthwise(n, a, 24, 3, 1, 1, same(1))
			n.node("Add", []string{n.conv(b, 24, 24, 1, 1, 0.7), a})
			return n
		}, "Conv Conv"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for cache := 4 << 10; cache < 1<<20; cache += cache / 16 {
				cfg := Config{cache: cache}
				p, err := Compile(context.Background(), test.build().model(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				r := p.Explain()
				if r.Turns == len(r.Steps) {
					continue
				}
				steps := ""
				for _, s := range r.Steps {
					if s.Strips > 0 {
						steps += fmt.Sprintf("%s %d ", s.Op, s.Strips)
					}
				}
				if !seen[steps] {
					checkConfig(t, test.build().model(), cfg)
				}
				seen[steps] = true
			}
			if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(steps string) bool {
				return strings.Join(strings.FieldsFunc(steps, func(r rune) bool { return r == ' ' || r >= '0' && r <= '9' }), " ") == test.steps
			}) {
				t.Errorf("in strips are %q, want %s", slices.Collect(maps.Keys(seen)), test.steps)
			}
		})
	}
}

// TestStripsSaveMemory compares the memory of a session.
func TestStripsSaveMemory(t *testing.T) {
	n := newNet(1, 8, 64, 64)
	a := n.relu(n.conv("x", 8, 96, 1, 1, 0.7))
	a = n.relu(n.window("Conv", a, []string{n.weight(0, 1, 96, 1, 3, 3), n.weight(0, 1, 96)}, 3, 1, 1, [4]int{1, 1, 1, 1}, 96))
	n.conv(a, 96, 8, 1, 1, 0.7)
	bytes := func(cfg Config) int {
		cfg.cache = 768 << 10
		p, err := Compile(context.Background(), n.model(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p.Explain().ArenaBytes
	}
	if in, whole := bytes(Config{}), bytes(Config{SkipPasses: []string{strips}}); in > whole/2 {
		t.Errorf("a session takes %d bytes with strips, %d without", in, whole)
	}
}

// TestTimedStrips times a step of a chain by itself, and all of them.
func TestTimedStrips(t *testing.T) {
	n := newNet(1, 4, 48, 48)
	a := n.relu(n.conv("x", 4, 16, 3, 1, 0.7))
	n.relu(n.conv(a, 16, 16, 3, 1, 0.7))
	p, err := Compile(context.Background(), n.model(), Config{cache: 48 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	defer s.Close()
	x := make([]float32, 4*48*48)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	want := fmt.Sprint(runOnce(t, s, x))
	out, _ := s.Output(n.last)
	clear(out.F)
	times := make([]time.Duration, len(p.Explain().Steps))
	if err := s.RunTimed(context.Background(), 0, times); err != nil {
		t.Fatal(err)
	}
	for i, d := range times {
		if d <= 0 {
			t.Errorf("step %d took %v", i, d)
		}
	}
	if fmt.Sprint(out.F) != want {
		t.Error("timed steps give another result")
	}
	for i := range times {
		if err := s.RunTimed(context.Background(), i, times[i:i+1]); err != nil || times[i] <= 0 {
			t.Errorf("step %d by itself took %v, %v", i, times[i], err)
		}
	}
	if err := s.RunTimed(context.Background(), 1, times); err == nil {
		t.Error("more steps than there are were timed")
	}
}
