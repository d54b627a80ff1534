package runtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nnz-dev/nnz/kernels/isa"
)

// transformer has blocks of attention and of linear layers between
// normalisations and residuals, as encoders do.
func transformer(batch, tokens, features, blocks int, zeros float64, rows int) *testNet {
	n := newNet(batch, tokens, features)
	n.m.Opset[""] = 20
	norm := func(x string) string {
		return n.node("LayerNormalization", []string{x, n.weight(0, 1, features), n.weight(0, 1, features)}, "axis", -1)
	}
	linear := func(x string, from, to int) string {
		return n.node("MatMul", []string{x, n.weight(zeros, rows, from, to)})
	}
	x := "x"
	for range blocks {
		a := linear(n.attention(x, x, batch, tokens, tokens, features, 2, ""), features, features)
		x = norm(n.node("Add", []string{a, x}))
		a = linear(n.node("Gelu", []string{linear(x, features, 4*features)}), 4*features, features)
		x = norm(n.node("Add", []string{a, x}))
	}
	return n
}

// TestTransformer runs encoders whose columns are cut into parts for threads, or
// are too few for that.
func TestTransformer(t *testing.T) {
	for _, c := range []struct {
		batch, tokens, features, rows int
		zeros                         float64
	}{
		{1, 131, 16, 1, 0.9},
		{1, 131, 24, 4, 0.8},
		{1, 260, 16, 1, 0},
		{1, 60, 16, 1, 0.9},
		{2, 75, 16, 1, 0.9},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			checkModel(t, transformer(c.batch, c.tokens, c.features, 2, c.zeros, c.rows).model())
		})
	}
}

// TestTogether lets a thread do all turns of a task before another begins with
// the first of them: none may touch what another part needs.
func TestTogether(t *testing.T) {
	m := transformer(1, 400, 30, 3, 0.9, 1).model()
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 400*30)
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	for _, i := range isa.Supported() {
		for _, threads := range []int{2, 3} {
			p, err := Compile(context.Background(), m, Config{ISA: i, Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			s := p.NewSession()
			defer s.Close()
			want := runOnce(t, s, x)
			most := 0
			for k := range s.tasks {
				tk := &s.tasks[k]
				most = max(most, len(tk.turns))
				if len(tk.turns) == 1 {
					tk.run(s.pool)
					continue
				}
				if tk.parts != threads {
					t.Errorf("%v: a task of %d parts for %d threads", i, tk.parts, threads)
				}
				for part := range tk.parts {
					tk.Chunk(tk.parts - 1 - part)
				}
			}
			if most < 5 { // two layers, normalisations, an activation
				t.Errorf("%v, %d threads: tasks of at most %d steps", i, threads, most)
			}
			if got := s.tensor(p.outputs[0]).F; !slices.Equal(bits(got), bits(want)) {
				t.Errorf("%v, %d threads: part after part gives other results", i, threads)
			}
		}
	}
}

func TestMatrixLayoutKeepsPartsApart(t *testing.T) {
	for _, lanes := range []int{4, 8, 16} {
		for _, cols := range []int{5, 64, 128, 197, 1000} {
			for threads := 1; threads <= 5; threads++ {
				l := matrixLayout(lanes, 3, cols, threads)
				if n := l.parts(); n > threads || n > 1 && l.rows(0) < leastPart {
					t.Errorf("%d columns in vectors of %d: %d parts of %d vectors or more for %d threads", cols, lanes, n, l.rows(0), threads)
				}
				seen := make(map[int]bool)
				for c := range l.c {
					for x := range cols {
						at := l.plane(c, 0) + l.at(x, 0)
						if at < 0 || at >= l.size() || seen[at] {
							t.Fatalf("%d columns in vectors of %d, %d threads: column %d of feature %d at %d of %d", cols, lanes, threads, x, c, at, l.size())
						}
						seen[at] = true
						if l.partOf(x%l.sy) != at/l.part() {
							t.Fatalf("%d columns in vectors of %d, %d threads: column %d of feature %d lies in another part", cols, lanes, threads, x, c)
						}
					}
				}
			}
		}
	}
}
