package pass_test

import (
	"strings"
	"testing"
)

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

func TestTranspose(t *testing.T) {
	check(t, 13, []rewrite{
		{"two that cancel", "transpose", `
			input x 2 3 4
			a = Transpose(x) perm=[1 2 0]
			b = Transpose(a) perm=[2 0 1]
			y = Neg(b)
			output y`, `
			y = Neg(x)`},
		{"two that make one", "transpose", `
			input x 2 3 4
			a = Transpose(x) perm=[1 0 2]
			b = Transpose(a) perm=[0 2 1]
			y = Neg(b)
			output y`, `
			b = Transpose(x) perm=[1 2 0]
			y = Neg(b)`},
		{"across reshapes", "transpose", `
			input x 2 3 8
			ints heads 4 = 2 3 2 4
			ints back 3 = 2 3 8
			a = Reshape(x, heads)
			b = Transpose(a) perm=[0 2 1 3]
			c = Transpose(b) perm=[0 2 1 3]
			d = Reshape(c, back)
			y = Neg(d)
			output y`, `
			y = Neg(x)`},
		{"a reshape that mixes", "transpose", `
			input x 2 3 4
			ints s 2 = 6 4
			a = Transpose(x) perm=[1 0 2]
			b = Reshape(a, s)
			y = Neg(b)
			output y`, ""},
		{"around linear layers", "linear transpose", `
			input x 2 3 4
			weight w 4 5
			ints rows 2 = 6 4
			ints back 3 = 3 2 5
			a = Transpose(x) perm=[1 0 2]
			b = Reshape(a, rows)
			c = MatMul(b, w)
			d = Reshape(c, back)
			e = Transpose(d) perm=[1 0 2]
			y = Neg(e)
			output y`, `
			c.moved.moved = nnz.Linear(x, w.T)
			y = Neg(c.moved.moved)`},
		{"features that move stay before the layer", "linear transpose", `
			input x 2 4 3
			weight w 4 5
			a = Transpose(x) perm=[0 2 1]
			y = MatMul(a, w)
			output y`, `
			a = Transpose(x) perm=[0 2 1]
			y = nnz.Linear(a, w.T)`},
	})
}

// heads cuts values q, k and v of [2, 3, 8] into two heads, and computes
// softmax over their scores.
const twoHeads = `
	weight eight = 2.828427
	ints cut 4 = 2 3 2 4
	ints back 3 = 2 3 8
	rq = Reshape(q, cut)
	rk = Reshape(k, cut)
	rv = Reshape(v, cut)
	tq = Transpose(rq) perm=[0 2 1 3]
	tk = Transpose(rk) perm=[0 2 3 1]
	tv = Transpose(rv) perm=[0 2 1 3]
	`

