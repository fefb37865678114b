package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pileus/cmd/internal/program"
	"pileus/natprobe"
	"pileus/natprobe/report"
)

// home is the report of a home router with an address.
func home(public string, m natprobe.Mapping, f natprobe.Filtering) report.Report {
	r := report.Report{
		Schema: report.Schema, Verdict: "home router", Direct: natprobe.Yes, Class: natprobe.PortRestricted,
		Seen: netip.AddrPortFrom(netip.MustParseAddr(public), 40000), Local: netip.MustParseAddrPort("192.168.1.2:40000"),
		Behavior: natprobe.Behavior{Mapping: m, Filtering: f},
	}
	if m == natprobe.MappingUnknown {
		r.Class, r.Direct = natprobe.ClassUnknown, natprobe.Unknown
	}
	return r
}

// A watch goes on whatever a test comes to, says when what changed, and that nothing did,
// and what there was in all.
func TestWatch(t *testing.T) {
	steady := home("198.51.100.1", natprobe.EIM, natprobe.APDF)
	blind := home("198.51.100.1", natprobe.MappingUnknown, natprobe.FilteringUnknown)
	noUDP := report.Report{Verdict: "no UDP: 192.0.2.1:3478 did not answer any of 7 requests", NoUDP: true, Direct: natprobe.No}
	away := failed(errors.New("no route to 192.0.2.1:3478: connect: network is unreachable"))
	type test struct {
		r   report.Report
		err error
	}
	for name, c := range map[string]struct {
		tests []test
		wants []string // lines without their time stamps; the first report is a line here
		code  int
	}{
		"nothing changes": {
			[]test{{steady, nil}, {steady, nil}},
			[]string{"first test", "REPORT home router", "no change: port-restricted, seen as 198.51.100.1", "2 tests in 10s, 2 answered; 0 changes"},
			exitDirect,
		},
		"the network is away": {
			[]test{{steady, nil}, {report.Report{}, away}, {noUDP, nil}, {steady, nil}},
			[]string{
				"first test", "REPORT home router", "not measured: no route to 192.0.2.1:3478: connect: network is unreachable",
				"no UDP: 192.0.2.1:3478 did not answer any of 7 requests", "answered again, after 20s",
				"4 tests in 30s, 2 answered; 0 changes; no answer 1 time, 20s in all",
			},
			exitDirect,
		},
		"it comes back with another address": {
			[]test{{steady, nil}, {report.Report{}, away}, {home("198.51.100.9", natprobe.EIM, natprobe.APDF), nil}},
			[]string{
				"first test", "REPORT home router", "not measured: ", "answered again, after 10s", "public address: 198.51.100.9, was 198.51.100.1",
				"3 tests in 20s, 2 answered; 1 change; no answer 1 time, 10s in all",
			},
			exitDirect,
		},
		"it is away at first": {
			[]test{{report.Report{}, away}, {steady, nil}, {steady, nil}},
			[]string{
				"first test", "REPORT not measured: no route", "answered again, after 10s", "home router", "no change: port-restricted, seen as 198.51.100.1",
				"3 tests in 20s, 2 answered; 0 changes; no answer 1 time, 10s in all",
			},
			exitDirect,
		},
		"it is away at last": {
			[]test{{steady, nil}, {report.Report{}, away}, {noUDP, nil}},
			[]string{"first test", "REPORT home router", "not measured: ", "no UDP: ", "3 tests in 20s, 1 answered; 0 changes; no answer 1 time, 10s in all"},
			exitNoUDP,
		},
		"a test that did not find out": {
			[]test{{steady, nil}, {blind, nil}, {home("198.51.100.1", natprobe.APDM, natprobe.APDF), nil}},
			[]string{
				"first test", "REPORT home router", "no change: unknown, seen as 198.51.100.1",
				"mapping: APDM, was EIM", "3 tests in 20s, 3 answered; 1 change",
			},
			exitDirect,
		},
		"a wrong command line": {
			[]test{{report.Report{}, usage("--bind: nonsense")}}, nil, exitUsage,
		},
		"a command line that is wrong later": {
			[]test{{steady, nil}, {report.Report{}, usage("--bind: eth0 has no address")}, {steady, nil}},
			[]string{"first test", "REPORT home router", "not measured: --bind: eth0 has no address", "answered again, after 10s", "3 tests in 20s, 2 answered"},
			exitDirect,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out, errs bytes.Buffer
				n := 0
				w := watcher{out: &out, errs: &errs, every: minEvery, times: len(c.tests)}
				w.measure = func() (report.Report, error) {
					n++
					return c.tests[n-1].r, c.tests[n-1].err
				}
				w.first = func(r report.Report) error {
					out.WriteString("REPORT " + r.Verdict + "\n")
					return nil
				}
				w.files = func(report.Report) error { return nil }
				code := codeOf(w.run(t.Context()))
				if code != c.code {
					t.Errorf("exit %d, want %d", code, c.code)
				}
				stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  `)
				lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
				if out.Len() == 0 {
					lines = nil
				}
				if len(lines) != len(c.wants) {
					t.Fatalf("%q\nwant %q", lines, c.wants)
				}
				for i, l := range lines {
					text := stamp.ReplaceAllString(l, "")
					if !strings.HasPrefix(text, c.wants[i]) || text == l && !strings.HasPrefix(l, "REPORT") {
						t.Errorf("%q, want %q", l, c.wants[i])
					}
				}
				if strings.Contains(out.String(), "invalid") || errs.Len() > 0 {
					t.Errorf("%s%s", &out, &errs)
				}
			})
		})
	}
}

// codeOf is how the program would end.
func codeOf(err error) int {
	var exit *program.ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return 0
}

// Ctrl-C ends a watch between two tests and in the middle of one, which is then left out.
func TestWatchInterrupted(t *testing.T) {
	for _, within := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var out bytes.Buffer
			n := 0
			w := watcher{out: &out, errs: &out, every: minEvery, files: func(report.Report) error { return nil }, first: func(report.Report) error { return nil }}
			w.measure = func() (report.Report, error) {
				if n++; n == 3 && within {
					cancel()
					return report.Report{}, failed(context.Canceled)
				}
				return home("198.51.100.1", natprobe.EIM, natprobe.APDF), nil
			}
			if !within {
				time.AfterFunc(15*time.Second, cancel)
			}
			code := codeOf(w.run(ctx))
			if code != exitDirect || !strings.Contains(out.String(), "  2 tests in ") || strings.Contains(out.String(), "not measured") {
				t.Errorf("exit %d: %s", code, &out)
			}
		})
	}
}

// A file that cannot be written later on is told, and no end.
func TestWatchFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, errs bytes.Buffer
		n := 0
		w := watcher{out: &out, errs: &errs, every: minEvery, times: 3, first: func(report.Report) error { return nil }}
		w.measure = func() (report.Report, error) { return home("198.51.100.1", natprobe.EIM, natprobe.APDF), nil }
		w.files = func(report.Report) error {
			if n++; n == 2 {
				return errors.New("no space left on device")
			}
			return nil
		}
		if code := codeOf(w.run(t.Context())); code != exitDirect || n != 3 || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("exit %d after %d tests: %s", code, n, &errs)
		}
		n = 1
		w = watcher{out: &out, errs: &errs, every: minEvery, times: 3, first: w.first, measure: w.measure, files: w.files}
		if code := codeOf(w.run(t.Context())); code != exitUnsure || n != 2 {
			t.Errorf("at first: exit %d after %d tests", code, n-1)
		}
	})
}
