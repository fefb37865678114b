package main

import (
	"bytes"
	"runtime"
	"testing"
)

func TestLabRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"lab"},
		{"lab", "foo"},
		{"lab", "up"},
		{"lab", "up", "N4"},
		{"lab", "up", "--site", "N99"},
		{"lab", "up", "--site", "N4", "--loss", "200%"},
		{"lab", "up", "--sight", "N4"},
		{"lab", "exec"},
		{"lab", "exec", "N4"},
		{"lab", "down", "N4"},
		{"lab", "matrix", "--site", "N99"},
		{"lab", "matrix", "--tries", "0"},
		{"lab", "matrix", "--from", "N4"},
		{"lab", "matrix", "--site", "N4", "--pileus", "x", "--peer", "x", "--retry", "1s"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, &stdout, &stderr)
		if runtime.GOOS != "linux" && code == exitUnsure {
			continue
		}
		if code != exitUsage || stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("%v: exit %d, said %q and %q", args, code, stdout.String(), stderr.String())
		}
	}
}

func TestShare(t *testing.T) {
	for s, want := range map[string]float64{"": 0, "10%": 0.1, "0.1": 0.1, "1": 1, "100%": 1} {
		if got, err := share(s); err != nil || got != want {
			t.Errorf("%q is %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"%", "-1%", "10", "ten"} {
		if _, err := share(s); err == nil {
			t.Errorf("%q is a share", s)
		}
	}
}
