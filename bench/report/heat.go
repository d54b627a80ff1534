package report

import (
	"fmt"
	"html/template"
	"math"
)

// A Heat is a map of numbers by row and column, whose cells are coloured and
// have what they stand for in them.
type Heat struct {
	Title   string
	Corner  string // above the names of the rows
	Columns []string
	Rows    []HeatRow
	// Top is what is coloured most; where it is 0, the largest value. Values of 0
	// and below, and such as are not finite, have no colour.
	Top float64
}

// A HeatRow is a row of a heat map. There is a text for each value.
type HeatRow struct {
	Name   string
	Values []float64
	Texts  []string
}

func (Heat) Kind() string { return "heat" }

// Style returns the colours of a cell: from white over orange to dark red.
func (h Heat) Style(row, column int) template.CSS {
	top := h.Top
	if top == 0 {
		for _, r := range h.Rows {
			for _, v := range r.Values {
				if finite(v) {
					top = max(top, v)
				}
			}
		}
	}
	v := h.Rows[row].Values[column]
	if !finite(v) || v <= 0 || top <= 0 {
		return ""
	}
	at := math.Sqrt(min(1, v/top)) // small errors differ, too
	lightness, ink := 97-57*at, "#1f2328"
	if at > .75 {
		ink = "#fff"
	}
	return template.CSS(fmt.Sprintf("background:hsl(%.0f 85%% %.0f%%);color:%s", 45-40*at, lightness, ink))
}
