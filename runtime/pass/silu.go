package pass

// silu recognises x times the sigmoid of x, or of alpha times x, as nnz.SiLU.
//
// Source: Elfwing et al., Sigmoid-Weighted Linear Units for Neural Network
// Function Approximation, 2017; Ramachandran et al., Searching for Activation
// Functions, 2017, for alpha.
func silu(g *Graph) error {
	m := newMatcher(g)
	for _, n := range g.Nodes {
		if is(n, "Swish") {
			alpha := n.Float("alpha", 1)
			m.replace(n, "SiLU", n.Inputs[0])
			n.Set("alpha", alpha)
			continue
		}
		if !is(n, "Mul") {
			continue
		}
		for i, x := range n.Inputs {
			s := m.made(n.Inputs[1-i], "Sigmoid")
			if s == nil {
				continue
			}
			arg, alpha := s.Inputs[0], 1.0
			if arg != x {
				arg, alpha = m.peel(arg)
			}
			if arg == x {
				m.replace(n, "SiLU", x)
				n.Set("alpha", float32(alpha))
				break
			}
		}
	}
	return dead(g)
}
