package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/pion/logging"
	pionturn "github.com/pion/turn/v3"
	"golang.org/x/sys/unix"
)

// within runs f on a thread that is on the machine: sockets that it opens stay there.
func (m machine) within(f func()) {
	m.t.Helper()
	space, err := os.Open("/run/netns/" + m.name)
	if err != nil {
		m.t.Fatal(err)
	}
	defer space.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		m.t.Fatal(err)
	}
}

// open lists the UDP and TCP ports of an address of the machine that are open.
func (m machine) open(addr string) (list []string) {
	m.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", m.name, "ss", "-Hlntu").Output()
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 4 {
			if at, err := netip.ParseAddrPort(f[4]); err == nil && at.Addr() == netip.MustParseAddr(addr) {
				list = append(list, fmt.Sprintf("%d/%s", at.Port(), f[0]))
			}
		}
	}
	return list
}

// answers asks for a Binding response at a port of the machine, from the machine.
func (m machine) answers(at string) (err error) {
	m.t.Helper()
	a := netip.MustParseAddrPort(at)
	m.within(func() { err = answersSTUN(m.t.Context(), a.Addr(), a) })
	return err
}

// unplug takes the cable out of its interface, as a machine finds it that starts without.
func (m machine) unplug() {
	m.t.Helper()
	m.ip("link set eth0 down")
	m.ip("link set eth1 down")
	m.ip("link set eth0 up")
}

// An address that comes is served as those that were there, one that goes is closed, and nothing of it is left.
func TestServeFollowsTheMachine(t *testing.T) {
	m := newMachine(t)
	needs(t, map[string]string{"ss": "iproute2"})
	m.card("198.51.100.1/24")
	p := m.serve("--config", config(t, "relay: {ports: 20000-20019}\nturn: {users: {alice: wonderland}}\nadmin: {listen: '127.0.0.1:8935'}\n"))
	first := m.open("198.51.100.1")
	if len(first) < 1+1+8+2+1+20 {
		t.Fatalf("open: %q\n%s", first, p.banner)
	}
	for range 2 {
		m.ip("addr add 203.0.113.9/32 dev eth0")
		p.await(`msg="an address of this machine came, and is served" addresses=[203.0.113.9]`)
		if got := m.open("203.0.113.9"); len(got) != len(first) {
			t.Errorf("open at the new address: %q, want %q", got, first)
		}
		for _, at := range []string{"203.0.113.9:1935", "203.0.113.9:1936", "203.0.113.9:443", "203.0.113.9:3478", "203.0.113.9:3479"} {
			if err := m.answers(at); err != nil {
				t.Errorf("%s: %v", at, err)
			}
		}
		m.ip("addr del 203.0.113.9/32 dev eth0")
		p.await(`msg="an address of this machine went, and is served no longer" addresses=[203.0.113.9]`)
		if got := m.open("203.0.113.9"); len(got) > 0 {
			t.Errorf("still open: %q", got)
		}
		if err := m.answers("198.51.100.1:1935"); err != nil {
			t.Error(err)
		}
	}
	// IPv6 cannot be used at once.
	m.ip("addr add 2001:db8::7/64 dev eth0")
	p.await("addresses=[2001:db8::7]")
	if err := m.answers("[2001:db8::7]:1935"); err != nil {
		t.Error(err)
	}
	// Not even the last address ends it.
	m.ip("link set eth0 down")
	p.await("198.51.100.1")
	m.ip("link set eth0 up")
	p.await("addresses=[198.51.100.1]")
	eventually(t, "served again", func() bool { return m.answers("198.51.100.1:1935") == nil })
	if code := p.end(); code != exitOK || strings.Contains(p.banner, "level=ERROR") {
		t.Errorf("exit %d:\n%s", code, p.banner)
	}
}

// While the system makes sure that nobody else has an IPv6 address, nothing can be bound to it: the start waits.
func TestServeAwaitsTentativeAddresses(t *testing.T) {
	for _, listen := range []string{":1935", "[2001:db8::1]:1935"} {
		m := newMachine(t)
		m.card("198.51.100.1/24")
		m.ip("addr add 2001:db8::1/64 dev eth0")
		p := m.serve("--listen", listen, "--relay-ports", "20000-20001")
		if !strings.Contains(p.banner, "[2001:db8::1]:1935/udp\n") || strings.Contains(p.banner, "no interface") {
			t.Errorf("%s:\n%s", listen, p.banner)
		}
		if err := m.answers("[2001:db8::1]:1935"); err != nil {
			t.Error(err)
		}
	}
}

