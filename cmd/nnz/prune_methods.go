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
	criterion  makeCriterion
}

// makeCriterion makes what scores the weights of a model, and what closes the
// files that it reads.
type makeCriterion func(c *pruneCmd, m *graph.Model) (prune.Criterion, func(), error)

// pruneMethods are all of them, in the order of the help.
var pruneMethods = []pruneMethod{
	{"magnitude", "the smallest weights", always(prune.Magnitude{})},
	{"threshold", "the weights below --threshold", always(prune.Magnitude{})},
	{"lamp", "the smallest weights, layers compared by LAMP", always(prune.Magnitude{})},
	{"random", "by chance", func(c *pruneCmd, _ *graph.Model) (prune.Criterion, func(), error) {
		return prune.Random{Seed: c.Seed}, func() {}, nil
	}},
	{"scores", "the smallest --scores", func(c *pruneCmd, m *graph.Model) (prune.Criterion, func(), error) {
		tensors, closeFile, err := c.tensors(c.Scores, m)
		return prune.Scores(tensors), closeFile, err
	}},
	{"taylor", "the smallest weight times gradient, given --gradients", func(c *pruneCmd, m *graph.Model) (prune.Criterion, func(), error) {
		tensors, closeFile, err := c.tensors(c.Gradients, m)
		return prune.Taylor{Gradients: tensors}, closeFile, err
	}},
	{"bn-scale", "filters of small BatchNormalization scale", func(*pruneCmd, *graph.Model) (prune.Criterion, func(), error) {
		return prune.BNScale(), func() {}, nil
	}},
	{"fpgm", "filters near the geometric median of their layer", func(*pruneCmd, *graph.Model) (prune.Criterion, func(), error) {
		return prune.FPGM(), func() {}, nil
	}},
}

// always makes the same criterion of any model.
func always(c prune.Criterion) makeCriterion {
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
func (c *pruneCmd) criterion(m *graph.Model, o *prune.Options) (closeFiles func(), err error) {
	if c.Masks != "" {
		masks, closeFile, err := c.masks(m)
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
	i := slices.IndexFunc(pruneMethods, func(m pruneMethod) bool { return m.name == c.Method })
	o.Criterion, closeFiles, err = pruneMethods[i].criterion(c, m)
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
func (c *pruneCmd) masks(m *graph.Model) (prune.Masks, func(), error) {
	switch strings.ToLower(filepath.Ext(c.Masks)) {
	case ".onnx", ".nnz":
		other, err := openModel(c.Masks)
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
