package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
)

// A pruneMethod is what --method takes.
type pruneMethod struct {
	name, help string
	// criterion makes what scores the weights of a model, and what closes the files
	// that it reads; nil where the method looks at data.
	criterion func(c *pruneCmd, m *graph.Model) (prune.Criterion, func(), error)
	// calibrated makes it where it does.
	calibrated func(c *pruneCmd, data prune.Calibration, o prune.Options) prune.Criterion
}

// pruneMethods are all of them, in the order of the help.
var pruneMethods = []pruneMethod{
	{name: "magnitude", help: "the smallest weights", criterion: always(prune.Magnitude{})},
	{name: "threshold", help: "the weights below --threshold", criterion: always(prune.Magnitude{})},
	{name: "lamp", help: "the smallest weights, layers compared by LAMP", criterion: always(prune.Magnitude{})},
	{name: "random", help: "by chance", criterion: func(c *pruneCmd, _ *graph.Model) (prune.Criterion, func(), error) {
		return prune.Random{Seed: c.Seed}, func() {}, nil
	}},
	{name: "scores", help: "the smallest --scores", criterion: func(c *pruneCmd, m *graph.Model) (prune.Criterion, func(), error) {
		tensors, closeFile, err := c.tensors(c.Scores, m)
		return prune.Scores(tensors), closeFile, err
	}},
	{name: "taylor", help: "the smallest weight times gradient, given --gradients", criterion: func(c *pruneCmd, m *graph.Model) (prune.Criterion, func(), error) {
		tensors, closeFile, err := c.tensors(c.Gradients, m)
		return prune.Taylor{Gradients: tensors}, closeFile, err
	}},
	{name: "bn-scale", help: "filters of small BatchNormalization scale", criterion: func(*pruneCmd, *graph.Model) (prune.Criterion, func(), error) {
		return prune.BNScale(), func() {}, nil
	}},
	{name: "fpgm", help: "filters near the geometric median of their layer", criterion: func(*pruneCmd, *graph.Model) (prune.Criterion, func(), error) {
		return prune.FPGM(), func() {}, nil
	}},
	{name: "apoz", help: "filters whose outputs are mostly zeros", calibrated: func(_ *pruneCmd, data prune.Calibration, _ prune.Options) prune.Criterion {
		return &prune.Channels{Name: "apoz", Measure: prune.MeasureActivations(data, prune.Activity)}
	}},
	{name: "activation", help: "filters of small outputs, see --statistic", calibrated: func(c *pruneCmd, data prune.Calibration, _ prune.Options) prune.Criterion {
		return &prune.Channels{Name: c.Statistic + " activation", Measure: prune.MeasureActivations(data, statistics[c.Statistic])}
	}},
	{name: "wanda", help: "the smallest weight times norm of its input, in each row", calibrated: func(_ *pruneCmd, data prune.Calibration, o prune.Options) prune.Criterion {
		return &prune.Wanda{Calibration: data, Rows: isLocal(o) && o.Granularity == prune.Weight{}}
	}},
	{name: "obd", help: "those whose square times that of the input is smallest", calibrated: func(_ *pruneCmd, data prune.Calibration, _ prune.Options) prune.Criterion {
		return &prune.OBD{Calibration: data}
	}},
	{name: "obs", help: "those that the others of the row make up for best", calibrated: func(c *pruneCmd, data prune.Calibration, _ prune.Options) prune.Criterion {
		return &prune.OBS{Calibration: data, Damping: c.Damping}
	}},
	// SparseGPT chooses weights itself, but not how many of each layer.
	{name: "sparsegpt", help: "column by column those that cost least, while the rest makes up for them", calibrated: func(c *pruneCmd, data prune.Calibration, o prune.Options) prune.Criterion {
		if isLocal(o) {
			return prune.Magnitude{}
		}
		return &prune.OBS{Calibration: data, Damping: c.Damping}
	}},
}

// statistics are what --statistic takes.
var statistics = map[string]func(prune.Moments) float64{
	"mean": prune.Moments.MeanAbs, "rms": prune.Moments.RMS, "variance": prune.Moments.Variance,
}

// isLocal reports whether each layer loses as much as the others.
func isLocal(o prune.Options) bool {
	_, local := o.Scope.(prune.Local)
	return local || o.Scope == nil
}

// methodOf returns what --method asks for.
func (c *pruneCmd) methodOf() pruneMethod {
	return pruneMethods[slices.IndexFunc(pruneMethods, func(m pruneMethod) bool { return m.name == c.Method })]
}

// looksAtData reports whether the model has to run.
func (c *pruneCmd) looksAtData() bool {
	return c.Recover != "none" || c.ActivationSparsity != nil || c.Masks == "" && c.methodOf().calibrated != nil
}

// always makes the same criterion of any model.
func always(c prune.Criterion) func(*pruneCmd, *graph.Model) (prune.Criterion, func(), error) {
	return func(*pruneCmd, *graph.Model) (prune.Criterion, func(), error) { return c, func() {}, nil }
}

// methodVars are the names and the help of the methods, for the flag.
func methodVars() (names, help string) {
	var list, texts []string
	for _, m := range pruneMethods {
		list, texts = append(list, m.name), append(texts, m.name+", "+m.help)
	}
	return strings.Join(list, ","), "What goes: " + strings.Join(texts, "; ") + "."
}

