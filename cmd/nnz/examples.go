package main

import (
	"math"
	"path/filepath"

	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/bench/sweep"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// exampleFlags say what errors are measured on.
type exampleFlags struct {
	Data     string `placeholder:"DATA" help:"Inputs that errors are measured on: ${data_help} builtin:lenet5 has images of its own."`
	Labels   string `placeholder:"FILE" help:"Classes of the examples, an .npy file of whole numbers: errors are then of accuracy, too. The array labels of an .npz file of data is taken as well."`
	Examples int    `placeholder:"N" help:"Take the first N examples. Default: all, and 4 at random."`
	imageFlags
}

const (
	randomExamples = 4
	labelsName     = "labels" // of the array in an .npz file
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

// readFile reads the data, and labels that come with it.
func (f exampleFlags) readFile(m *graph.Model) (*sweep.Data, error) {
	r := dataReader{f.Data, f.Examples, f.imageFlags}
	if r.most == 0 {
		r.most = math.MaxInt
	}
	d := &sweep.Data{}
	var err error
	if d.Sets, err = r.read(m); err != nil {
		return nil, err
	}
	switch {
	case extension(f.Data) == ".npz":
		arrays, err := loader.ReadArrays(f.Data, 0)
		if err != nil {
			return nil, err
		}
		defer arrays.Close()
		if t := arrays.Tensors[labelsName]; t != nil && len(m.Inputs) < len(arrays.Tensors) {
			d.Labels, err = classes(f.Data, t)
			return d, err
		}
	case r.isMNIST():
		train, _, err := mnist.Read(f.Data)
		if err != nil {
			return nil, err
		}
		for _, digit := range train.First(r.most).Labels {
			d.Labels = append(d.Labels, int(digit))
		}
	}
	return d, nil
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
