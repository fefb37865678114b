package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"pileus/cmd/natprobe/pair"
)

const pairSchema = "pair/pair.schema.json"

// waiting is a first side, and the code that it told.
type waiting struct {
	code      string
	out, errs said
	interrupt context.CancelFunc
	ended     chan int
}

func startPair(t *testing.T, args ...string) *waiting {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &waiting{interrupt: cancel, ended: make(chan int, 1)}
	go func() { w.ended <- run(ctx, append([]string{"pair"}, args...), &w.out, &w.errs) }()
	w.code = w.errs.after(t, "the code is ")
	return w
}

func (w *waiting) end(t *testing.T) int {
	t.Helper()
	select {
	case code := <-w.ended:
		return code
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end: %s", &w.errs)
		return 0
	}
}

func TestPairCommand(t *testing.T) {
	t.Parallel()
	node := startHere(t).String()
	w := startPair(t, "--server", node, "--time", "300ms", "--json")
	if other := pair.NewCode().String(); other != w.code {
		code, out, errs := call(t, "pair", "--server", node, "--code", other)
		if code != exitUnsure || out != "" || !strings.Contains(errs, "nobody waits with the code "+other) {
			t.Errorf("another code: exit %d: %s%s", code, out, errs)
		}
	}
	code, out, errs := call(t, "pair", "--server", node, "--code", strings.ToLower(w.code), "--time", "300ms", "--json")
	if here := w.end(t); code != exitDirect || here != exitDirect {
		t.Fatalf("exit %d and %d: %s%s", code, here, errs, &w.errs)
	}
	for _, text := range []string{out, w.out.String()} {
		conforms(t, pairSchema, text)
		if r := decode[pair.Report](t, text); r.Path != pair.Direct || r.Out.Sent == 0 || r.In.Received == 0 || r.RTT.Count == 0 {
			t.Errorf("%+v", r)
		}
	}
	code, _, errs = call(t, "pair", "--server", node, "--code", w.code)
	if code != exitUnsure || !strings.Contains(errs, "used already") {
		t.Errorf("the code again: exit %d: %s", code, errs)
	}
}

// Who is interrupted takes the code along.
func TestPairInterrupted(t *testing.T) {
	t.Parallel()
	node := startHere(t).String()
	w := startPair(t, "--server", node)
	w.interrupt()
	if code := w.end(t); code != exitUnsure || !strings.Contains(w.errs.String(), "the code is void") || w.out.String() != "" {
		t.Errorf("exit %d: %s%s", code, &w.out, &w.errs)
	}
	code, _, errs := call(t, "pair", "--server", node, "--code", w.code)
	if code != exitUnsure || !strings.Contains(errs, "nobody waits") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestPairRefuses(t *testing.T) {
	swapped := []byte(pair.NewCode().String())
	swapped[0] ^= 1
	for args, says := range map[string]string{
		"":                                             "--server is missing",
		"--server 127.0.0.1 K7QF3-M2XDT":               "did you mean --code",
		"--server 127.0.0.1 --code 1":                  "is no code",
		"--server 127.0.0.1 --rate 1gbit":              "at most",
		"--server 127.0.0.1 --time 2m":                 "at most",
		"--server 127.0.0.1:x":                         "no port",
		"--server 127.0.0.1 --code " + string(swapped): "",
	} {
		code, out, errs := call(t, append([]string{"pair"}, strings.Fields(args)...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, says) {
			t.Errorf("%s: exit %d: %s%s", args, code, out, errs)
		}
	}
}
