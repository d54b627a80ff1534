package bench

import (
	"context"
	stdruntime "runtime"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/runtime"
)

// A Timed is a model that was measured in turns with others.
type Timed struct {
	Plan runtime.Report
	Run  Latency // of whole runs
	// US is the median of each of the plan's steps, in microseconds; nil where
	// only whole runs were timed.
	US []float64
}

// TimeInTurns compiles models in the mode of the options and measures them in
// turns, so that drift of the machine falls on all alike: whole runs, or with a
// clock around each step. All are in memory together.
func TimeInTurns(ctx context.Context, models []*graph.Model, steps bool, o Options) ([]Timed, error) {
	turns := make([]turn, len(models))
	profilers := make([]*profiler, len(models))
	for i, m := range models {
		c, err := newContender(ctx, m, o, o.Mode)
		if err != nil {
			return nil, err
		}
		defer c.session.Close()
		profilers[i] = newProfiler(c)
		turns[i].run = c.run
		if steps {
			turns[i].run = profilers[i].run
		}
	}
	stdruntime.GC() // of what compiling left, which would run beside the first rounds
	if err := o.measure(ctx, turns); err != nil {
		return nil, err
	}
	timed := make([]Timed, len(models))
	for i, p := range profilers {
		timed[i] = Timed{Plan: p.report, Run: summarize(turns[i].times)}
		if !steps {
			continue
		}
		for _, s := range p.steps() {
			timed[i].US = append(timed[i].US, s.us)
		}
	}
	return timed, nil
}
