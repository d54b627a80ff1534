package pass

import (
	"fmt"
	"slices"

	"github.com/nnz-dev/nnz/graph"
)

// conv turns Conv with constant weight and bias into nnz.Conv: padding is
// explicit and no attribute is left to its default.
func conv(g *Graph) error {
	for _, n := range g.Nodes {
		if !is(n, "Conv") || g.constant(n.Input(1)) == nil || n.Input(2) != "" && g.constant(n.Input(2)) == nil {
			continue
		}
		x, w := g.Types[n.Inputs[0]].Shape, g.Types[n.Inputs[1]].Shape
		if len(x) < 3 || len(w) != len(x) {
			return fmt.Errorf("node %q: X %v and W %v, expected equal ranks from 3 on", n.Name, x, w)
		}
		win, err := graph.NewWindow(n, x[2:], w[2:])
		if err != nil {
			return fmt.Errorf("node %q: %w", n.Name, err)
		}
		group := n.Int("group", 1)
		n.Domain, n.Attrs = graph.FusedDomain, nil
		n.Set("kernel_shape", win.Kernel)
		n.Set("strides", win.Stride)
		n.Set("dilations", win.Dilation)
		n.Set("pads", slices.Concat(win.Begin, win.End))
		n.Set("group", group)
	}
	return nil
}