// checkMethod reports flags that another method than the one given reads.
func (c *pruneCmd) checkMethod() error {
	if err := c.checkMaskFiles(); err != nil {
		return err
	}
	if c.Masks != "" && (c.Method != "magnitude" || c.Granularity != "weight") {
		return usagef("--method or --granularity with --masks: expected neither, as the masks say what goes")
	}
	for _, f := range []struct{ flag, value, method string }{
		{"--threshold", c.Threshold, "threshold"}, {"--scores", c.Scores, "scores"}, {"--gradients", c.Gradients, "taylor"},
	} {
		// A threshold is for any scores.
		if f.value != "" && c.Method != f.method && f.method != "threshold" {
			return usagef("%s with --method %s: expected --method %s", f.flag, c.Method, f.method)
		}
		if f.value == "" && c.Method == f.method {
			return usagef("--method %s: expected %s", c.Method, f.flag)
		}
	}
	return nil
}

// criterion completes the options with what scores the weights of a model. What
// it returns closes files that the criterion reads.
func (c *pruneCmd) criterion(e *env, m *graph.Model, data prune.Calibration, o *prune.Options) (closeFiles func(), err error) {
	if c.Masks != "" {
		masks, closeFile, err := c.masks(e, m)
		if err == nil {
			if err = masks.Check(m); err != nil {
				closeFile()
				err = fmt.Errorf("%s: %w", c.Masks, err)
			}
		}
		if err != nil {
			return nil, err
		}
		masked := masks.Options()
		o.Criterion, o.Scope = masked.Criterion, masked.Scope
		return closeFile, nil
	}
	method := c.methodOf()
	if method.calibrated != nil {
		o.Criterion = method.calibrated(c, data, *o)
		return func() {}, nil
	}
	o.Criterion, closeFiles, err = method.criterion(c, m)
	return closeFiles, err
}

// tensors reads an array for each weight. The one array of a .npy file, which
// has no name, is for the only layer that takes part.
func (c *pruneCmd) tensors(path string, m *graph.Model) (map[string]*graph.Tensor, func(), error) {
	f, err := readTensors(path, m)
	if err != nil {
		return nil, nil, err
	}
	tensors := f.Tensors
	if t := tensors["arr_0"]; t != nil && len(tensors) == 1 {
		layers, err := prune.Select(m, c.Include, c.Exclude)
		if err != nil {
			f.Close()
			return nil, nil, usageError{err}
		}
		if len(layers) != 1 {
			f.Close()
			return nil, nil, usagef("%s holds one array without a name: expected --include with the one layer that it is for, got %d layers", path, len(layers))
		}
		tensors = map[string]*graph.Tensor{layers[0].Weight: t}
	}
	return tensors, func() { f.Close() }, nil
}

// readTensors reads arrays by name, of at most 16 bytes for each weight of a
// model.
func readTensors(path string, m *graph.Model) (*loader.TensorFile, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".npz", ".npy":
		limit := int64(1 << 20)
		for _, t := range m.Weights {
			limit += 16 * int64(t.Len())
		}
		return loader.ReadArrays(path, limit)
	case ".safetensors":
		return loader.ReadSafetensors(path)
	}
	return nil, usagef("%s: expected a .npz, .npy or .safetensors file", path)
}

// masks reads masks: arrays, or the zeros of a model.
func (c *pruneCmd) masks(e *env, m *graph.Model) (prune.Masks, func(), error) {
	switch strings.ToLower(filepath.Ext(c.Masks)) {
	case ".onnx", ".nnz":
		other, err := openModel(e.ctx, c.Masks)
		if err != nil {
			return nil, nil, err
		}
		defer other.Close()
		return prune.MasksOf(other.Model), func() {}, nil
	}
	tensors, closeFile, err := c.tensors(c.Masks, m)
	return torchMasks(tensors), closeFile, err
}

// torchMask and torchWeight are what PyTorch puts after the name of a pruned
// weight for its mask, and for the weight before.
const (
	torchMask   = "_mask"
	torchWeight = "_orig"
)

// torchMasks are the masks among what PyTorch saves of a pruned module, or all
// tensors where none has a name that says so.
func torchMasks(tensors map[string]*graph.Tensor) prune.Masks {
	masks := make(prune.Masks)
	for name, t := range tensors {
		if weight, ok := strings.CutSuffix(name, torchMask); ok {
			masks[weight] = t
		}
	}
	if len(masks) == 0 {
		return tensors
	}
	return masks
}

// checkMaskFiles reports names of files that cannot hold masks.
func (c *pruneCmd) checkMaskFiles() error {
	switch ext := strings.ToLower(filepath.Ext(c.SaveMasks)); ext {
	case "", ".npz", ".safetensors":
		if c.SaveMasks == "" || ext != "" {
			return nil
		}
	}
	return usagef("--save-masks %s: expected a .npz or .safetensors file", c.SaveMasks)
}

// saveMasks writes which weights of a pruned model are not zero.
func saveMasks(path string, before, pruned *graph.Model) error {
	masks := prune.MasksOf(pruned)
	if strings.EqualFold(filepath.Ext(path), ".npz") {
		return loader.WriteArrays(path, masks)
	}
	tensors := make(map[string]*graph.Tensor, 2*len(masks))
	for name, mask := range masks {
		tensors[name+torchMask] = mask
		tensors[name+torchWeight] = before.Weights[name]
	}
	return loader.WriteSafetensors(path, tensors)
}
