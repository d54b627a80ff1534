package bench

import "context"

// timeSteps times every step of both plans, in turns, and pairs the steps.
func timeSteps(ctx context.Context, dense, sparse *contender, runs int) ([]LayerReport, error) {
	d, s := newProfiler(dense), newProfiler(sparse)
	for range runs {
		// A run that is timed follows another of its own, as in measure.
		for _, p := range []*profiler{d, s} {
			if _, err := p.contender.run(ctx); err != nil {
				return nil, err
			}
			if _, err := p.run(ctx); err != nil {
				return nil, err
			}
		}
	}
	return pair(d.steps(), s.steps()), nil
}

// pair joins the steps of two plans of one model by name and operator. Both
// are in topological order; what only one plan has stands before the next step
// that both have.
func pair(dense, sparse []step) []LayerReport {
	type key struct{ name, op string }
	places := make(map[key][]int) // in the sparse plan
	for i, s := range sparse {
		k := key{s.Name, s.Op}
		places[k] = append(places[k], i)
	}
	var layers []LayerReport
	at := 0 // steps of the sparse plan before this one are reported
	for _, d := range dense {
		k := key{d.Name, d.Op}
		for len(places[k]) > 0 && places[k][0] < at {
			places[k] = places[k][1:]
		}
		if len(places[k]) == 0 {
			layers = append(layers, layer(d, d.us, 0))
			continue
		}
		for ; at < places[k][0]; at++ {
			layers = append(layers, layer(sparse[at], 0, sparse[at].us))
		}
		layers = append(layers, layer(sparse[at], d.us, sparse[at].us))
		at++
	}
	for ; at < len(sparse); at++ {
		layers = append(layers, layer(sparse[at], 0, sparse[at].us))
	}
	return layers
}

func layer(s step, denseUS, sparseUS float64) LayerReport {
	l := LayerReport{
		Name: s.Name, Op: s.Op, M: s.M, K: s.K, N: s.N,
		KernelH: s.KernelH, KernelW: s.KernelW, Stride: s.Stride,
		Sparsity: s.Sparsity, Format: s.Format, Kernel: s.Kernel, Why: s.Why,
		DenseUS: denseUS, SparseUS: sparseUS,
	}
	if sparseUS > 0 {
		l.GFlops = 2 * float64(s.NNZ) * float64(s.N) / sparseUS / 1e3
	}
	return l
}