func TestRotary(t *testing.T) {
	const halves = `
		input x 2 3 4 8
		input cos 2 1 4 8
		input sin 4 8
		ints zero 1 = 0
		ints four 1 = 4
		ints many 1 = 9223372036854775807
		ints last 1 = 3
		lo = Slice(x, zero, four, last)
		hi = Slice(x, four, many, last)
		a = Mul(x, cos)
		`
	const pairs = `
		input x 2 4 8
		weight cos 4 4
		weight sin 4 4
		ints zero = 0
		ints one = 1
		ints axis 1 = -1
		ints cut 4 = 2 4 4 2
		ints back 3 = 2 4 8
		p = Reshape(x, cut)
		r = Gather(p, zero) axis=3
		i = Gather(p, one) axis=3
		rc = Mul(r, cos)
		is = Mul(i, sin)
		rs = Mul(r, sin)
		ic = Mul(cos, i)
		re = Sub(rc, is)
		im = Add(ic, rs)
		ur = Unsqueeze(re, axis)
		ui = Unsqueeze(im, axis)
		`
	const stacked = "s = Concat(ur, ui) axis=-1\n y = Reshape(s, back)\n output y"
	check(t, 13, []rewrite{
		{"halves", "rotary", halves + `
			n = Neg(hi)
			turned = Concat(n, lo) axis=-1
			b = Mul(turned, sin)
			y = Add(a, b)
			output y`, `
			y = nnz.Rotary(x, cos, sin) interleaved=0`},
		{"halves of a split, added the other way round", "rotary", `
			input x 2 4 8
			input cos 4 8
			input sin 4 8
			lo, hi = Split(x) axis=2
			n = Neg(hi)
			turned = Concat(n, lo) axis=2
			a = Mul(cos, x)
			b = Mul(sin, turned)
			y = Add(b, a)
			output y`, `
			y = nnz.Rotary(x, cos, sin) interleaved=0`},
		{"halves, part by part, an angle for each pair", "rotary", `
			input x 2 4 8
			input cos 4 4
			input sin 4 4
			lo, hi = Split(x) axis=-1
			lc = Mul(lo, cos)
			hs = Mul(hi, sin)
			hc = Mul(hi, cos)
			ls = Mul(lo, sin)
			first = Sub(lc, hs)
			second = Add(hc, ls)
			y = Concat(first, second) axis=-1
			output y`, `
			y = nnz.Rotary(x, cos, sin) interleaved=0`},
		{"before heads come before tokens", "rotary", `
			input z 2 4 3 8
			input cos 4 8
			input sin 1 1 4 8
			x = Transpose(z) perm=[0 2 1 3]
			lo, hi = Split(x) axis=-1
			n = Neg(hi)
			turned = Concat(n, lo) axis=-1
			a = Mul(x, cos)
			b = Mul(turned, sin)
			y = Add(a, b)
			output y`, `
			cos.tokens = Reshape(cos, cos.tokens.shape)
			sin.tokens = Reshape(sin, sin.tokens.shape)
			y.turned = nnz.Rotary(z, cos.tokens, sin.tokens) interleaved=0
			y = Transpose(y.turned) perm=[0 2 1 3]`},
		{"neighbours", "rotary", pairs + stacked, `
			y = nnz.Rotary(x, cos, sin) interleaved=1`},
		{"neighbours that were cut apart before", "rotary", strings.Replace(strings.Replace(pairs, "input x 2 4 8", "input p 2 4 4 2", 1), "p = Reshape(x, cut)", "", 1) + stacked, `
			p.whole = Reshape(p, p.whole.shape)
			y = nnz.Rotary(p.whole, cos, sin) interleaved=1`},
		{"neighbours by steps of two", "rotary", `
			input x 2 4 8
			input cos 4 8
			input sin 4 8
			ints zero 1 = 0
			ints one 1 = 1
			ints two 1 = 2
			ints many 1 = 9223372036854775807
			ints last 1 = -1
			ints back 3 = 2 4 8
			even = Slice(x, zero, many, last, two)
			odd = Slice(x, one, many, last, two)
			n = Neg(odd)
			un = Unsqueeze(n, last)
			ue = Unsqueeze(even, last)
			c = Concat(un, ue) axis=-1
			turned = Reshape(c, back)
			a = Mul(x, cos)
			b = Mul(turned, sin)
			y = Add(a, b)
			output y`, `
			y = nnz.Rotary(x, cos, sin) interleaved=1`},
		{"turned the other way", "rotary", halves + `
			n = Neg(lo)
			turned = Concat(hi, n) axis=-1
			b = Mul(turned, sin)
			y = Add(a, b)
			output y`, ""},
		{"mirrored", "rotary", halves + `
			turned = Concat(hi, lo) axis=-1
			b = Mul(turned, sin)
			y = Add(a, b)
			output y`, ""},
		{"halves that are not", "rotary", `
			input x 2 4 8
			input cos 4 8
			input sin 4 8
			ints parts 2 = 6 2
			lo, hi = Split(x, parts) axis=2
			n = Neg(hi)
			turned = Concat(n, lo) axis=2
			a = Mul(x, cos)
			b = Mul(turned, sin)
			y = Add(a, b)
			output y`, ""},
		{"real and imaginary in the wrong order", "rotary", pairs + "s = Concat(ui, ur) axis=-1\n y = Reshape(s, back)\n output y", ""},
		{"tables that broadcast to halves as an axis", "rotary", `
			input x 4 4 8
			input cos 4 1 4
			input sin 4 1 4
			ints cut 4 = 4 4 2 4
			ints back 3 = 4 4 8
			p = Reshape(x, cut)
			lo, hi = Split(p) axis=2
			lc = Mul(lo, cos)
			hs = Mul(hi, sin)
			hc = Mul(hi, cos)
			ls = Mul(lo, sin)
			first = Sub(lc, hs)
			second = Add(hc, ls)
			c = Concat(first, second) axis=2
			y = Reshape(c, back)
			output y`, ""},
		{"one part of another angle", "rotary", strings.Replace(pairs, "ic = Mul(cos, i)", "ic = Mul(sin, i)", 1) + stacked, ""},
	})
}

