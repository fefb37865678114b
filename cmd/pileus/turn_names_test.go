package main

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pileus/relay/turn"
)

// The log has one line a minute of each mistake, however many clients make it, and no long names.
func TestNameFlawsAreToldSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		n := newNameFlaws(slog.New(slog.NewTextHandler(&text, nil)))
		for range 3 * 60 {
			n.tell("1.5:"+strings.Repeat("x", 500)+"\n", turn.FlawNoTime)
			n.tell("1767222000000:carol", turn.FlawFar)
			n.tell("1:carol", turn.FlawExpired)
			time.Sleep(time.Second)
		}
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		if len(lines) != 6 || strings.Contains(text.String(), "=1:carol") || strings.Contains(text.String(), strings.Repeat("x", 100)) {
			t.Errorf("%d lines:\n%s", len(lines), &text)
		}
	})
}

// Who makes names by a division of milliseconds finds the mistake in the client's error, the node's log and
// its metrics; who has an expired one is told so.
func TestServeExplainsTURNNames(t *testing.T) {
	const secret = "0123456789abcdef"
	p := free(t, 1)
	n := serving(t, "--config", config(t, "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {ports: off, extra: []}\nstun: {ports: []}\nadmin: {listen: '127.0.0.1:0'}\n"+
		"turn: {listen: ["+p[0]+"], secrets: ["+secret+"]}\n"))
	in := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	for name, want := range map[string]string{
		in(time.Hour) + ".042:carol": "whole Unix seconds",
		in(-time.Hour) + ":carol":    "expired",
	} {
		_, err := allocation(t, "127.0.0.1:"+p[0], name, turn.Password(secret, name))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	_, metrics := fetch(t, n.find(`admin        (http://127\.0\.0\.1:\d+)/`)+"/metrics", "")
	for _, line := range []string{`pileus_turn_flawed_names_total{flaw="no_time"} 1`, `pileus_turn_flawed_names_total{flaw="expired"} 1`, `pileus_turn_flawed_names_total{flaw="far"} 0`} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if n.end(); !strings.Contains(n.banner, ".042:carol") || !strings.Contains(n.banner, "whole Unix seconds") {
		t.Errorf("the log says nothing:\n%s", n.banner)
	}
}
