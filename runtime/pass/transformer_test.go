package pass_test

import "testing"

func TestLayerNorm(t *testing.T) {
	const head = `
		input x 2 3 8
		weight two = 2
		weight half = 0.5
		weight minushalf = -0.5
		weight one = 1
		weight eps = 0.001
		weight s 8
		weight b 8
		weight s3 3 1
		mean = ReduceMean(x) axes=[-1]
		d = Sub(x, mean)
		`
	const tail = `
		v = ReduceMean(q) axes=[2] keepdims=1
		e = Add(v, eps)
		`
	for name, text := range map[string]string{
		"power and quotient": "q = Pow(d, two)" + tail + "r = Sqrt(e)\n n = Div(d, r)",
		"square of a twin":   "d2 = Sub(x, mean)\n q = Mul(d2, d2)" + tail + "r = Pow(e, half)\n n = Div(d, r)",
		"reciprocal":         "q = Mul(d, d)" + tail + "r = Sqrt(e)\n i = Reciprocal(r)\n n = Mul(i, d)",
		"one over":           "q = Mul(d, d)" + tail + "r = Sqrt(e)\n i = Div(one, r)\n n = Mul(d, i)",
		"power of a half":    "q = Mul(d, d)" + tail + "i = Pow(e, minushalf)\n n = Mul(d, i)",
	} {
		check(t, 13, []rewrite{
			{name, "layernorm dead", head + text + `
				m = Mul(n, s)
				y = Add(b, m)
				output y`, `
				y = nnz.LayerNorm(x, n.scale, m.bias) epsilon=0.001`},
			{name + " without scale", "layernorm dead", head + text + `
				y = Add(n, b)
				output y`, `
				y = nnz.LayerNorm(x, , n.bias) epsilon=0.001`},
			{name + " alone", "layernorm dead", head + text + `
				y = Mul(n, s3)
				output y`, `
				n = nnz.LayerNorm(x) epsilon=0.001
				y = Mul(n, s3)`},
		})
	}
	check(t, 17, []rewrite{
		{"one node", "layernorm", `
			input x 2 3 8
			weight s 8
			weight b 8
			y = LayerNormalization(x, s, b) axis=2 epsilon=0.5
			output y`, `
			y = nnz.LayerNorm(x, s, b) epsilon=0.5`},
		{"two axes", "layernorm", `
			input x 2 3 8
			weight s 3 8
			y = LayerNormalization(x, s) axis=1
			output y`, ""},
	})
	check(t, 13, []rewrite{
		{"over another axis", "layernorm rmsnorm", `
			input x 2 8 8
			weight eps = 0.001
			mean = ReduceMean(x) axes=[1]
			d = Sub(x, mean)
			q = Mul(d, d)
			v = ReduceMean(q) axes=[1]
			e = Add(v, eps)
			r = Sqrt(e)
			y = Div(d, r)
			output y`, ""},
		{"of another value", "layernorm rmsnorm", `
			input x 2 8
			input z 2 8
			weight eps = 0.001
			q = Mul(z, z)
			v = ReduceMean(q) axes=[1]
			e = Add(v, eps)
			r = Sqrt(e)
			y = Div(x, r)
			output y`, ""},
	})
}

func TestRMSNorm(t *testing.T) {
	check(t, 13, []rewrite{
		{"one over", "layernorm rmsnorm dead", `
			input x 2 8
			weight two = 2
			weight one = 1
			weight eps = 0.00001
			weight s 8
			q = Pow(x, two)
			v = ReduceMean(q) axes=[-1]
			e = Add(v, eps)
			r = Sqrt(e)
			i = Div(one, r)
			n = Mul(x, i)
			y = Mul(s, n)
			output y`, `
			y = nnz.RMSNorm(x, n.scale) epsilon=1e-05`},
		{"a scale for each row", "rmsnorm dead", `
			input x 2 8
			weight eps = 1
			weight s 2 1
			q = Mul(x, x)
			v = ReduceMean(q) axes=[1]
			e = Add(v, eps)
			r = Sqrt(e)
			n = Div(x, r)
			y = Mul(n, s)
			output y`, `
			n = nnz.RMSNorm(x) epsilon=1
			y = Mul(n, s)`},
	})
}

