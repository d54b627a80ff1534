// Package report writes results as a page for a browser: text, tables and
// charts in one HTML file, which needs no other file and no network.
//
// Charts are described with go-echarts and drawn by Apache ECharts, which is
// embedded. Whatever a page is given, such as names out of a model file, is
// escaped where it stands.
package report

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"html/template"
	"io"
	"sync"
)

var (
	//go:embed page.html.tmpl
	pageText     string
	pageTemplate = template.Must(template.New("page").Parse(pageText))

	//go:embed echarts.common.min.js.gz
	echartsZipped []byte
)

// echarts inflates the library that draws.
var echarts = sync.OnceValues(func() (template.JS, error) {
	r, err := gzip.NewReader(bytes.NewReader(echartsZipped))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return template.JS(text), err
})

// A Page is parts below one another.
type Page struct {
	Title string
	Parts []Part
}

// A Part is a [Heading], a [Text], a [Table], a [Heat] or a [Chart].
type Part interface {
	// Kind tells the template which of them.
	Kind() string
}

// A Heading begins a section.
type Heading string

// A Text is a paragraph.
type Text string

// A Table has cells row by row. Columns but the first are aligned right, as
// numbers are, unless it is of words.
type Table struct {
	Header []string
	Rows   [][]string
	Words  bool
}

func (Heading) Kind() string { return "heading" }
func (Text) Kind() string    { return "text" }
func (Table) Kind() string   { return "table" }
func (Chart) Kind() string   { return "chart" }

// Write writes the page as HTML. The same page gives the same bytes.
func (p Page) Write(w io.Writer) error {
	script, err := echarts()
	if err != nil {
		return err
	}
	return pageTemplate.Execute(w, struct {
		Page
		ECharts template.JS
	}{p, script})
}
