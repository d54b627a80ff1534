package report

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// hostile is what a name out of a file may be.
const hostile = `</script><script>alert("1")</script>`

func page() Page {
	return Page{Title: "Pages & " + hostile, Parts: []Part{
		Heading("Heading " + hostile),
		Text("Text " + hostile),
		Table{Header: []string{"layer", hostile}, Rows: [][]string{{hostile, "1"}}},
		Chart{
			Title: "Lines", X: Axis{Name: "x"}, Y: Axis{Name: hostile, Log: true},
			Series: []Series{{Name: hostile, X: []float64{1, 2, 3}, Y: []float64{1, math.NaN(), 3}}, {Name: "pair", X: []float64{1}, Y: []float64{2}, Paired: true}},
		},
		Chart{
			Title: "Bars", Bars: true, X: Axis{Labels: []string{"a", hostile}}, Y: Axis{Max: 1},
			Series: []Series{{Name: "one", Y: []float64{.5, math.Inf(1)}}, {Name: "two", Y: []float64{.25, .75}}},
		},
		Heat{Title: "Heat " + hostile, Corner: hostile, Columns: []string{hostile, "b"}, Rows: []HeatRow{
			{Name: hostile, Values: []float64{0, .25}, Texts: []string{hostile, "0.25"}},
		}},
	}}
}

func TestWrite(t *testing.T) {
	var b, again bytes.Buffer
	if err := page().Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := page().Write(&again); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("the same page gives other bytes")
	}
	library, err := echarts()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), string(library)) {
		t.Error("the page lacks the library that draws")
	}
	text := strings.ReplaceAll(b.String(), string(library), "")
	if n := strings.Count(text, "<script"); n != 2 {
		t.Errorf("%d scripts, want the library and the calls", n)
	}
	if strings.Contains(text, `alert("1")`) {
		t.Error("a name is not escaped")
	}
	if m := regexp.MustCompile(`<[^>]+(src|href)=`).FindString(text); m != "" {
		t.Errorf("the page asks for another file: %s", m)
	}
	for _, want := range []string{"<h2>Heading", "<p>Text", "<td>1</td>", `draw("chart3", {`, `draw("chart4", {`, ">0.25</td>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestOption holds what ECharts is given for the points.
func TestOption(t *testing.T) {
	parts := page().Parts
	tests := []struct {
		chart Chart
		axes  [2]string
		kind  string
		data  []any
	}{
		{parts[3].(Chart), [2]string{"value", "log"}, "line", []any{[]any{1., 1.}, "-", []any{3., 3.}}},
		{parts[4].(Chart), [2]string{"category", "value"}, "bar", []any{.5, "-"}},
	}
	for _, test := range tests {
		b, err := json.Marshal(test.chart.Option())
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			XAxis, YAxis []struct {
				Type  string
				Scale bool
			}
			Series []struct {
				Type      string
				Data      []struct{ Value any }
				ItemStyle struct{ Color string }
				LineStyle struct{ Type string }
			}
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if axes := [2]string{got.XAxis[0].Type, got.YAxis[0].Type}; axes != test.axes {
			t.Errorf("%s: axes %v, want %v", test.chart.Title, axes, test.axes)
		}
		if got.YAxis[0].Scale == test.chart.Bars {
			t.Errorf("%s: begins at 0: %t", test.chart.Title, test.chart.Bars)
		}
		var data []any
		for _, d := range got.Series[0].Data {
			data = append(data, d.Value)
		}
		if len(got.Series) != len(test.chart.Series) || got.Series[0].Type != test.kind || !reflect.DeepEqual(data, test.data) {
			t.Errorf("%s: %s", test.chart.Title, b)
		}
		paired := test.chart.Series[1].Paired
		if a, b := got.Series[0], got.Series[1]; (a.ItemStyle == b.ItemStyle) != paired || (b.LineStyle.Type == "dashed") != paired || a.LineStyle.Type == "dashed" {
			t.Errorf("%s: colours and lines %+v and %+v", test.chart.Title, a, b)
		}
	}
}

// TestStyle holds the colours of a heat map: none where there is nothing, and
// the darker the more.
func TestStyle(t *testing.T) {
	h := Heat{Rows: []HeatRow{{Values: []float64{0, -1, math.NaN(), math.Inf(1), .01, .5, 1, 2}}}}
	lightness := func(column int) float64 {
		m := regexp.MustCompile(`hsl\((\d+) \d+% (\d+)%\)`).FindStringSubmatch(string(h.Style(0, column)))
		if m == nil {
			return 100
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	last := 100.0
	for column := range h.Rows[0].Values {
		l := lightness(column)
		if column < 4 && l != 100 || column >= 4 && l >= last {
			t.Errorf("%v: lightness %v after %v", h.Rows[0].Values[column], l, last)
		}
		last = l
	}
	h.Top = 1
	if lightness(6) != lightness(7) {
		t.Error("what is above the top is not coloured as the top")
	}
}

// TestStacks puts the series of bars on one another where that is asked for.
func TestStacks(t *testing.T) {
	for _, stacks := range []bool{false, true} {
		c := Chart{Bars: true, Stacks: stacks, X: Axis{Labels: []string{"a"}}, Series: []Series{{Name: "one", Y: []float64{1}}, {Name: "two", Y: []float64{2}}}}
		b, err := json.Marshal(c.Option())
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Series []struct{ Stack string } }
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if a, b := got.Series[0].Stack, got.Series[1].Stack; a != b || (a != "") != stacks {
			t.Errorf("stacks %v: %q and %q", stacks, a, b)
		}
	}
}
