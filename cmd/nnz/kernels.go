package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/internal/atomicfile"
	"github.com/nnz-dev/nnz/kernels/isa"
	"github.com/nnz-dev/nnz/loader"
)

// dlmcSet is the set of real masks, which are files.
const dlmcSet = "dlmc"

// kernelsCmd measures single layers.
type kernelsCmd struct {
	Family   []string  `placeholder:"NAME" help:"Only these: spmm (sparse weights), spmv (few columns), gemm (dense weights), depthwise, vec (elementwise)."`
	Shape    string    `placeholder:"M,K,N" help:"One product of M outputs, K inputs and N columns, instead of a set."`
	Set      []string  `default:"resnet50" placeholder:"NAME" help:"Layers of resnet50, mobilenet_v1, mobilenet_v2, mobilenet_v3, vgg16, bert_128, bert_384, vit, gpt2_n1; or dlmc, the masks of --masks."`
	Masks    string    `placeholder:"DIR" help:"Folder of .smtx and .mtx files for the set dlmc."`
	Columns  int       `default:"128" help:"Columns that masks are multiplied with."`
	Sparsity []float64 `default:"0.7,0.8,0.9,0.95" help:"Fractions of zeros."`
	Block    int       `default:"1" help:"Make zeros in blocks of so many outputs."`
	Scatter  float64   `placeholder:"FRACTION" help:"Make so many of the zeros in blocks random weights again."`
	NM       []string  `name:"nm" placeholder:"N:M" help:"Make zeros so that of each M consecutive inputs of an output N are left, such as 2:4, instead of --sparsity."`
	ISA      []string  `name:"isa" placeholder:"NAME" help:"Instruction sets: generic, avx2, avx512, neon. Default: NNZ_ISA, else the best of this CPU."`
	Threads  []int     `default:"1" help:"Numbers of threads."`
	Runs     int       `placeholder:"N" help:"Turns of each; default: as many as fit into 150 ms, and at least 7."`
	Choices  bool      `help:"Measure every candidate format instead, and list where another than the chosen one is more than 5 % faster."`
	Benchfmt string    `placeholder:"FILE" help:"Write every turn to FILE as go test -bench does, for benchstat."`
	jsonFlag
}

// A kernelsReport is what `nnz bench kernels` shows.
type kernelsReport struct {
	Limits  []kernels.Limits `json:"limits,omitempty"`
	Results []kernels.Result `json:"results,omitempty"`
	Choices []kernels.Choice `json:"choices,omitempty"`
}

func (c *kernelsCmd) Run(e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	isas, err := c.isas()
	if err != nil {
		return usageError{err}
	}
	cases, err := c.cases()
	if err != nil {
		return err
	}
	o := kernels.Options{ISAs: isas, Threads: c.Threads, Limits: make(map[isa.ISA]kernels.Limits)}
	o.Turns = c.Runs
	r := kernelsReport{}
	if !c.Choices {
		for _, i := range isas {
			l := kernels.Measure(i)
			o.Limits[i] = l
			r.Limits = append(r.Limits, l)
			if c.wants(kernels.Vec) && c.Shape == "" {
				results, err := o.Functions(e.ctx, i)
				if err != nil {
					return err
				}
				r.Results = append(r.Results, results...)
			}
		}
	}
	p := newProgress(e, "kernels")
	defer p.end()
	for n, make := range cases {
		p.update(float64(n) / float64(len(cases)))
		layer, err := make()
		if err != nil {
			return err
		}
		if c.Choices {
			for _, i := range isas {
				choice, err := o.Choose(e.ctx, layer, i)
				if err != nil {
					return err
				}
				r.Choices = append(r.Choices, choice)
			}
			continue
		}
		results, err := o.Run(e.ctx, layer)
		if err != nil {
			return err
		}
		r.Results = append(r.Results, results...)
	}
	p.end()
	if c.Benchfmt != "" {
		err := atomicfile.Write(c.Benchfmt, func(w io.Writer) error { return kernels.WriteBenchfmt(w, r.Results) })
		if err != nil {
			return err
		}
	}
	if err := c.write(e, r); err != nil || c.stdout() {
		return err
	}
	if c.Choices {
		return printChoices(e, r.Choices)
	}
	return printKernels(e, r)
}

func (c *kernelsCmd) check() error {
	for _, f := range c.Family {
		if !slices.Contains(kernels.Families(), f) {
			return usagef("--family %s: expected %s", f, strings.Join(kernels.Families(), ", "))
		}
	}
	for _, s := range c.Sparsity {
		if !(s >= 0 && s <= 1) {
			return usagef("--sparsity %g: expected fractions between 0 and 1", s)
		}
	}
	for _, s := range c.NM {
		if _, _, err := parsePattern(s); err != nil {
			return err
		}
	}
	if !(c.Scatter >= 0 && c.Scatter <= 1) {
		return usagef("--scatter %g: expected a fraction between 0 and 1", c.Scatter)
	}
	for _, n := range slices.Concat(c.Threads, []int{c.Block, c.Columns}) {
		if n < 1 {
			return usagef("%d: --threads, --block and --columns are positive numbers", n)
		}
	}
	if c.Benchfmt != "" && c.Choices {
		return usagef("--benchfmt: there is no benchmark of --choices")
	}
	if c.Runs < 0 {
		return usagef("--runs %d: expected a positive number", c.Runs)
	}
	return nil
}

// parsePattern reads N:M.
func parsePattern(s string) (n, m int, err error) {
	before, after, ok := strings.Cut(s, ":")
	n, errN := strconv.Atoi(before)
	m, errM := strconv.Atoi(after)
	if !ok || errN != nil || errM != nil || n < 1 || m < n {
		return 0, 0, usagef("--nm %s: expected N:M, such as 2:4", s)
	}
	return n, m, nil
}

