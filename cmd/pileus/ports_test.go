package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pileus/configs"
	"pileus/rtmfp/udp"
)

// taken holds a UDP port on loopback.
func taken(t *testing.T, port uint16) uint16 {
	t.Helper()
	c, err := udp.Listen(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), udp.Options{})
	if err != nil {
		return port // somebody else holds it
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().Port()
}

// Nobody asked for the default ports, so a node runs without them: one line for
// all that one reason took.
func TestServeLeavesOutBusyDefaultPorts(t *testing.T) {
	r := configs.Default().Probe.Ports
	for p := r.First; p <= r.Last; p++ {
		taken(t, p)
	}
	n := serving(t, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	n.find(`level=WARN msg="ports left out" key=probe\.ports sockets=(8) first=127\.0\.0\.1:1936 last=127\.0\.0\.1:1943 error="address already in use"\n`)
	n.find(`probes       (none)\n`)
	at := n.find(`admin        (http://127\.0\.0\.1:\d+)/console`)
	if _, body := fetch(t, at+"/metrics", ""); !strings.Contains(body, `pileus_sockets{for="probe",state="left_out"} 8`) {
		t.Errorf("the ports left out are not counted:\n%s", body)
	}
	if n := strings.Count(n.banner, "probe.ports"); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestServeInsistsOnNamedPorts(t *testing.T) {
	busy := taken(t, 0)
	for _, test := range []struct {
		key  string
		args []string
	}{
		{"probe.ports", []string{"--probe-ports", fmt.Sprint(busy)}},
		{"probe.ports", []string{"--config", config(t, fmt.Sprintf("probe: {ports: %d}\n", busy))}},
		{"relay.extra", []string{"--config", config(t, fmt.Sprintf("relay: {extra: [%d]}\n", busy))}},
		{"relay.ports", []string{"--relay-ports", fmt.Sprint(busy)}},
		{"stun.ports", []string{"--config", config(t, fmt.Sprintf("stun: {ports: [%d]}\n", busy))}},
	} {
		code, _, stderr := command(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", ""}, test.args...)...)
		want := fmt.Sprintf("pileus: %s: cannot listen on 127.0.0.1:%d/udp: address already in use; is another node running? name other ports\n", test.key, busy)
		if lines := strings.SplitAfter(stderr, "\n"); code != exitFailure || lines[len(lines)-2] != want {
			t.Errorf("%s: exit %d, %q, want %q", test.key, code, stderr, want)
		}
	}
}

// A further address has the main port too; one that is not this machine's stops
// the node.
func TestServeAlternate(t *testing.T) {
	n := serving(t, "--listen", "127.0.0.1:0", "--alternate", "127.0.0.2", "--probe-ports", "", "--admin", "")
	n.find(`listening    127\.0\.0\.1:(\d+)/udp\n +127\.0\.0\.2:\d+/udp\n`)
	n.end()
	code, _, stderr := command(t, "serve", "--listen", "127.0.0.1:0", "--alternate", "192.0.2.99")
	if code != exitFailure || !strings.HasSuffix(stderr, "no interface of this machine has it\n") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}
