package report

import (
	"math"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"
)

// A Chart shows series as lines, or as bars in groups.
type Chart struct {
	Title  string
	X, Y   Axis
	Bars   bool
	Stacks bool // of bars: the series on one another
	Tall   bool
	Series []Series
}

// An Axis is a scale. That of X has labels or numbers, that of Y numbers.
type Axis struct {
	Name   string   // with its unit
	Labels []string // of the places along X that Series.Y has values for; none for numbers
	Log    bool     // of numbers that are positive
	// Min and Max are where numbers begin and end; where both are 0, the values
	// decide.
	Min, Max float64
}

// A Series is points of one kind. One that is not finite is left out.
type Series struct {
	Name   string
	X, Y   []float64 // X is not looked at where the axis has labels
	Paired bool      // has the colour of the series before, and its line is dashed
	Dashed bool      // of lines
	Points bool      // larger, and without a line between
}

// colors are clear of white, and of each other for most who do not see all
// colours.
//
// Source: Okabe, Ito, Color Universal Design, 2008, without black and yellow.
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"}

// Option describes the chart to ECharts.
func (c Chart) Option() map[string]any {
	global := []charts.GlobalOpts{
		charts.WithAnimation(false),
		charts.WithLegendOpts(opts.Legend{Type: "scroll", Top: "0", ItemWidth: 40}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "axis"}),
		charts.WithGridOpts(opts.Grid{Left: "75", Right: "30", Top: "40", Bottom: "60"}),
		charts.WithXAxisOpts(c.X.x()),
		charts.WithYAxisOpts(c.Y.y(c.Bars)),
	}
	color := -1
	style := func(s Series) (all, line charts.SeriesOpts) {
		kind, width := "solid", float32(2)
		if s.Dashed || s.Paired && color >= 0 {
			kind = "dashed"
		}
		if s.Points {
			width = 0
		}
		if !s.Paired || color < 0 {
			color++
		}
		of := colors[color%len(colors)]
		return charts.WithItemStyleOpts(opts.ItemStyle{Color: of}), charts.WithLineStyleOpts(opts.LineStyle{Color: of, Type: kind, Width: width})
	}
	if c.Bars {
		chart := charts.NewBar()
		var stack string
		if c.Stacks {
			stack = "all"
			global = append(global, charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "item"}))
		}
		chart.SetGlobalOptions(global...)
		chart.SetXAxis(c.X.Labels)
		for _, s := range c.Series {
			var data []opts.BarData
			for _, v := range c.values(s) {
				data = append(data, opts.BarData{Value: v})
			}
			all, _ := style(s)
			chart.AddSeries(s.Name, data, all, charts.WithBarChartOpts(opts.BarChart{Stack: stack}))
		}
		chart.Validate()
		return chart.JSON()
	}
	chart := charts.NewLine()
	chart.SetGlobalOptions(global...)
	if c.X.Labels != nil {
		chart.SetXAxis(c.X.Labels)
	}
	for _, s := range c.Series {
		var data []opts.LineData
		for _, v := range c.values(s) {
			data = append(data, opts.LineData{Value: v})
		}
		all, line := style(s)
		size := 4
		if s.Points {
			size = 12
		}
		chart.AddSeries(s.Name, data, charts.WithLineChartOpts(opts.LineChart{ShowSymbol: opts.Bool(true), SymbolSize: size}), all, line)
	}
	chart.Validate()
	return chart.JSON()
}

// values returns the points of a series as ECharts takes them.
func (c Chart) values(s Series) []any {
	var values []any
	for i, y := range s.Y {
		switch {
		case !finite(y) || c.X.Labels == nil && !finite(s.X[i]):
			values = append(values, "-") // how ECharts writes a gap
		case c.X.Labels == nil:
			values = append(values, []float64{s.X[i], y})
		default:
			values = append(values, y)
		}
	}
	return values
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (a Axis) x() opts.XAxis {
	kind, low, high := a.scale()
	return opts.XAxis{Type: kind, Name: a.Name, NameLocation: "center", NameGap: 32, Scale: opts.Bool(true), Min: low, Max: high}
}

// y is the scale of heights, which begins at 0 where they are those of bars.
func (a Axis) y(bars bool) opts.YAxis {
	kind, low, high := a.scale()
	return opts.YAxis{Type: kind, Name: a.Name, NameLocation: "center", NameGap: 55, Scale: opts.Bool(!bars), Min: low, Max: high}
}

// scale returns the kind of the axis, and where it begins and ends: nil where
// the values decide.
func (a Axis) scale() (kind string, low, high any) {
	if a.Min != 0 || a.Max != 0 {
		low, high = a.Min, a.Max
	}
	switch {
	case a.Labels != nil:
		return "category", nil, nil
	case a.Log:
		return "log", low, high
	}
	return "value", low, high
}
