package bench

import (
	"cmp"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/template"
)

//go:embed chart.svg.tmpl
var chartTemplate string

// networkChart is what the template draws, in the units of its view box.
type networkChart struct {
	Width, Height         int
	Left, Right, LabelX   int
	Title, Subtitle, Desc string
	Ticks                 []chartTick
	Groups                []chartGroup
	Series                []chartSeries
	NameY, KeyY, KeyTextY int
	GoalKey, GoalKeyEnd   int // 0 where no bar has a goal
	GoalKeyText, GoalKeyY int
}

// A chartTick is a line across the chart.
type chartTick struct{ Class, Y, TextY, Label string }

// A chartGroup is a network.
type chartGroup struct {
	Name string
	MidX string
	Bars []chartBar
}

// A chartBar is a variant of a network.
type chartBar struct {
	Index                          int // of its series
	X, Y, W, H, MidX, EndX, LabelY string
	Label, Tip                     string
	Goal                           bool
	GoalY                          string
}

// A chartSeries is a variant in the key.
type chartSeries struct {
	Index       int
	Name, Color string
	X, TextX    int
}

// The chart's measures.
const (
	chartWidth, chartHeight = 960, 400
	chartLeft, chartRight   = 44, 948
	chartTop, chartBottom   = 64, 326
	keyGap, letter          = 34, 7 // of the key's entries, and roughly of a character
)

// seriesColors are each clear of white and of black.
var seriesColors = []string{"#6e7781", "#afb8c1", "#80ccff", "#54aeff", "#218bff", "#0969da", "#8250df", "#e16f24", "#bf3989"}

// engineNames are how engines write themselves.
var engineNames = map[string]string{"onnxruntime": "ONNX Runtime"}

// DrawNetworks draws what our engine gains over the first peer, on one thread,
// as bars in groups: SVG that is legible on a light and on a dark page. The
// same reports give the same bytes.
func DrawNetworks(w io.Writer, reports []*NetworkReport) error {
	c, err := newNetworkChart(reports)
	if err != nil {
		return err
	}
	return template.Must(template.New("chart").Parse(chartTemplate)).Execute(w, c)
}

func newNetworkChart(reports []*NetworkReport) (*networkChart, error) {
	var variants []string
	var peer string
	groups, bars, largest := 0, 0, 1.0
	for _, r := range reports {
		n := 0
		for _, l := range r.Cells {
			if l.Engine != ours {
				if peer == "" {
					peer = strings.TrimSpace(cmp.Or(engineNames[l.Engine], l.Engine) + " " + l.Version)
				}
				continue
			}
			if !l.drawn() {
				continue
			}
			n++
			largest = max(largest, l.RatioPeer, l.Goal)
			if !slices.Contains(variants, l.Variant) {
				variants = append(variants, l.Variant)
			}
		}
		if n > 0 {
			groups, bars = groups+1, bars+n
		}
	}
	if bars == 0 {
		return nil, errors.New("no network was measured on one thread beside another engine: there is nothing to draw")
	}
	c := &networkChart{
		Width: chartWidth, Height: chartHeight, Left: chartLeft, Right: chartRight, LabelX: chartLeft - 6,
		Title:    escape("Times as fast as " + peer + " on the unpruned network"),
		Subtitle: escape(fmt.Sprintf("ratio of median latencies, one thread, fp32, %s, batch %d; higher is faster", reports[0].ISA, reports[0].Batch)),
		NameY:    chartBottom + 18, KeyY: chartBottom + 40, KeyTextY: chartBottom + 50,
	}
	step := tickStep(largest)
	top := math.Ceil(largest/step) * step
	y := func(v float64) float64 { return chartBottom - v/top*(chartBottom-chartTop) }
	for v := 0.0; v <= top+step/2; v += step {
		c.Ticks = append(c.Ticks, chartTick{"line", coordinate(y(v)), coordinate(y(v) + 4), fmt.Sprintf("%gx", v)})
	}
	c.Ticks = append(c.Ticks, chartTick{Class: "one", Y: coordinate(y(1)), TextY: coordinate(y(1) + 4)})

	slot := float64(chartRight-chartLeft) / (float64(bars) + float64(groups)) // a bar's, with one between groups
	x := chartLeft + slot/2
	goals := false
	var said []string
	for _, r := range reports {
		g := chartGroup{Name: escape(r.Network)}
		first := x
		var values []string
		for _, l := range r.Cells {
			if l.Engine != ours || !l.drawn() {
				continue
			}
			width := min(slot-1, 40)
			left := x + (slot-width)/2
			b := chartBar{
				Index: slices.Index(variants, l.Variant), X: coordinate(left), EndX: coordinate(left + width), MidX: coordinate(left + width/2),
				W: coordinate(width), Y: coordinate(y(l.RatioPeer)), H: coordinate(chartBottom - y(l.RatioPeer)),
				LabelY: coordinate(y(l.RatioPeer) - 3), Label: fmt.Sprintf("%.1f", l.RatioPeer),
				Tip:  escape(fmt.Sprintf("%s, %s: %.2fx, %.2f ms", r.Network, variantName(l.Variant), l.RatioPeer, l.P50)),
				Goal: l.Goal > 0, GoalY: coordinate(y(l.Goal)),
			}
			goals = goals || b.Goal
			g.Bars = append(g.Bars, b)
			values = append(values, fmt.Sprintf("%s %.2f", variantName(l.Variant), l.RatioPeer))
			x += slot
		}
		if len(g.Bars) == 0 {
			continue
		}
		g.MidX = coordinate((first + x) / 2)
		x += slot
		c.Groups = append(c.Groups, g)
		said = append(said, r.Network+": "+strings.Join(values, ", "))
	}
	c.Desc = escape("Bars for each network. " + strings.Join(said, "; ") + ".")
	at := chartLeft
	for i, v := range variants {
		s := chartSeries{Index: i, Name: escape(variantName(v)), Color: seriesColors[i%len(seriesColors)], X: at, TextX: at + 16}
		c.Series = append(c.Series, s)
		at += keyGap + letter*len([]rune(variantName(v)))
	}
	if goals {
		c.GoalKey, c.GoalKeyEnd, c.GoalKeyText, c.GoalKeyY = at, at+12, at+16, c.KeyY+6
	}
	return c, nil
}

// maxDrawn is beyond any ratio that was ever measured.
const maxDrawn = 1e6

// drawn reports whether the chart has a bar for a cell of ours.
func (c NetworkCell) drawn() bool {
	return c.Threads == 1 && c.RatioPeer > 0 && c.RatioPeer <= maxDrawn && c.Goal <= maxDrawn
}

// variantName says what zeros a variant has: "90 %" for 0.9.
func variantName(v string) string {
	var f float64
	fraction, block, blocks := strings.Cut(v, ":")
	if n, err := fmt.Sscanf(fraction, "%g", &f); n != 1 || err != nil || f >= 1 || v == denseVariant {
		return v
	}
	name := fmt.Sprintf("%g %%", 100*f)
	if blocks {
		name += ", " + block
	}
	return name
}

// tickStep returns a round distance of ticks, of which there are some five to
// ten.
func tickStep(largest float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(largest/2)))
	for _, f := range []float64{1, 2, 5, 10} {
		if largest/(f*step) <= 10 {
			return f * step
		}
	}
	return 10 * step
}

// coordinate writes a coordinate to a tenth.
func coordinate(v float64) string { return fmt.Sprintf("%.1f", v) }

// escape makes text fit for XML.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
