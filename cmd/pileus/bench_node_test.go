package main

import (
	"encoding/json"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"pileus/cmd/pileus/bench"
)

func TestBenchNodeRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":                                       "no server: name it with --server HOST:PORT",
		"--server 192.0.2.1:1935":                "--allow-remote",
		"--server nowhere":                       `"nowhere" is not HOST:PORT`,
		"--server 127.0.0.1:1935 --only idel":    `no measurement "idel": there are session-2`,
		"--server 127.0.0.1:1935 --peers 100000": "peers 100000: must be 1 to 30000",
		"--server 127.0.0.1:1935 --sources 127":  "--sources: ",
		"--server 127.0.0.1:1935 1936":           "takes no argument",
	} {
		code, stdout, stderr := command(t, append([]string{"bench", "node"}, strings.Fields(args)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("bench node %s: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
}

// The simulated peers connect to our own node and are introduced.
func TestBenchNode(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("bench needs Linux")
	}
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	// The race detector makes a relay for each of a thousand pairs a second too much
	// for a small machine; here the load is what is tested.
	server := liveNode(t, "--relay-ports", "", "--probe-ports", "")
	code, stdout, stderr := command(t, "bench", "node", "--server", server, "--pid", strconv.Itoa(os.Getpid()),
		"--seconds", "1", "--only", "session-14", "--only", "connect-2", "--only", "introduce", "--only", "answer", "--json")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	n := 0
	for line := range strings.Lines(stdout) {
		n++
		var r bench.Result
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Error != "" || len(r.Values) == 0 {
			t.Errorf("%s %v", line, err)
		}
		for _, v := range r.Values {
			switch v.Name {
			case "opened", "answered", "redirected", "forwarded":
				if v.Value < 95 {
					t.Errorf("%s: %s %.1f %s", r.Measurement, v.Name, v.Value, v.Unit)
				}
			case "cpu":
				if v.Value <= 0 {
					t.Errorf("%s: no CPU time", r.Measurement)
				}
			}
		}
	}
	if n != 4 {
		t.Errorf("%d results:\n%s", n, stdout)
	}
}
