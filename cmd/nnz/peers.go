package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/bench/peers"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// peersCmd compares layers with other engines.
type peersCmd struct {
	Drivers  string    `default:"bin/peers" placeholder:"DIR" help:"Folder of the drivers that make peers builds, and of node_modules."`
	Class    []string  `sep:"none" placeholder:"TEXT" help:"Only classes whose name contains this."`
	Sparsity []float64 `placeholder:"F" help:"Only these of 0.7, 0.8, 0.9 and 0.95, and 0 for dense."`
	Masks    string    `placeholder:"DIR" help:"Folder of .smtx and .mtx files, for a class of real masks."`
	AVX2     bool      `name:"avx2" help:"Hold all engines to AVX2."`
	Threads  []int     `placeholder:"N" help:"Numbers of threads of each engine. Default: 1, and 2 where there are so many CPUs."`
	Runs     int       `placeholder:"N" help:"Turns of each; default: as many as fit into 150 ms, and at least 7."`
	jsonFlag
}

// maskColumns is how many columns masks are multiplied with: a transformer's
// tokens.
const maskColumns = 128

func (c *peersCmd) Run(e *env) error {
	if c.Runs < 0 {
		return usagef("--runs %d: expected a positive number", c.Runs)
	}
	var known []float64
	for _, class := range peers.Classes() {
		known = append(known, class.Sparsities()...)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for _, s := range c.Sparsity {
		if !slices.Contains(known, s) {
			return usagef("--sparsity %g: there are goals for %v", s, known)
		}
	}
	b := peers.Bench{Folder: c.Drivers, Threads: c.Threads}
	b.Turns = c.Runs
	if b.Threads == nil {
		b.Threads = []int{1, 2}[:min(2, runtime.NumCPU())]
	}
	for _, n := range b.Threads {
		if n < 1 {
			return usagef("--threads %d: expected positive numbers", n)
		}
	}
	for _, i := range isa.Supported() {
		if i != isa.Generic && !(c.AVX2 && i != isa.AVX2) {
			b.ISAs = append(b.ISAs, i)
		}
	}
	if len(b.ISAs) == 0 {
		return usagef("this CPU has no instruction set to compare")
	}
	cases, err := c.cases()
	if err != nil {
		return err
	}
	p := newProgress(e, "peers")
	defer p.end()
	var rows []peers.Row
	for n, x := range cases {
		p.update(float64(n) / float64(len(cases)))
		layer, err := x.make()
		if err != nil {
			return err
		}
		got, err := b.Compare(e.ctx, x.class, layer)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	p.end()
	if err := c.write(e, rows); err != nil || c.stdout() {
		return err
	}
	return printPeers(e.out, rows, b.ISAs)
}

// A peersCase is one layer of a class; it is made only when its turn comes, as
// weights take memory.
type peersCase struct {
	class peers.Class
	make  func() (kernels.Case, error)
}

// cases lists what to compare.
func (c *peersCmd) cases() ([]peersCase, error) {
	var list []peersCase
	for _, class := range peers.Classes() {
		if !c.wants(class.Name) {
			continue
		}
		blocks := class.Blocks
		if blocks == nil {
			blocks = []int{1}
		}
		for _, l := range class.Layers {
			for _, s := range class.Sparsities() {
				if len(c.Sparsity) > 0 && !slices.Contains(c.Sparsity, s) {
					continue
				}
				for _, block := range blocks {
					list = append(list, peersCase{class, func() (kernels.Case, error) { return kernels.NewCase(l, block, s), nil }})
				}
			}
		}
	}
	if masks := peers.Masks(maskColumns); c.Masks != "" && c.wants(masks.Name) {
		files, err := maskCases(c.Masks, maskColumns)
		if err != nil {
			return nil, err
		}
		for _, make := range files {
			list = append(list, peersCase{masks, make})
		}
	}
	return list, nil
}

func (c *peersCmd) wants(class string) bool {
	return len(c.Class) == 0 || slices.ContainsFunc(c.Class, func(s string) bool { return strings.Contains(class, s) })
}

// printPeers prints a table a class, and why engines are missing.
func printPeers(w io.Writer, rows []peers.Row, isas []isa.ISA) error {
	us := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", v)
	}
	for len(rows) > 0 {
		class := rows[0].Class
		fmt.Fprintf(w, "%s; µs\n", class)
		header := []string{"shape<", "zeros", "block", "threads", "dense", "of<", "XNNPACK", "libxsmm sparse"}
		for _, i := range isas {
			header = append(header, "ours "+i.String())
		}
		t := newTable(append(header, "format<", "ratio", "goal", "<", "<")...)
		missing := make(map[string]int)
		for len(rows) > 0 && rows[0].Class == class {
			r := rows[0]
			rows = rows[1:]
			block, ratio, goal, met := "", "-", "", ""
			if r.Block > 0 {
				block = fmt.Sprintf("%dx1", r.Block)
			}
			cells := []string{r.Shape, percent(r.Sparsity), block, fmt.Sprint(r.Threads), us(r.Dense), r.Best,
				us(r.Peers["xnnpack sparse"]), us(r.Peers["libxsmm sparse"])}
			for _, i := range isas {
				cells = append(cells, us(r.Ours[i.String()]))
			}
			if r.Dense > 0 {
				ratio = fmt.Sprintf("%.2f", r.Ratio)
			}
			if r.Goal > 0 {
				goal = number(r.Goal)
				if r.Dense > 0 {
					met = "below"
					if r.Ratio >= r.Goal {
						met = "met"
					}
				}
			}
			t.AppendRow(row(append(cells, r.Format, ratio, goal, met, shorten(r.Name, maxName))...))
			for _, reason := range r.Missing {
				missing[oneLine(reason)]++
			}
		}
		if _, err := fmt.Fprintln(w, t.Render()); err != nil {
			return err
		}
		for _, reason := range slices.Sorted(maps.Keys(missing)) {
			fmt.Fprintf(w, "not measured %s: %s\n", plural(missing[reason], "time"), reason)
		}
		fmt.Fprintln(w)
	}
	return nil
}
