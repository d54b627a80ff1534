package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/bench/peers"
	"github.com/nnz-dev/nnz/kernels/isa"
)

// peersCmd compares layers with other engines.
type peersCmd struct {
	Drivers  string    `default:"bin/peers" placeholder:"DIR" help:"Folder of the drivers that make peers builds."`
	Class    []string  `placeholder:"TEXT" help:"Only classes whose name contains this."`
	Sparsity []float64 `placeholder:"F" help:"Only these of 0.7, 0.8, 0.9 and 0.95."`
	AVX2     bool      `name:"avx2" help:"Hold all engines to AVX2."`
	Threads  int       `default:"1" help:"Threads of each engine."`
	Runs     int       `placeholder:"N" help:"Runs of each; default: as many as fit into 150 ms, and at least 7."`
	jsonFlag
}

func (c *peersCmd) Run(e *env) error {
	if c.Threads < 1 || c.Runs < 0 {
		return usagef("--threads %d, --runs %d: expected positive numbers", c.Threads, c.Runs)
	}
	for _, s := range c.Sparsity {
		if !slices.Contains(peers.Sparsities(), s) {
			return usagef("--sparsity %g: there are goals for %v", s, peers.Sparsities())
		}
	}
	b := peers.Bench{Folder: c.Drivers, Threads: c.Threads}
	b.Runs = c.Runs
	for _, i := range isa.Supported() {
		if i != isa.Generic && !(c.AVX2 && i != isa.AVX2) {
			b.ISAs = append(b.ISAs, i)
		}
	}
	if len(b.ISAs) == 0 {
		return usagef("this CPU has no instruction set to compare")
	}
	p := newProgress(e, "peers")
	defer p.end()
	var rows []peers.Row
	classes := peers.Classes()
	for n, class := range classes {
		p.update(float64(n) / float64(len(classes)))
		if !c.wants(class.Name) {
			continue
		}
		got, err := c.class(e, b, class)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	p.end()
	if err := c.write(e, rows); err != nil || c.stdout() {
		return err
	}
	return printPeers(e, rows, b.ISAs)
}

func (c *peersCmd) wants(class string) bool {
	return len(c.Class) == 0 || slices.ContainsFunc(c.Class, func(s string) bool { return strings.Contains(class, s) })
}

// class compares the layers of one class.
func (c *peersCmd) class(e *env, b peers.Bench, class peers.Class) ([]peers.Row, error) {
	var rows []peers.Row
	blocks := class.Blocks
	if blocks == nil {
		blocks = []int{1}
	}
	for _, l := range class.Layers {
		for n, s := range peers.Sparsities() {
			if len(c.Sparsity) > 0 && !slices.Contains(c.Sparsity, s) {
				continue
			}
			for _, block := range blocks {
				r, err := b.Compare(e.ctx, class, kernels.NewCase(l, block, s), class.Goals[n])
				if err != nil {
					return nil, err
				}
				rows = append(rows, r)
			}
		}
	}
	return rows, nil
}

// printPeers prints a table a class, and why engines are missing.
func printPeers(e *env, rows []peers.Row, isas []isa.ISA) error {
	us := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", v)
	}
	for len(rows) > 0 {
		class := rows[0].Class
		fmt.Fprintf(e.out, "%s; %s, µs\n", class, plural(rows[0].Threads, "thread"))
		header := []string{"shape<", "zeros", "block", "dense", "of<", "XNNPACK", "libxsmm sparse"}
		for _, i := range isas {
			header = append(header, "ours "+i.String())
		}
		t := newTable(append(header, "format<", "ratio", "goal", "<")...)
		missing := make(map[string]int)
		for len(rows) > 0 && rows[0].Class == class {
			r := rows[0]
			rows = rows[1:]
			cells := []string{r.Shape, percent(r.Sparsity), fmt.Sprintf("%dx1", r.Block), us(r.Dense), r.Best,
				us(r.Peers["xnnpack sparse"]), us(r.Peers["libxsmm sparse"])}
			for _, i := range isas {
				cells = append(cells, us(r.Ours[i.String()]))
			}
			met := "below"
			if r.Ratio >= r.Goal {
				met = "met"
			}
			ratio := "-"
			if r.Dense > 0 {
				ratio = fmt.Sprintf("%.2f", r.Ratio)
			} else {
				met = ""
			}
			t.AppendRow(row(append(cells, r.Format, ratio, number(r.Goal), met)...))
			for _, reason := range r.Missing {
				missing[oneLine(reason)]++
			}
		}
		if err := e.print(t); err != nil {
			return err
		}
		for _, reason := range slices.Sorted(maps.Keys(missing)) {
			fmt.Fprintf(e.out, "not measured %s: %s\n", plural(missing[reason], "time"), reason)
		}
		fmt.Fprintln(e.out)
	}
	return nil
}
