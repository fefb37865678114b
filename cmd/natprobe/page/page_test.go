package page

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/cmd/natprobe/predict"
	"pileus/natprobe/report"
)

var update = flag.Bool("update", false, "write the golden file")

const golden = "testdata/report.html"

func written(t *testing.T, change func(*report.Record)) string {
	t.Helper()
	b, err := os.ReadFile("../../../natprobe/report/testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	change(&r.Record)
	var out bytes.Buffer
	if err := Write(&out, report.New(r.Record, r.End(), predict.Reach)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	got := written(t, func(*report.Record) {})
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("if that is right, go test -update: %s", diff)
	}
}

// The page needs nothing else, its picture is XML, and what others sent is text.
func TestSelfContained(t *testing.T) {
	got := written(t, func(r *report.Record) { r.Trace[1].Text = `<script>alert("x")</script>` })
	if m := regexp.MustCompile(`(src|href)=|@import|url\(|<script`).FindString(got); m != "" {
		t.Errorf("the page has %q", m)
	}
	svg := got[strings.Index(got, "<svg") : strings.Index(got, "</svg>")+len("</svg>")]
	if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
		t.Error(err)
	}
	if n := strings.Count(svg, "<polygon"); n != 2 {
		t.Errorf("%d packets are drawn", n)
	}
}

// Long traces are cut, and the page says so.
func TestManyPackets(t *testing.T) {
	got := written(t, func(r *report.Record) {
		for len(r.Trace) < maxRows+7 {
			r.Trace = append(r.Trace, r.Trace[0])
		}
	})
	if n := strings.Count(got, "<polygon"); n != maxRows || !strings.Contains(got, "The last 7 are not shown") {
		t.Errorf("%d packets are drawn", n)
	}
	if strings.Contains(written(t, func(r *report.Record) { r.Trace = nil }), "<svg") {
		t.Error("a picture of nothing")
	}
}