const context = `
	p = Softmax(m) axis=-1
	c = MatMul(p, tv)
	t = Transpose(c) perm=[0 2 1 3]
	r = Reshape(t, back)
	y = Neg(r)
	output y`

func TestAttention(t *testing.T) {
	const inputs = "input q 2 3 8\n input k 2 3 8\n input v 2 3 8\n"
	const line = "c.attention = nnz.Attention(q, k, v"
	const attrs = ") heads=2 kv_heads=2 scale=0.3536\n y = Neg(c.attention)"
	check(t, 13, []rewrite{
		{"scores over a root", "attention transpose", inputs + twoHeads + `
			s = MatMul(tq, tk)
			m = Div(s, eight)` + context, line + attrs},
		{"queries over a root", "attention transpose", inputs + twoHeads + `
			d = Div(tq, eight)
			m = MatMul(d, tk)` + context, line + attrs},
		{"a mask that is computed", "attention transpose", inputs + `
			input z 2 1 1 3` + twoHeads + `
			s = MatMul(tq, tk)
			d = Div(s, eight)
			m = Add(d, z)` + context, "c.attention = nnz.Attention(q, k, v, z" + attrs},
		{"a causal mask", "attention transpose", inputs + `
			weight low = -3e38
			weight causal 1 1 3 3 = 0 -3e38 -3e38 0 0 -3e38 0 0 0` + twoHeads + `
			s = MatMul(tq, tk)
			d = Div(s, eight)
			m = Add(causal, d)` + context, line + ") causal=1 heads=2 kv_heads=2 scale=0.3536\n y = Neg(c.attention)"},
		{"a choice", "fold attention transpose", inputs + `
			weight low = -3e38
			ints tri 1 1 3 3 = 1 0 0 1 1 0 1 1 1
			keep = Cast(tri) to=9` + twoHeads + `
			s = MatMul(tq, tk)
			d = Div(s, eight)
			m = Where(keep, d, low)` + context, line + ") causal=1 heads=2 kv_heads=2 scale=0.3536\n y = Neg(c.attention)"},
		{"a choice that is computed", "attention transpose", inputs + `
			weight low = -3e38
			weight zero = 0
			input z 3 3` + `
			hide = Greater(z, zero)` + twoHeads + `
			s = MatMul(tq, tk)
			d = Div(s, eight)
			m = Where(hide, low, d)` + context, `
			hide = Greater(z, zero)
			hide.mask = Where(hide, hide.low, hide.zero)
			c.attention = nnz.Attention(q, k, v, hide.mask` + attrs},
		{"beside one another", "attention transpose", `
			input x 2 3 24
			q, k, v = Split(x) axis=2` + twoHeads + `
			s = MatMul(tq, tk)
			m = Div(s, eight)` + context, `
			c.attention = nnz.Attention(x) heads=2 kv_heads=2 scale=0.3536
			y = Neg(c.attention)`},
		{"keys before queries", "attention transpose", `
			input x 2 3 24
			k, q, v = Split(x) axis=2` + twoHeads + `
			s = MatMul(tq, tk)
			m = Div(s, eight)` + context, `
			k, q, v = Split(x) axis=2
			c.attention = nnz.Attention(q, k, v` + attrs},
		{"fewer heads of keys and values", "attention transpose", `
			input q 1 3 16
			input k 1 3 8
			input v 1 3 8
			ints cut 4 = 1 3 4 4
			ints cut2 5 = 1 3 2 1 4
			ints two 5 = 1 3 2 2 4
			ints back 3 = 1 3 16
			rq = Reshape(q, cut)
			k2 = Reshape(k, cut2)
			v2 = Reshape(v, cut2)
			ke = Expand(k2, two)
			ve = Expand(v2, two)
			rk = Reshape(ke, cut)
			rv = Reshape(ve, cut)
			tq = Transpose(rq) perm=[0 2 1 3]
			tk = Transpose(rk) perm=[0 2 3 1]
			tv = Transpose(rv) perm=[0 2 1 3]
			m = MatMul(tq, tk)` + context, `
			c.attention = nnz.Attention(q, k, v) heads=4 kv_heads=2 scale=1
			y = Neg(c.attention)`},
		{"a mask for each batch and head where they are one axis", "attention", `
			input q 4 3 8
			input k 4 8 3
			input v 4 3 8
			input z 4 3 3
			s = MatMul(q, k)
			m = Add(s, z)
			p = Softmax(m) axis=-1
			y = MatMul(p, v)
			output y`, ""},
		{"softmax over queries", "attention", inputs + twoHeads + `
			m = MatMul(tq, tk)
			p = Softmax(m) axis=2
			c = MatMul(p, tv)
			output c`, `
			rq = Reshape(q, cut)
			rk = Reshape(k, cut)
			rv = Reshape(v, cut)
			tq = Transpose(rq) perm=[0 2 1 3]
			tk = Transpose(rk) perm=[0 2 3 1]
			tv = Transpose(rv) perm=[0 2 1 3]
			m = MatMul(tq, tk)
			p = Softmax(m) axis=2
			c = MatMul(p, tv)`},
	})
}

