package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/bench/sweep"
	"github.com/nnz-dev/nnz/bench/verify"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// exampleFlags say what errors are measured on.
type exampleFlags struct {
	Data     string `placeholder:"PATH" help:"Inputs that errors are measured on: an .npz file with an array for each input, an .npy file for the only one, both with examples along the first axis; or a folder of test_data_set_K or of input_J.pb. builtin:lenet5 has images of its own."`
	Labels   string `placeholder:"FILE" help:"Classes of the examples, an .npy file of whole numbers: errors are then of accuracy, too. The array labels of an .npz file of data is taken as well."`
	Examples int    `placeholder:"N" help:"Take the first N examples. Default: all, and 4 at random."`
}

const (
	randomExamples = 4
	labelsName     = "labels" // of the array in an .npz file
	openBatch      = 100      // examples in a set where the model leaves their number open
)

// check finds mistakes that need no model.
func (f exampleFlags) check() error {
	switch {
	case f.Examples < 0:
		return usagef("--examples %d: expected a positive number", f.Examples)
	case f.Labels != "" && f.Data == "":
		return usagef("--labels %s: expected --data, too", f.Labels)
	}
	return nil
}

// given reports whether there is real data for a model.
func (f exampleFlags) given(name string) bool { return f.Data != "" || isLeNet(name) }

func isLeNet(name string) bool { return name == builtinPrefix+"lenet5" }

// read reads the data, or makes some up; random says so.
func (f exampleFlags) read(name string, m *graph.Model, c runtime.Config) (d *sweep.Data, random bool, err error) {
	switch {
	case f.Data != "":
		d, err = f.readFile(m)
	case isLeNet(name):
		d = f.lenet(m)
	default:
		n := f.Examples
		if n == 0 {
			n = randomExamples
		}
		d, err = randomData(m, c, n)
		return d, true, err
	}
	if err == nil && f.Labels != "" {
		d.Labels, err = readLabels(f.Labels)
	}
	if err == nil && f.Examples > 0 && len(d.Labels) > f.Examples {
		d.Labels = d.Labels[:f.Examples]
	}
	return d, false, err
}

// lenet takes the images that come with the network.
func (f exampleFlags) lenet(m *graph.Model) *sweep.Data {
	d := &sweep.Data{}
	images, labels := builtin.MNIST()
	for i, image := range images {
		if f.Examples > 0 && i >= f.Examples {
			break
		}
		d.Sets = append(d.Sets, map[string]*graph.Tensor{m.Inputs[0].Name: graph.FromFloats([]int{1, 1, 28, 28}, image)})
		d.Labels = append(d.Labels, int(labels[i]))
	}
	return d
}

// randomData makes inputs up, in the shapes that the model is compiled for.
func randomData(m *graph.Model, c runtime.Config, n int) (*sweep.Data, error) {
	bound := m.Clone()
	for _, in := range bound.Inputs {
		if extents, ok := c.Shapes[in.Name]; ok {
			in.Shape = graph.Dims(extents...)
		}
	}
	data, err := prune.RandomData(bound, c.Dims, n, 0)
	if err != nil {
		return nil, err
	}
	d := &sweep.Data{}
	for set, err := range data {
		if err != nil {
			return nil, err
		}
		d.Sets = append(d.Sets, set)
	}
	return d, nil
}

func (f exampleFlags) readFile(m *graph.Model) (*sweep.Data, error) {
	info, err := os.Stat(f.Data)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		sets, err := verify.ReadInputs(f.Data, m)
		if f.Examples > 0 && len(sets) > f.Examples {
			sets = sets[:f.Examples]
		}
		return &sweep.Data{Sets: sets}, err
	}
	if e := extension(f.Data); e != ".npy" && e != ".npz" {
		return nil, usagef("--data %s: expected a folder, an .npz or an .npy file", f.Data)
	}
	arrays, err := loader.ReadArrays(f.Data, 0)
	if err != nil {
		return nil, err
	}
	defer arrays.Close()
	d := &sweep.Data{}
	if t := arrays.Tensors[labelsName]; t != nil && len(m.Inputs) < len(arrays.Tensors) {
		if d.Labels, err = classes(f.Data, t); err != nil {
			return nil, err
		}
	}
	for _, in := range m.Inputs {
		t := arrays.Tensors[in.Name]
		if t == nil && len(arrays.Tensors) == 1 && len(m.Inputs) == 1 {
			for _, t = range arrays.Tensors {
			}
		}
		if t == nil {
			return nil, usagef("%s: no array %q among %d", f.Data, in.Name, len(arrays.Tensors))
		}
		if err := f.cut(d, in, t); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Data, err)
		}
	}
	return d, nil
}

// cut cuts an array of examples into sets, as many examples in each as an input
// takes.
func (f exampleFlags) cut(d *sweep.Data, in *graph.Value, t *graph.Tensor) error {
	if len(t.Shape) == 0 || len(t.Shape) != len(in.Shape) {
		return usagef("an array of shape %v for input %s, expected one of its rank with examples along the first axis", t.Shape, describeInput(in))
	}
	examples := t.Shape[0]
	if f.Examples > 0 {
		examples = min(examples, f.Examples)
	}
	batch := min(openBatch, examples)
	if in.Shape[0].Known() {
		batch = in.Shape[0].Size
	}
	if batch < 1 || examples < 1 || examples%batch > 0 && in.Shape[0].Known() {
		return usagef("%d examples for input %s, expected some, a multiple of what it takes at once", examples, describeInput(in))
	}
	first := len(d.Sets) == 0
	sets := (examples + batch - 1) / batch
	if !first && len(d.Sets) != sets {
		return usagef("%d examples for input %s, other inputs have more or fewer", examples, describeInput(in))
	}
	each := t.Len() / t.Shape[0]
	for i := range sets {
		from, to := i*batch, min((i+1)*batch, examples)
		extents := append([]int{to - from}, t.Shape[1:]...)
		var part *graph.Tensor
		switch {
		case in.DType.Float() && t.DType.Float():
			part = graph.FromFloats(extents, append([]float32(nil), t.Floats()[from*each:to*each]...))
		case in.DType.Integer() && t.DType.Integer():
			part = graph.FromInts(in.DType, extents, append([]int64(nil), t.Ints()[from*each:to*each]...))
		default:
			return usagef("an array of %s for input %s", t.DType, describeInput(in))
		}
		if first {
			d.Sets = append(d.Sets, make(map[string]*graph.Tensor))
		}
		d.Sets[i][in.Name] = part
	}
	return nil
}

// readLabels reads classes from an .npy file.
func readLabels(path string) ([]int, error) {
	if extension(path) != ".npy" {
		return nil, usagef("--labels %s: expected an .npy file", path)
	}
	arrays, err := loader.ReadArrays(path, 0)
	if err != nil {
		return nil, err
	}
	defer arrays.Close()
	for _, t := range arrays.Tensors {
		return classes(path, t)
	}
	return nil, nil
}

// classes turns an array of whole numbers into labels.
func classes(path string, t *graph.Tensor) ([]int, error) {
	if !t.DType.Integer() || len(t.Shape) != 1 {
		return nil, usagef("%s: labels are %s of shape %v, expected a list of whole numbers", filepath.Base(path), t.DType, t.Shape)
	}
	labels := make([]int, t.Len())
	for i, x := range t.Ints() {
		labels[i] = int(x)
	}
	return labels, nil
}
