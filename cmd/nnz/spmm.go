package main

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/loader"
)

// A productReport is the product of one sparse matrix with columns.
type productReport struct {
	File string `json:"file"`
	bench.LayerReport
	DenseGFlops float64 `json:"dense_gflops"` // of the same product with the zeros multiplied
	Speedup     float64 `json:"speedup"`
}

// matrixFiles lists the matrices that the arguments name, files and those in
// folders; ok is false where the first argument is neither, but a model.
func matrixFiles(args []string) (files []string, ok bool, err error) {
	for i, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case i == 0 && (err != nil || !info.IsDir() && !isMatrix(arg)):
			return nil, false, nil
		case err != nil:
			return nil, true, err
		case !info.IsDir():
			files = append(files, arg)
			continue
		}
		before := len(files)
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && isMatrix(path) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, true, err
		}
		if len(files) == before {
			return nil, true, fmt.Errorf("%s: no .smtx or .mtx file in the folder", arg)
		}
	}
	return files, true, nil
}

// sharedFolder returns the length of the path that all files begin with.
func sharedFolder(files []string) int {
	dir, _ := filepath.Split(files[0])
	n := len(dir)
	for _, file := range files {
		for n > 0 && !strings.HasPrefix(file, files[0][:n]) {
			n = strings.LastIndexByte(files[0][:n-1], filepath.Separator) + 1
		}
	}
	return n
}

func isMatrix(path string) bool {
	ext := extension(path)
	return ext == ".smtx" || ext == ".mtx"
}

// products multiplies each matrix with columns, dense and sparse.
func (c *benchCmd) products(e *env, files []string, o bench.Options) error {
	if c.Columns < 1 {
		return usagef("--columns %d: expected a positive number", c.Columns)
	}
	p := newProgress(e, "bench")
	defer p.end()
	reports := []productReport{}
	var runErr error
	for i, file := range files {
		p.update(float64(i) / float64(len(files)))
		w, err := loader.ReadMatrix(file)
		if err != nil {
			return err
		}
		l, err := bench.SpMM(e.ctx, w, c.Columns, o)
		if err != nil {
			runErr = fmt.Errorf("%s: %w", file, err)
			break // what was measured is shown
		}
		reports = append(reports, productReport{
			File: file, LayerReport: l,
			DenseGFlops: 2 * float64(l.M) * float64(l.K) * float64(l.N) / l.DenseUS / 1e3,
			Speedup:     l.DenseUS / l.SparseUS,
		})
	}
	p.end()
	if err := c.write(e, reports); err != nil {
		return err
	}
	if c.stdout() || len(reports) == 0 {
		return runErr
	}
	shared := sharedFolder(files)
	mean := 0.0
	t := newTable("matrix<", "M x K x N", "zeros", "kernel<", "dense µs", "sparse µs", "dense GF/s", "sparse GF/s", "speedup")
	for _, r := range reports {
		t.AppendRow(row(shorten(filepath.ToSlash(r.File[shared:]), 64), fmt.Sprintf("%d x %d x %d", r.M, r.K, r.N), percent(r.Sparsity), r.Kernel,
			fmt.Sprintf("%.1f", r.DenseUS), fmt.Sprintf("%.1f", r.SparseUS),
			fmt.Sprintf("%.1f", r.DenseGFlops), fmt.Sprintf("%.1f", r.GFlops), fmt.Sprintf("%.2f", r.Speedup)))
		mean += math.Log(r.Speedup) / float64(len(reports))
	}
	t.AppendFooter(row("geometric mean", "", "", "", "", "", "", "", fmt.Sprintf("%.2f", math.Exp(mean))))
	if err := e.print(t); err != nil {
		return err
	}
	return runErr
}
