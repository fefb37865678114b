package main

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pileus/natprobe"
	"pileus/natprobe/report"
)

// `natprobe run --json > file` of PowerShell writes UTF-16, editors a byte order mark: what was measured is the same.
func TestReportsOfOtherSystems(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	obs := []natprobe.Observation{{
		Kind: natprobe.KindObserved, Via: natprobe.ViaBinding, At: now,
		Node: netip.MustParseAddrPort("203.0.113.1:3478"), Seen: netip.MustParseAddrPort("198.51.100.1:1"),
	}}
	text, err := json.Marshal(report.Report{Schema: report.Schema, Record: report.Record{Runs: []report.Run{{Observations: obs}}}})
	if err != nil {
		t.Fatal(err)
	}
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(string(text) + "\r\n")) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	file := filepath.Join(t.TempDir(), "r.json")
	run := func(content []byte, args ...string) (int, string, string) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return call(t, args...)
	}
	for _, args := range [][]string{{"classify", file}, {"predict", "--from", file}, {"predict", "--from", file, "--to", file}} {
		code, out, errs := run(text, args...)
		if out == "" {
			t.Fatalf("%q: exit %d, %s", args, code, errs)
		}
		for name, content := range map[string][]byte{"UTF-16": wide, "a mark": append([]byte("\xef\xbb\xbf"), text...)} {
			if c, o, errs := run(content, args...); c != code || o != out {
				t.Errorf("%q of %s: exit %d, want %d: %s%s", args, name, c, code, o, errs)
			}
		}
		_, _, errs = run([]byte("\x7fELF\x02\x01\x01\x00"), args...)
		if !strings.Contains(errs, "is no text: ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q of a program: %q", args, errs)
		}
	}
}
