package peer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pileus/cmd/pileus/flv"
	"pileus/rtmfp/flash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseServer(t *testing.T) {
	for uri, want := range map[string]string{
		"rtmfp://host/app":            "host:1935",
		"rtmfp://host":                "host:1935",
		"rtmfp://host:2935/app/a?b=c": "host:2935",
		"rtmfp://[2001:db8::1]/":      "[2001:db8::1]:1935",
		"rtmfp://127.0.0.1:1/":        "127.0.0.1:1",
		"":                            "",
		"host":                        "",
		"rtmp://host/app":             "",
		"rtmfp:///app":                "",
		"rtmfp://host:65536/":         "",
		"rtmfp://host:0/":             "",
		"rtmfp://user@host/":          "",
		"rtmfp://host/#name":          "",
		"rtmfp://ho st/":              "",
	} {
		s, err := ParseServer(uri)
		if want == "" {
			if err == nil {
				t.Errorf("%q is taken for %v", uri, s)
			}
			continue
		}
		if err != nil || s.String() != want || s.URI != uri {
			t.Errorf("%q: %v %v, want %s", uri, s, err, want)
		}
	}
}

func TestNoAnswerError(t *testing.T) {
	s, err := ParseServer("rtmfp://example.com/app")
	if err != nil {
		t.Fatal(err)
	}
	got := (&NoAnswerError{Server: s, After: 10 * time.Second}).Error()
	if want := "no answer from example.com:1935/udp in 10 s: UDP blocked, wrong host, or node down"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAccess(t *testing.T) {
	listed, other := flash.PeerID{1}, flash.PeerID{2}
	for _, test := range []struct {
		values        []string
		listed, other verdict
	}{
		{nil, yes, yes},
		{[]string{"all"}, yes, yes},
		{[]string{"none"}, no, no},
		{[]string{"none", "none"}, no, no},
		{[]string{"ask"}, ask, ask},
		{[]string{listed.String()}, yes, no},
		{[]string{"ask", strings.ToUpper(listed.String())}, yes, ask},
		{[]string{listed.String(), "ask"}, yes, ask},
		{[]string{"alice"}, no, no}, // but for who has the name
		{[]string{"ask", "alice"}, ask, ask},
	} {
		a, err := ParseAccess(test.values)
		if err != nil || a.judge(listed) != test.listed || a.judge(other) != test.other {
			t.Errorf("%q: %v, listed %d, other %d", test.values, err, a.judge(listed), a.judge(other))
		}
	}
	for _, values := range [][]string{{""}, {"all", "alice"}, {"all", "ask"}, {"all", listed.String()}, {listed.String(), "none"}, {listed.String()[1:]}} {
		if _, err := ParseAccess(values); err == nil {
			t.Errorf("%q is taken", values)
		}
	}
}

func TestParseStream(t *testing.T) {
	id := flash.PeerID{0xab}
	for s, want := range map[string]Stream{
		id.String() + "/cam":                   {Peer: id, Name: "cam"},
		strings.ToUpper(id.String()) + "/a/b/": {Peer: id, Name: "a/b/"},
		"alice/cam":                            {Holder: "alice", Name: "cam"},
		"room/alice/cam":                       {Holder: "room/alice", Name: "cam"},
		"abc/cam":                              {Holder: "abc", Name: "cam"},
		"cam":                                  {},
		"/cam":                                 {},
		"alice/":                               {},
		id.String() + "/":                      {},
		id.String() + "0/cam":                  {},
		id.String()[:32] + "/cam":              {},
		id.String():                            {},
	} {
		got, err := ParseStream(s)
		if (err != nil) != (want == Stream{}) || err == nil && got != want {
			t.Errorf("%q: %+v %v, want %+v", s, got, err, want)
		}
	}
}

func TestPacer(t *testing.T) {
	start := time.Unix(1e9, 0)
	ms := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	var p pacer
	for i, step := range []struct {
		now       int
		timestamp uint32
		due       int // milliseconds after start
	}{
		{0, 4294967000, 0},           // anything is a beginning
		{0, 4294967196, 196},         // 296 before the wrap
		{196, 4, 300},                // across it
		{300, 0, 296},                // a little out of order: not later
		{5000, 104, 400},             // a source that is late is not made later
		{5000, 9704, 10000},          // and catches up
		{10000, 9704 + 10001, 10000}, // a gap no one wants to wait for
		{10000, 9704 + 10101, 10100}, // time goes on from there
		{10100, 500, 10100},          // back to the beginning: a loop
		{10100, 600, 10200},
	} {
		if got := p.due(ms(step.now), step.timestamp); !got.Equal(ms(step.due)) {
			t.Errorf("step %d: due at %v, want %d ms", i, got.Sub(start), step.due)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain, grün":             "plain, grün",
		"two\nlines\x1b[2J\u009b": "two lines [2J ",
		"bad \xff":                "bad ?",
		"right to left \u202eabc": "right to left  abc",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if n := len(clean(strings.Repeat("x", 10000))); n > 510 {
		t.Errorf("%d bytes are let through", n)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"rtmfp://127.0.0.1:1/app": "rtmfp://127.0.0.1:1/app",
		"rtmfp://[::1]/":          "'rtmfp://[::1]/'",
		"":                        "''",
		"a b":                     "'a b'",
		"it's":                    `'it'\''s'`,
	} {
		if got := quote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// plug is a writer that blocks until it is pulled.
type plug struct {
	pulled chan struct{}
	err    error
	n      atomic.Int64
}

func (p *plug) Write(b []byte) (int, error) {
	<-p.pulled
	p.n.Add(int64(len(b)))
	return len(b), p.err
}

type sinkLog struct{ drains, failures chan struct{} }

func (l sinkLog) drained() { l.drains <- struct{}{} }
func (l sinkLog) failed()  { l.failures <- struct{}{} }

func newSinkLog() sinkLog { return sinkLog{make(chan struct{}, 1), make(chan struct{}, 1)} }

func TestSinkHoldsBack(t *testing.T) {
	w, l := &plug{pulled: make(chan struct{})}, newSinkLog()
	s := newSink(w, l)
	data := make([]byte, 1<<20)
	pushed := 1
	for s.push(flv.Tag{Type: flv.Video, Data: data}) {
		if pushed++; pushed > 100 {
			t.Fatal("a stuck writer is given everything")
		}
	}
	if want := sinkHigh>>20 + 1; pushed != want {
		t.Errorf("%d MiB taken, want %d", pushed, want)
	}
	close(w.pulled)
	<-l.drains
	if !s.push(flv.Tag{Type: flv.Video}) {
		t.Error("no room after all was drained")
	}
	s.end()
	<-s.done
	const header, around = 13, 15
	if want := int64(header + pushed<<20 + (pushed+1)*around); w.n.Load() != want {
		t.Errorf("%d bytes were written, want %d", w.n.Load(), want)
	}
}

func TestSinkFails(t *testing.T) {
	full := errors.New("disk full")
	w, l := &plug{pulled: make(chan struct{}), err: full}, newSinkLog()
	close(w.pulled)
	s := newSink(w, l)
	s.push(flv.Tag{Type: flv.Video})
	<-l.failures
	for range 100 {
		s.push(flv.Tag{Type: flv.Video, Data: make([]byte, 1<<20)})
	}
	<-s.done
	if s.broken() != full || len(s.queue) > 0 {
		t.Errorf("%v, %d tags kept", s.broken(), len(s.queue))
	}
}

// A reader that is stuck loses lines, but never stops who tells.
func TestReporterIsNotStopped(t *testing.T) {
	w := &plug{pulled: make(chan struct{})}
	r := newReporter(Report{Text: w})
	for range maxPieces * 4 {
		r.event("x", "0123456789")
	}
	close(w.pulled)
	r.close(nil)
	// What it had in hand when it got stuck comes on top of the queue.
	if n := w.n.Load(); n < maxPieces*11 || n > 2*maxPieces*11+200 {
		t.Errorf("%d bytes were written", n)
	}
	stuck := newReporter(Report{Text: &plug{pulled: w.pulled}})
	hurry := make(chan struct{})
	close(hurry)
	stuck.close(hurry)
	<-stuck.done
}

func TestReporterKeepsProgressOnOneLine(t *testing.T) {
	var text bytes.Buffer
	r := newReporter(Report{Text: &text, Terminal: true})
	r.progress("long progress")
	r.progress("short")
	r.event("x", "news")
	r.progress(strings.Repeat("x", 200))
	r.close(nil)
	if got := shown(text.String()); got != "news" {
		t.Errorf("the terminal shows %q", got)
	}
}

// shown is what a terminal of 80 columns shows in the end.
func shown(s string) string {
	lines, column := [][]byte{nil}, 0
	for _, b := range []byte(s) {
		last := &lines[len(lines)-1]
		switch {
		case b == '\r':
			column = 0
			continue
		case b == '\n' || column == 80:
			lines, column = append(lines, nil), 0
			continue
		case column < len(*last):
			(*last)[column] = b
		default:
			*last = append(*last, b)
		}
		column++
	}
	return strings.TrimSpace(string(bytes.Join(lines, []byte("\n"))))
}

func TestEvents(t *testing.T) {
	var events bytes.Buffer
	r := newReporter(Report{Events: &events})
	r.event("connected", "for people", "rtt_ms", 1500*time.Microsecond, "address", "a\nb")
	r.close(nil)
	var e map[string]any
	if err := json.Unmarshal(events.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	if e["event"] != "connected" || e["rtt_ms"] != 1.5 || e["address"] != "a\nb" || e["level"] != nil || e["time"] == nil {
		t.Errorf("%v", e)
	}
	if n := strings.Count(events.String(), "\n"); n != 1 {
		t.Errorf("one event on %d lines", n)
	}
}

func TestInputError(t *testing.T) {
	for _, test := range []struct {
		err   error
		first bool
		says  string
	}{
		{io.EOF, false, ""},
		{io.EOF, true, "no tags"},
		{io.ErrUnexpectedEOF, true, "before its first tag"},
		{io.ErrUnexpectedEOF, false, "in the middle of a tag"},
		{flv.ErrFormat, false, "not FLV"},
		{&flv.TooLargeError{Size: 9, Limit: 8}, false, "a tag of 9 bytes exceeds the limit of 8"},
		{io.ErrClosedPipe, false, "closed pipe"},
	} {
		err := inputError(test.err, test.first)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%v: %v, want %q", test.err, err, test.says)
		}
	}
}
