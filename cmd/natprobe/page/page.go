// Package page writes a report as one HTML page that needs nothing else: with a
// picture of what was sent where.
package page

import (
	_ "embed"
	"html/template"
	"io"

	"pileus/cmd/natprobe/predict"
	"pileus/natprobe/report"
)

//go:embed page.html
var text string

var page = template.Must(template.New("page").Parse(text))

// content is what the template shows.
type content struct {
	Report  report.Report
	Tone    string // of the verdict: yes, no or unknown
	When    string
	Lines   []report.Line
	Meets   []predict.Cell
	Kinds   map[string]string
	Picture *picture
}

// Write writes the page.
func Write(w io.Writer, r report.Report) error {
	c := content{Report: r, Tone: r.Direct.String(), Lines: r.Lines(), Kinds: make(map[string]string), Picture: draw(r.Trace)}
	if end := r.End(); !end.IsZero() {
		c.When = end.UTC().Format("2 January 2006, 15:04 UTC")
	}
	if r.Seen.IsValid() {
		peers := predict.Peers()
		c.Meets = predict.Matrix(predict.Of("here", r))[:len(peers)]
		for _, p := range peers {
			c.Kinds[p.Name] = p.Text
		}
	}
	return page.Execute(w, c)
}