func TestGelu(t *testing.T) {
	const head = `
		input x 3 16
		weight root2 = 1.41421354
		weight over = 0.70710677
		weight one = 1
		weight half = 0.5
		weight two = 2
		weight three = 3
		weight cubic = 0.044715
		weight slope = 0.7978845834732056
		`
	erf := "d = Div(x, root2)\n e = Erf(d)\n a = Add(e, one)\n"
	cube := "p = Pow(x, three)\n q = Mul(p, cubic)\n r = Add(x, q)\n s = Mul(slope, r)\n t = Tanh(s)\n a = Add(one, t)\n"
	for name, c := range map[string]struct{ text, approximate string }{
		"half last":          {erf + "m = Mul(x, a)\n y = Mul(m, half)", "none"},
		"halved by division": {erf + "m = Mul(a, x)\n y = Div(m, two)", "none"},
		"half of x":          {erf + "h = Mul(half, x)\n y = Mul(h, a)", "none"},
		"half of the sum":    {"d = Mul(x, over)\n e = Erf(d)\n a = Add(one, e)\n h = Mul(a, half)\n y = Mul(x, h)", "none"},
		"tanh of a power":    {cube + "h = Mul(x, half)\n y = Mul(h, a)", "tanh"},
		"tanh of products": {"x2 = Mul(x, x)\n x3 = Mul(x, x2)\n q = Mul(cubic, x3)\n r = Add(q, x)\n s = Mul(r, slope)\n" +
			"t = Tanh(s)\n a = Add(t, one)\n m = Mul(x, a)\n y = Mul(half, m)", "tanh"},
		"tanh of a factored cubic": {"x2 = Mul(x, x)\n q = Mul(cubic, x2)\n r = Add(q, one)\n l = Mul(x, slope)\n s = Mul(l, r)\n" +
			"t = Tanh(s)\n a = Add(t, one)\n h = Mul(half, x)\n y = Mul(h, a)", "tanh"},
	} {
		check(t, 13, []rewrite{{name, "gelu dead", head + c.text + "\n output y", `
			y = nnz.Gelu(x) approximate=` + c.approximate}})
	}
	check(t, 13, []rewrite{
		{"another slope", "gelu", `
			input x 8
			weight c = 0.5
			weight one = 1
			d = Mul(x, c)
			e = Erf(d)
			a = Add(e, one)
			m = Mul(x, a)
			y = Mul(m, c)
			output y`, ""},
		{"not halved", "gelu", `
			input x 8
			weight over = 0.70710677
			weight one = 1
			d = Mul(x, over)
			e = Erf(d)
			a = Add(e, one)
			y = Mul(x, a)
			output y`, ""},
		{"of another value", "gelu", `
			input x 8
			input z 8
			weight over = 0.70710677
			weight half = 0.5
			weight one = 1
			d = Mul(z, over)
			e = Erf(d)
			a = Add(e, one)
			m = Mul(x, a)
			y = Mul(m, half)
			output y`, ""},
	})
	check(t, 20, []rewrite{
		{"one node", "gelu", `
			input x 8
			y = Gelu(x) approximate=tanh
			output y`, `
			y = nnz.Gelu(x) approximate=tanh`},
	})
}

func TestSiLU(t *testing.T) {
	check(t, 13, []rewrite{
		{"the sigmoid second", "silu dead", `
			input x 16
			s = Sigmoid(x)
			y = Mul(x, s)
			output y`, `
			y = nnz.SiLU(x) alpha=1`},
		{"with a slope", "silu dead", `
			input x 16
			weight c = 1.702
			m = Mul(c, x)
			s = Sigmoid(m)
			y = Mul(s, x)
			output y`, `
			y = nnz.SiLU(x) alpha=1.702`},
		{"a gate", "silu", `
			input x 16
			input z 16
			s = Sigmoid(z)
			y = Mul(x, s)
			output y`, ""},
	})
}
