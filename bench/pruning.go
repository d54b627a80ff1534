package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
)

// A PruningTask is a model to prune in many ways, and how to judge what comes
// out.
type PruningTask struct {
	Name  string
	Model *graph.Model
	// Calibration is data apart from what Judge has.
	Calibration prune.Calibration
	Options     prune.Options // scope, and which layers take part
	// Metric says what Judge returns: "accuracy", a fraction, or "error", the
	// distance of outputs from those of the dense model as a fraction of their
	// norm.
	Metric string
	Judge  func(ctx context.Context, m *graph.Model) (float64, error)
}

// A PruningReport is how well methods of pruning keep what a model does.
type PruningReport struct {
	Model  string        `json:"model"`
	Metric string        `json:"metric"`
	Dense  float64       `json:"dense"` // what the model has before
	Cells  []PruningCell `json:"cells"`
}

// A PruningCell is one way to prune.
type PruningCell struct {
	Units    string  `json:"units"` // weight, a block such as 4x1, a pattern such as 2:4, or channel: those leave the model
	Sparsity float64 `json:"sparsity"`
	Method   string  `json:"method"`
	Value    float64 `json:"value"`   // of the metric
	Zeros    float64 `json:"zeros"`   // fraction of the weights that took part
	Seconds  float64 `json:"seconds"` // that pruning took, without judging
}

// PruningMethods are the methods that are compared where none are named: what
// chooses the weights, and after a plus what makes up for them.
var PruningMethods = []string{"magnitude", "magnitude+bias", "wanda", "magnitude+refit", "sparsegpt", "sparsegpt+refit"}

// pruningCriteria are the names before the plus.
var pruningCriteria = []string{"magnitude", "wanda", "obs", "sparsegpt"}

// CheckPruningMethod returns an error that says which methods there are, where
// name is none.
func CheckPruningMethod(name string) error {
	criterion, recovery, plus := strings.Cut(name, "+")
	if !slices.Contains(pruningCriteria, criterion) {
		return fmt.Errorf("method %q: expected one of %q", name, pruningCriteria)
	}
	if plus {
		if _, err := prune.ParseMethod(recovery); err != nil {
			return fmt.Errorf("method %q: %w", name, err)
		}
	}
	return nil
}

// prune prunes a task's model by a method, with all else as o says. Of a method
// with a plus in it base is the model that the part before it gives; nil where it
// is not there yet.
func (t PruningTask) prune(ctx context.Context, method string, o prune.Options, base *graph.Model) (*graph.Model, error) {
	criterion, name, plus := strings.Cut(method, "+")
	if plus {
		recovery, err := prune.ParseMethod(name)
		if err != nil {
			return nil, err
		}
		if base == nil {
			if base, err = t.prune(ctx, criterion, o, nil); err != nil {
				return nil, err
			}
		}
		return prune.Recover(ctx, t.Model, base, prune.Recovery{Method: recovery, Calibration: t.Calibration})
	}
	gpt := criterion == "sparsegpt"
	_, local := o.Scope.(prune.Local)
	local = local || o.Scope == nil
	switch {
	case criterion == "wanda":
		o.Criterion = &prune.Wanda{Calibration: t.Calibration, Rows: local && o.Granularity == prune.Weight{}}
	case criterion == "obs", gpt && !local:
		// SparseGPT chooses the weights itself, but not how many of which layer.
		o.Criterion = &prune.OBS{Calibration: t.Calibration}
	}
	if o.Granularity == prune.Granularity(prune.Channel{}) {
		return t.mask(ctx, o, gpt)
	}
	pruned, _, err := prune.Apply(ctx, t.Model, o)
	if err != nil || !gpt {
		return pruned, err
	}
	return prune.Recover(ctx, t.Model, pruned, prune.Recovery{
		Method: prune.SparseGPT, Calibration: t.Calibration,
		Choose: true, Granularity: o.Granularity,
	})
}

// mask sets channels to zero, with all that is coupled to them. SparseGPT does not
// choose channels, and makes up for those of the smallest magnitude.
func (t PruningTask) mask(ctx context.Context, o prune.Options, gpt bool) (*graph.Model, error) {
	if gpt {
		o.Criterion = nil
	}
	masked, _, err := prune.MaskChannels(ctx, t.Model, prune.ChannelOptions{
		Sparsity: o.Sparsity, Scope: o.Scope, Criterion: o.Criterion, Include: o.Include, Exclude: o.Exclude,
	})
	if err != nil || !gpt {
		return masked, err
	}
	return prune.Recover(ctx, t.Model, masked, prune.Recovery{Method: prune.SparseGPT, Calibration: t.Calibration})
}

// channelSparsities are what channels are pruned to: half of them is a quarter
// of the weights.
var channelSparsities = []float64{0.25, 0.5}

// Pruning prunes a model to each of the sparsities by each of the methods, and
// judges what comes out. Units are as in [PruningCell]; a pattern has one
// sparsity of its own. Progress is called with each cell.
func Pruning(ctx context.Context, t PruningTask, units []string, sparsities []float64, methods []string, progress func(PruningCell)) (*PruningReport, error) {
	r := &PruningReport{Model: t.Name, Metric: t.Metric}
	var err error
	if r.Dense, err = t.Judge(ctx, t.Model); err != nil {
		return nil, err
	}
	for _, unit := range units {
		o := t.Options
		at := sparsities
		if o.Granularity, err = prune.ParseGranularity(unit); err != nil {
			return nil, fmt.Errorf("units: %w", err)
		}
		pattern, fixed := o.Granularity.(prune.Pattern)
		if fixed {
			at = []float64{1 - float64(pattern.N)/float64(pattern.M)}
			o.Scope = prune.Local{}
		}
		channels := o.Granularity == prune.Granularity(prune.Channel{})
		if channels {
			at = channelSparsities
		}
		for _, s := range at {
			if !fixed {
				o.Sparsity = s
			}
			models := make(map[string]*graph.Model)
			seconds := make(map[string]float64)
			for _, method := range methods {
				start := time.Now()
				criterion, _, _ := strings.Cut(method, "+")
				pruned, err := t.prune(ctx, method, o, models[criterion])
				if err != nil {
					return nil, fmt.Errorf("%s at %s %g: %w", method, unit, s, err)
				}
				took := time.Since(start).Seconds()
				if models[criterion] != nil {
					took += seconds[criterion]
				}
				models[method], seconds[method] = pruned, took
				c := PruningCell{Units: unit, Sparsity: s, Method: method, Seconds: took, Zeros: zeros(pruned, o)}
				if channels { // which then leave
					if pruned, _, err = prune.Shrink(pruned, prune.ShrinkOptions{}); err != nil {
						return nil, err
					}
				}
				if c.Value, err = t.Judge(ctx, pruned); err != nil {
					return nil, err
				}
				r.Cells = append(r.Cells, c)
				if progress != nil {
					progress(c)
				}
			}
		}
	}
	return r, nil
}

// zeros returns the fraction of zeros among the weights that take part.
func zeros(m *graph.Model, o prune.Options) float64 {
	_, r, err := prune.Apply(context.Background(), m, prune.Options{Include: o.Include, Exclude: o.Exclude})
	if err != nil {
		return 0 // the same options have pruned it
	}
	return r.Sparsity
}
