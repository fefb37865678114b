package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDemoCommand(t *testing.T) {
	code, stdout, stderr := command(t, "demo")
	if code != exitOK || stderr != "" || !strings.Contains(stdout, "All went as expected.") || !strings.Contains(stdout, "predict") || !strings.Contains(stdout, " kbit/s of 1000 kbit/s, queue ") {
		t.Errorf("exit %d, stderr %q:\n%s", code, stderr, stdout)
	}
	for line := range strings.Lines(stdout) {
		if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") || len([]rune(line)) > 101 {
			t.Errorf("an untidy line: %q", line)
		}
	}

	code, stdout, stderr = command(t, "demo", "--json", "--delay", "5ms")
	if code != exitOK || stderr != "" {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	events := make(map[string]int)
	var last map[string]any
	for line := range strings.Lines(stdout) {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events[last["event"].(string)]++
	}
	if events["classified"] != 7 || events["met"] != 21 || events["limited"] != 1 || events["end"] != 1 || last["ok"] != true {
		t.Errorf("events %v, the last %v", events, last)
	}
	for _, args := range []string{"--delay 0s", "--delay 1s", "now"} {
		if code, _, stderr := command(t, append([]string{"demo"}, strings.Fields(args)...)...); code != exitUsage || !strings.Contains(stderr, "demo --help") {
			t.Errorf("demo %s: exit %d, %q", args, code, stderr)
		}
	}
}