func TestQKV(t *testing.T) {
	const passes = "linear arith attention transpose qkv dead"
	check(t, 13, []rewrite{
		{"dense, one bias", passes, `
			input x 2 3 8
			weight wq 8 8
			weight wk 8 8
			weight wv 8 8
			weight b 8
			q = MatMul(x, wq)
			k0 = MatMul(x, wk)
			k = Add(k0, b)
			v = MatMul(x, wv)` + twoHeads + `
			s = MatMul(tq, tk)
			m = Div(s, eight)` + context, `
			q.qkv = nnz.Linear(x, wq.T.qkv, wq.T.qkv.bias)
			c.attention = nnz.Attention(q.qkv) heads=2 kv_heads=2 scale=0.3536
			y = Neg(c.attention)`},
		{"sparse, with a mask", passes, `
			input x 2 3 64
			input z 3 3
			weight sparseq 64 8
			weight sparsek 64 8
			weight sparsev 64 8
			q = MatMul(x, sparseq)
			k = MatMul(x, sparsek)
			v = MatMul(x, sparsev)` + twoHeads + `
			s = MatMul(tq, tk)
			d = Div(s, eight)
			m = Add(d, z)` + context, `
			q.qkv = nnz.Linear(x, sparseq.T.qkv)
			c.attention = nnz.Attention(q.qkv, , , z) heads=2 kv_heads=2 scale=0.3536
			y = Neg(c.attention)`},
		{"of two values", passes, `
			input x 2 3 8
			input z 2 3 8
			weight wq 8 8
			weight wk 8 8
			weight wv 8 8
			q = MatMul(x, wq)
			k = MatMul(z, wk)
			v = MatMul(z, wv)` + twoHeads + `
			s = MatMul(tq, tk)
			m = Div(s, eight)` + context, `
			q = nnz.Linear(x, wq.T)
			k = nnz.Linear(z, wk.T)
			v = nnz.Linear(z, wv.T)
			c.attention = nnz.Attention(q, k, v) heads=2 kv_heads=2 scale=0.3536
			y = Neg(c.attention)`},
	})
}
