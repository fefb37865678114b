package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/report"
)

// serve answers Binding requests at two addresses of this host, and returns the
// first port of both.
func serve(t *testing.T) uint16 {
	t.Helper()
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	listen := func(at netip.AddrPort) *net.UDPConn {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	server := binding.Server{Addrs: addrs}
	conns := make(map[netip.AddrPort]*net.UDPConn)
	for i := range server.Ports {
		first := listen(netip.AddrPortFrom(addrs[0], 0))
		at := first.LocalAddr().(*net.UDPAddr).AddrPort()
		server.Ports[i] = at.Port()
		conns[at] = first
		conns[netip.AddrPortFrom(addrs[1], at.Port())] = listen(netip.AddrPortFrom(addrs[1], at.Port()))
	}
	var group sync.WaitGroup
	for at, c := range conns {
		group.Go(func() {
			buf := make([]byte, 2048)
			for {
				n, from, err := c.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				if r, ok := server.Respond(buf[:n], from, at); ok {
					_, _ = conns[r.From].WriteToUDPAddrPort(r.Data, r.To)
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
		group.Wait()
	})
	return server.Ports[0]
}

func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// Over loopback a server tells everything, and none of it is of a network.
func TestRunAgainstARealServer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: only Linux has 127.0.0.2 without being told")
	}
	server := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), serve(t)).String()
	code, out, errs := call(t, "run", "--quick", "--server", server)
	if code != exitUnsure || !strings.HasPrefix(out, "nothing is known: loopback tells nothing of a network: ask a server on another host\n") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	code, out, errs = call(t, "run", "--quick", "--json", "--server", server)
	var r report.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitUnsure || r.Class != natprobe.ClassUnknown || r.Behavior.Mapping != natprobe.MappingUnknown {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
	}
	// What was measured there is whole all the same.
	if b := natprobe.Classify(r.Runs[0].Observations, r.End()); b.Class() != natprobe.Public {
		t.Errorf("%+v", b)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	code, again, errs := call(t, "classify", "--json", file)
	if code != exitUnsure || again != out {
		t.Errorf("exit %d: %s%s\nwant %s", code, again, errs, out)
	}
}

// No UDP is what nothing at all comes back from. A port that is closed, or whose answers
// are of no use, is something else, also to who looks for a node.
func TestNoUDP(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer func(c net.PacketConn, b []byte, from net.Addr) // nil: the port is closed
		code   int
		says   string
	}{
		{"silent", func(net.PacketConn, []byte, net.Addr) {}, exitNoUDP, "no UDP: "},
		{"closed", nil, exitUnsure, "UDP comes back, but nothing is known: 127.0.0.1 says: nothing listens there"},
		{"echo", func(c net.PacketConn, b []byte, from net.Addr) { _, _ = c.WriteTo(b, from) }, exitUnsure, "UDP comes back, but nothing is known: 127.0.0.1:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			addr := "127.0.0.1:9" // which the system gives to nobody meanwhile
			if test.answer != nil {
				c, err := net.ListenPacket("udp4", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				addr = c.LocalAddr().String()
				go func() {
					buf := make([]byte, 2048)
					for {
						n, from, err := c.ReadFrom(buf)
						if err != nil {
							return
						}
						test.answer(c, buf[:n], from)
					}
				}()
			}
			code, out, errs := call(t, "run", "--quick", "--server", addr)
			if code != test.code || !strings.HasPrefix(out, test.says) {
				t.Errorf("exit %d: %s%s", code, out, errs)
			}
			if test.answer == nil && runtime.GOOS == "linux" { // else some other program's port may speak there
				code, out, errs = call(t, "pair", "--server", addr)
				if code != exitUnsure || !strings.Contains(errs, "no node answers at "+addr) {
					t.Errorf("pair: exit %d: %s%s", code, out, errs)
				}
			}
		})
	}
}

// A symmetric NAT in a record; the exit code is the verdict.
func TestClassify(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ap := netip.MustParseAddrPort
	obs := []natprobe.Observation{
		{Kind: natprobe.KindObserved, Via: natprobe.ViaBinding, At: now, Node: ap("203.0.113.1:3478"), Seen: ap("198.51.100.1:1")},
	}
	for i, port := range []string{"40000", "12345", "61000", "33333", "20000"} {
		obs = append(obs, natprobe.Observation{
			Kind: natprobe.KindMapping, Via: natprobe.ViaBinding, Tries: 1, Hits: 1, At: now.Add(time.Duration(i) * time.Millisecond),
			Node: netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), uint16(3479+i)), Seen: ap("198.51.100.1:" + port),
		})
	}
	for _, test := range []struct {
		obs  []natprobe.Observation
		code int
		text string
	}{
		{obs, exitRelay, "symmetric NAT, "},
		{append(obs[:1:1], natprobe.Observation{Kind: natprobe.KindMapping, Via: natprobe.ViaBinding, Tries: 1, Hits: 1, At: now, Node: ap("203.0.113.2:3478"), Seen: ap("198.51.100.1:1")}), exitDirect, "a host, mapping EIM, filtering unknown ("},
		{obs[:1], exitUnsure, "a host, mapping unknown, filtering unknown (a server with two addresses, or a pileus node tells): "},
		{nil, exitUnsure, "nothing is known: "},
	} {
		b, err := json.Marshal(report.Report{Schema: report.Schema, Record: report.Record{Runs: []report.Run{{Observations: test.obs}}}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := call(t, "classify", file); code != test.code || !strings.HasPrefix(out, test.text) {
			t.Errorf("exit %d, want %d: %s%s", code, test.code, out, errs)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "natprobe"},
		{[]string{"help"}, 0, ""},
		{[]string{"run"}, exitUnsure, "pileus serve"},
		{[]string{"run", "--server", "x:0"}, exitUsage, `"0" is no port`},
		{[]string{"run", "--server", "127.0.0.1", "more"}, exitUsage, `"more"`},
		{[]string{"run", "turn:alice:wonderland@127.0.0.1"}, exitUsage, "behind --turn"},
		{[]string{"watch", "turn:alice:wonderland@127.0.0.1"}, exitUsage, "behind --turn"},
		{[]string{"run", "--sever", "x"}, exitUsage, "no flag --sever"},
		{[]string{"walk"}, exitUsage, `no command "walk"`},
		{[]string{"run", "--server", "nosuchhost.invalid"}, exitUnsure, "nosuchhost.invalid is not found"},
		{[]string{"classify"}, exitUsage, "one file"},
		{[]string{"classify", "/nonexistent"}, exitUnsure, "/nonexistent"},
		{[]string{"classify", "run_test.go"}, exitUnsure, "no report"},
	} {
		code, _, errs := call(t, test.args...)
		if code != test.code || !strings.Contains(errs, test.says) {
			t.Errorf("%q: exit %d: %s", test.args, code, errs)
		}
	}
}
