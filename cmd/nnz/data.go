package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/bench/verify"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/loader"
)

// dataHelp says what data may be.
const dataHelp = "a .npz file with an array for each input, a .npy file or a folder of pictures, .npy or .pb files for the only input, a folder of test_data_set_0, … or one of them, or the folder of MNIST, of which training images are taken."

// dataFlags say what a model is calibrated on.
type dataFlags struct {
	Calibrate        string `placeholder:"DATA" help:"What the model runs on for methods and recoveries that look at what flows through it, and what a budget measures errors on: ${data_help} Default: random numbers, with a warning."`
	CalibrateSamples int    `default:"128" placeholder:"N" help:"Use so many examples at most. Default: ${default}."`
	imageFlags
}

// read reads sets of inputs of a model.
func (f dataFlags) read(m *graph.Model) ([]map[string]*graph.Tensor, error) {
	if f.CalibrateSamples < 1 {
		return nil, usagef("--calibrate-samples %d: expected a positive number", f.CalibrateSamples)
	}
	return dataReader{f.Calibrate, f.CalibrateSamples, f.imageFlags}.read(m)
}

// dataBatch is how many examples of an array run at once, where the model leaves
// it open.
const dataBatch = 16

// A dataReader reads sets of inputs of a model: of as many examples as it is
// told to, from files of any of the kinds that --calibrate and --data take.
type dataReader struct {
	path   string
	most   int
	images imageFlags
}

// read reads them.
func (r dataReader) read(m *graph.Model) ([]map[string]*graph.Tensor, error) {
	info, err := os.Stat(r.path)
	if err != nil {
		return nil, err
	}
	var sets []map[string]*graph.Tensor
	switch {
	case !info.IsDir():
		sets, err = r.file(m, r.path)
	case isFolder(filepath.Join(r.path, "test_data_set_0")), isFile(filepath.Join(r.path, "input_0.pb")):
		sets, err = verify.ReadInputs(r.path, m)
		sets = sets[:min(len(sets), r.most)]
	case r.isMNIST():
		sets, err = r.digits(m)
	default:
		sets, err = r.folder(m)
	}
	if err == nil && len(sets) == 0 {
		err = usagef("%s: no data in it", r.path)
	}
	return sets, err
}

// isMNIST reports whether the data is the folder of MNIST.
func (r dataReader) isMNIST() bool {
	return slices.ContainsFunc(mnist.Files, func(name string) bool { return isFile(filepath.Join(r.path, name)) })
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// only returns the input of a model that has one.
func (r dataReader) only(m *graph.Model) (*graph.Value, error) {
	if len(m.Inputs) != 1 {
		return nil, usagef("%s: the model has %d inputs, expected a .npz file or a folder of test_data_set_0, …", r.path, len(m.Inputs))
	}
	return m.Inputs[0], nil
}

// file reads one file: an array of many examples, or one picture.
func (r dataReader) file(m *graph.Model, path string) ([]map[string]*graph.Tensor, error) {
	arrays := make(map[string]*graph.Tensor)
	if extension(path) == ".npz" {
		for _, v := range m.Inputs {
			t, err := readArray(path, v)
			if err != nil {
				return nil, err
			}
			arrays[v.Name] = t
		}
	} else {
		v, err := r.only(m)
		if err != nil {
			return nil, err
		}
		t, err := r.example(path, v)
		if err != nil {
			return nil, err
		}
		arrays[v.Name] = t
	}
	return r.cut(m, path, arrays)
}

// example reads a file for the input v.
func (r dataReader) example(path string, v *graph.Value) (*graph.Tensor, error) {
	switch extension(path) {
	case ".npy", ".npz":
		return readArray(path, v)
	case ".pb":
		_, t, err := loader.ReadTensor(path)
		return t, err
	case ".png", ".jpg", ".jpeg":
		return r.images.read(path, v)
	}
	return nil, usagef("%s: expected a .npz, .npy, .pb, .png or .jpg file", path)
}

// cut cuts arrays along their first axis into as many examples as a run takes.
func (r dataReader) cut(m *graph.Model, path string, arrays map[string]*graph.Tensor) ([]map[string]*graph.Tensor, error) {
	examples, batch, open := -1, 0, true
	for _, v := range m.Inputs {
		t := arrays[v.Name]
		if t.DType != v.DType || len(t.Shape) == 0 || len(v.Shape) != 0 && len(v.Shape) != len(t.Shape) {
			return nil, usagef("%s: an array of %s %s does not fit input %s", path, t.DType, shape(t.Shape), describeInput(v))
		}
		if fits(t, v) == nil && (len(v.Shape) == 0 || v.Shape[0].Known()) {
			return []map[string]*graph.Tensor{arrays}, nil // one set as it is
		}
		size := dataBatch
		if len(v.Shape) > 0 && v.Shape[0].Known() {
			size, open = max(1, v.Shape[0].Size), false
		}
		if examples >= 0 && (examples != t.Shape[0] || batch != size) {
			return nil, usagef("%s: arrays of %d and %d examples, expected as many for each input", path, examples, t.Shape[0])
		}
		examples, batch = t.Shape[0], size
	}
	var sets []map[string]*graph.Tensor
	most := min(examples, max(r.most, batch))
	if open {
		most = min(examples, r.most)
	}
	for first := 0; first < most; first += batch {
		n := min(batch, most-first)
		if n < batch && !open {
			break // the model takes no fewer
		}
		set := make(map[string]*graph.Tensor)
		for _, v := range m.Inputs {
			t := arrays[v.Name]
			bytes := len(t.Raw()) / examples
			extents := slices.Clone(t.Shape)
			extents[0] = n
			part, err := graph.NewTensor(t.DType, extents, t.Raw()[first*bytes:(first+n)*bytes])
			if err != nil {
				return nil, err
			}
			if err := fits(part, v); err != nil {
				return nil, usagef("%s does not fit input %s: %w", path, describeInput(v), err)
			}
			set[v.Name] = part
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// digits reads training images of MNIST.
func (r dataReader) digits(m *graph.Model) ([]map[string]*graph.Tensor, error) {
	v, err := r.only(m)
	if err != nil {
		return nil, err
	}
	train, _, err := mnist.Read(r.path)
	if err != nil {
		return nil, err
	}
	images := train.First(r.most).Images()
	all := graph.FromFloats([]int{len(images), 1, mnist.Size, mnist.Size}, slices.Concat(images...))
	return r.cut(m, r.path, map[string]*graph.Tensor{v.Name: all})
}

// folder reads the files of a folder, a set of inputs each, in the order of
// their names.
func (r dataReader) folder(m *graph.Model) ([]map[string]*graph.Tensor, error) {
	v, err := r.only(m)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(r.path)
	if err != nil {
		return nil, err
	}
	var sets []map[string]*graph.Tensor
	for _, entry := range entries {
		if entry.Type()&fs.ModeDir != 0 || !slices.Contains([]string{".npy", ".pb", ".png", ".jpg", ".jpeg"}, extension(entry.Name())) || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if len(sets) == r.most {
			break
		}
		path := filepath.Join(r.path, entry.Name())
		t, err := r.example(path, v)
		if err != nil {
			return nil, err
		}
		if err := fits(t, v); err != nil {
			return nil, usagef("%s does not fit input %s: %w", path, describeInput(v), err)
		}
		sets = append(sets, map[string]*graph.Tensor{v.Name: t})
	}
	if sets == nil {
		return nil, usageError{errors.New(r.path + ": no .npy, .pb, .png or .jpg file in it")}
	}
	return sets, nil
}
