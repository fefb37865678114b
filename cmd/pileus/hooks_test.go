package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Nobody has to guess why clients are refused: what a core gave instead of a verdict, or
// for an event, is in the log and among the metrics.
func TestNoVerdictIsExplained(t *testing.T) {
	core := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer core.Close()
	n := serving(t, "--config", config(t, "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nadmin: {listen: '127.0.0.1:0'}\n"+
		"hooks: {url: '"+core.URL+"', secret: "+testSecret+"}\n"))
	url, at := "rtmfp://"+n.find(`listening    (127\.0\.0\.1:\d+)/udp`)+"/app", n.find(`admin        (http://127\.0\.0\.1:\d+)/`)
	if c := connects(t, url); c.connected() || !strings.Contains(c.why(), "Connect.Rejected") {
		t.Errorf("204 is no yes: %s", c.why())
	}
	_, metrics := fetch(t, at+"/metrics", "")
	for _, line := range []string{
		`pileus_hook_failures_total{hook="ask",reason="no-verdict"} 1`, `pileus_hook_failures_total{hook="tell",reason="timeout"} 0`,
		`pileus_hook_verdicts_total{verdict="none"} 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	n.end()
	if !strings.Contains(n.banner, `msg="no verdict of the core" reason=no-verdict detail="status 204 and an empty body`) {
		t.Errorf("the log says nothing:\n%s", n.banner)
	}
}
