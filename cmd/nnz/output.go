package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/nnz-dev/nnz/internal/atomicfile"
)

// jsonFlag is the flag --json of a command.
type jsonFlag struct {
	JSON string `name:"json" placeholder:"FILE" help:"Write the result as JSON to FILE, or to standard output for -, instead of a table there."`
}

// stdout reports whether standard output is taken by JSON.
func (f jsonFlag) stdout() bool { return f.JSON == "-" }

// write writes v where --json says, if it was given.
func (f jsonFlag) write(e *env, v any) error {
	if f.JSON == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if f.stdout() {
		_, err = e.out.Write(b)
		return err
	}
	return atomicfile.Write(f.JSON, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(b))
		return err
	})
}

// newTable makes a table whose columns are aligned left where the header says
// so with a trailing <, and right otherwise.
func newTable(header ...string) table.Writer {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	style.Format.Footer = text.FormatDefault
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	var columns []table.ColumnConfig
	var row table.Row
	for i, h := range header {
		name, left := strings.CutSuffix(h, "<")
		align := text.AlignRight
		if left {
			align = text.AlignLeft
		}
		columns = append(columns, table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align, AlignFooter: align})
		row = append(row, name)
	}
	t.SetColumnConfigs(columns)
	t.AppendHeader(row)
	return t
}

// percent writes a fraction: 0.9 is "90.0 %".
func percent(fraction float64) string { return fmt.Sprintf("%.1f %%", 100*fraction) }

// ratio is a/b, and 0 for nothing of nothing.
func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// count writes a number with its thousands apart: 25,557,032.
func count(n int) string {
	s := strconv.Itoa(n)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes a number of bytes.
func size(n int64) string {
	units := []string{"KiB", "MiB", "GiB"}
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/(1<<10), 0
	for v >= 1024 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f %s", v, units[unit])
}

// shape writes the extents of a tensor: 64x3x7x7.
func shape(extents []int) string {
	if len(extents) == 0 {
		return "scalar"
	}
	parts := make([]string, len(extents))
	for i, n := range extents {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, "x")
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return count(n) + " " + thing
}

// number writes a real number to three digits.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

// row makes a row of a table.
func row(cells ...string) table.Row {
	r := make(table.Row, len(cells))
	for i, c := range cells {
		r[i] = c
	}
	return r
}

// print prints a table.
func (e *env) print(t table.Writer) error {
	_, err := fmt.Fprintln(e.out, t.Render())
	return err
}