// Without a cable it is never made sure: a node goes on without such an address and says so, one that has no other
// ends with the reason.
func TestServeWithoutCable(t *testing.T) {
	m := newMachine(t)
	m.card("198.51.100.1/24")
	m.unplug()
	m.ip("addr add 2001:db8::1/64 dev eth0")
	p := m.start("serve", "--listen", "[2001:db8::1]:1935")
	p.await("cannot use it yet (duplicate address detection; is the cable in?)")
	if code := p.ended(); code != exitFailure || strings.Contains(p.banner, "no interface of this machine has it") {
		t.Errorf("exit %d\n%s", code, p.banner)
	}
	p = m.serve("--listen", "198.51.100.1:1935", "--listen", "[2001:db8::1]:1935", "--relay-ports", "")
	if !strings.Contains(p.banner, "cannot use it yet") {
		t.Errorf("not told:\n%s", p.banner)
	}
	m.ip("link set eth1 up")
	p.await("addresses=[2001:db8::1]")
	if err := m.answers("[2001:db8::1]:1935"); err != nil {
		t.Error(err)
	}
}

// A TURN client cannot reach what the machine has become by now, nor its neighbours.
func TestTURNRefusesNewOwnAddresses(t *testing.T) {
	m := newMachine(t)
	m.card("198.51.100.1/24")
	m.ip("route add default dev eth0")
	p := m.serve("--config", config(t, "relay: {ports: off, allow_onlink: [198.51.100.32/28]}\nturn: {users: {alice: wonderland}}\n"))
	if !strings.Contains(p.banner, "neighbours in 198.51.100.0/24 are no peers") {
		t.Errorf("the banner does not tell:\n%s", p.banner)
	}
	var relay net.PacketConn
	m.within(func() {
		conn, err := net.ListenPacket("udp4", "198.51.100.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { conn.Close() })
		c, err := pionturn.NewClient(&pionturn.ClientConfig{
			STUNServerAddr: "198.51.100.1:3478", TURNServerAddr: "198.51.100.1:3478", Conn: conn, Username: "alice", Password: "wonderland",
			LoggerFactory: &logging.DefaultLoggerFactory{Writer: t.Output(), DefaultLogLevel: logging.LogLevelDisabled},
		})
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(c.Close)
		if err := c.Listen(); err != nil {
			t.Error(err)
		}
		if relay, err = c.Allocate(); err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { relay.Close() })
	})
	if t.Failed() {
		return
	}
	permitted := func(peer string) error {
		_, err := relay.WriteTo([]byte("ping"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(peer)))
		return err
	}
	for peer, want := range map[string]bool{"203.0.113.8:9": true, "198.51.100.77:9": false, "198.51.100.33:9": true, "198.51.100.1:9": false} {
		if err := permitted(peer); (err == nil) != want {
			t.Errorf("%s: %v, want permission %t", peer, err, want)
		}
	}
	m.ip("addr add 203.0.113.9/32 dev eth0")
	p.await("addresses=[203.0.113.9]")
	if err := permitted("203.0.113.9:9"); err == nil {
		t.Error("the new own address is a peer")
	}
}

// A reload sees what has changed, and what is asked for and missing.
func TestReloadTellsOfAddresses(t *testing.T) {
	m := newMachine(t)
	m.card("198.51.100.1/24")
	p := m.serve("--relay-ports", "20000-20001", "--admin", "198.51.100.1:8935", "--config", config(t, "admin: {token: 0123456789abcdef, insecure: true}\n"))
	m.unplug()
	m.ip("addr add 2001:db8::1/64 dev eth0")
	reload := func() string {
		t.Helper()
		c := in(t.Context(), m.name, os.Args[0], "reload", "--node", "http://198.51.100.1:8935")
		c.Env = append(os.Environ(), asProgram+"=1", "PILEUS_TOKEN=0123456789abcdef")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	eventually(t, "told that an address cannot be used yet", func() bool {
		return strings.Contains(reload(), "2001:db8::1: this machine has the address, but cannot use it yet")
	})
	m.ip("link set eth1 up")
	p.await("addresses=[2001:db8::1]")
	if got := reload(); !strings.Contains(got, "nothing has changed") || strings.Contains(got, "2001:db8::1") {
		t.Errorf("%s", got)
	}
}