func (c *kernelsCmd) isas() ([]isa.ISA, error) {
	if len(c.ISA) == 0 {
		i, err := isa.FromEnv()
		return []isa.ISA{i}, err
	}
	var list []isa.ISA
	for _, name := range c.ISA {
		i, err := isa.Parse(name)
		if err == nil {
			err = i.Check()
		}
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

func (c *kernelsCmd) wants(family string) bool {
	return len(c.Family) == 0 || slices.Contains(c.Family, family)
}

// cases lists what to measure; each is made only when its turn comes, as
// weights take memory.
func (c *kernelsCmd) cases() ([]func() (kernels.Case, error), error) {
	var list []func() (kernels.Case, error)
	add := func(l kernels.Layer) {
		for _, s := range c.NM {
			n, m, _ := parsePattern(s)
			if !c.wants(l.Family(1 - float64(n)/float64(m))) {
				continue
			}
			list = append(list, func() (kernels.Case, error) { return kernels.NewPatternCase(l, n, m), nil })
		}
		if len(c.NM) > 0 {
			return
		}
		for _, s := range slices.Compact(append([]float64{0}, c.Sparsity...)) {
			family := l.Family(s)
			if !c.wants(family) || s > 0 && family == kernels.Depthwise || s == 0 && c.Choices {
				continue
			}
			list = append(list, func() (kernels.Case, error) {
				x := kernels.NewCase(l, c.Block, s)
				x.Scatter(c.Scatter)
				return x, nil
			})
		}
	}
	if c.Shape != "" {
		l, err := kernels.ParseShape(c.Shape)
		if err != nil {
			return nil, usageError{err}
		}
		add(l)
		return list, nil
	}
	for _, name := range c.Set {
		if name == dlmcSet {
			if c.Masks == "" {
				return nil, usagef("--set %s needs --masks, a folder of .smtx files", dlmcSet)
			}
			masks, err := maskCases(c.Masks, c.Columns)
			if err != nil {
				return nil, err
			}
			list = append(list, masks...)
			continue
		}
		layers, err := kernels.FindSet(name)
		if err != nil {
			return nil, usageError{err}
		}
		for _, l := range layers {
			add(l)
		}
	}
	return list, nil
}

// maskCases lists the matrices of a folder, to be multiplied with so many
// columns.
func maskCases(folder string, columns int) ([]func() (kernels.Case, error), error) {
	files, _, err := matrixFiles([]string{folder})
	if err != nil {
		return nil, err
	}
	if files == nil {
		return nil, usagef("--masks %s: no such folder", folder)
	}
	shared := sharedFolder(files)
	var list []func() (kernels.Case, error)
	for _, file := range files {
		list = append(list, func() (kernels.Case, error) {
			m, err := loader.ReadMatrix(file)
			if err != nil {
				return kernels.Case{}, err
			}
			return kernels.FromMatrix(filepath.ToSlash(file[shared:]), m, columns)
		})
	}
	return list, nil
}

// printKernels prints the limits of the processor and a table of layers.
func printKernels(e *env, r kernelsReport) error {
	for _, l := range r.Limits {
		fmt.Fprintf(e.out, "%s on one thread: FMA %.0f GF/s; reads", l.ISA, l.Peak)
		for _, v := range l.Levels {
			fmt.Fprintf(e.out, " %s %.0f", v.Name, v.Read)
		}
		fmt.Fprintln(e.out, " GB/s")
	}
	fmt.Fprintln(e.out)
	t := newTable("family<", "layer<", "shape<", "zeros", "kernel<", "threads", "µs", "GF/s", "effective", "of FMA", "bound<", "of bound", "dense µs", "speedup")
	for _, x := range r.Results {
		rate, effective, fma, zeros := "", "", "", ""
		if x.Family != kernels.Vec {
			rate, effective, zeros = fmt.Sprintf("%.1f", x.GFlops), fmt.Sprintf("%.1f", x.Effective), percent(x.Sparsity)
			fma = percent(x.FMA)
		}
		dense, speedup := "", ""
		if x.Sparsity > 0 {
			dense, speedup = fmt.Sprintf("%.1f", x.DenseUS), fmt.Sprintf("%.2f", x.Speedup)
		}
		t.AppendRow(row(x.Family, shorten(x.Name, maxName), x.Shape, zeros, x.Kernel, fmt.Sprint(x.Threads),
			fmt.Sprintf("%.2f", x.US), rate, effective, fma, x.Bound.Name, percent(x.BoundShare), dense, speedup))
	}
	return e.print(t)
}

// printChoices lists the wrong choices.
func printChoices(e *env, all []kernels.Choice) error {
	t := newTable("layer<", "shape<", "zeros", "ISA<", "chosen<", "µs", "predicted", "best<", "µs", "predicted", "loss")
	wrong := 0
	for _, x := range all {
		if !x.Wrong() {
			continue
		}
		wrong++
		us := func(of map[string]float64, format string) string { return fmt.Sprintf("%.1f", of[format]) }
		t.AppendRow(row(shorten(x.Name, maxName), x.Shape, percent(x.Sparsity), x.ISA,
			x.Chosen, us(x.Measured, x.Chosen), us(x.Expected, x.Chosen),
			x.Best, us(x.Measured, x.Best), us(x.Expected, x.Best), percent(x.Loss)))
	}
	if wrong > 0 {
		if err := e.print(t); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(e.out, "%d of %d choices are more than %.0f %% slower than the best candidate\n", wrong, len(all), 100*kernels.Slack)
	return err
}
