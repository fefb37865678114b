package main

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v2"

	"pileus/natprobe/binding"
)

// asked sends a request to a node, and gives the answer and where it came from.
func asked(t *testing.T, to string, r binding.Request) (binding.Answer, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.WriteToUDPAddrPort(r.Append(nil), netip.MustParseAddrPort(to)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1500)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	a, err := binding.ParseAnswer(b[:n])
	if err != nil {
		t.Fatal(err)
	}
	if a.Code == 0 && a.Seen != c.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Errorf("%s saw %v", to, a.Seen)
	}
	return a, from
}

func TestServeAnswersSTUN(t *testing.T) {
	p := free(t, 3)
	file := config(t, "stun: {ports: ["+p[0]+", "+p[1]+"]}\nrelay: {extra: []}\n")
	n := serving(t, "--config", file, "--listen", "127.0.0.1:0", "--alternate", "127.0.0.2", "--probe-ports", p[2], "--admin", "")
	main := "127.0.0.1:" + n.find(`listening    127\.0\.0\.1:(\d+)/udp`)
	for _, at := range []string{main, "127.0.0.1:" + p[2]} {
		if a, _ := asked(t, at, binding.Request{}); a.Other.IsValid() || a.Code != 0 {
			t.Errorf("%s: %+v", at, a)
		}
		if a, _ := asked(t, at, binding.Request{ChangePort: true}); a.Code != int(stun.CodeUnknownAttribute) {
			t.Errorf("%s: change of port: %+v", at, a)
		}
	}
	a, _ := asked(t, "127.0.0.1:"+p[0], binding.Request{})
	if want := "127.0.0.2:" + p[1]; a.Other.String() != want {
		t.Errorf("other address %v, want %v", a.Other, want)
	}
	if _, from := asked(t, "127.0.0.1:"+p[0], binding.Request{ChangeIP: true, ChangePort: true}); from != a.Other {
		t.Errorf("changed both: from %v", from)
	}
	if _, from := asked(t, "127.0.0.2:"+p[1], binding.Request{ChangeIP: true}); from.String() != "127.0.0.1:"+p[1] {
		t.Errorf("changed IP: from %v", from)
	}
}

// With one address there is no other to name, or to answer from.
func TestServeSTUNWithOneAddress(t *testing.T) {
	p := free(t, 2)
	file := config(t, "stun: {ports: ["+p[0]+", "+p[1]+"]}\nrelay: {extra: []}\n")
	serving(t, "--config", file, "--listen", "127.0.0.1:0", "--probe-ports", "", "--admin", "")
	if a, _ := asked(t, "127.0.0.1:"+p[0], binding.Request{}); a.Other.IsValid() || a.Code != 0 {
		t.Errorf("%+v", a)
	}
	if a, _ := asked(t, "127.0.0.1:"+p[0], binding.Request{ChangeIP: true}); a.Code != int(stun.CodeUnknownAttribute) {
		t.Errorf("%+v", a)
	}
}

// classic sends a Binding request of RFC 3489, and gives the mapped address that comes
// back; "" for silence.
func classic(t *testing.T, to string) string {
	t.Helper()
	c, err := net.Dial("udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := append([]byte{0, 1, 0, 0}, "sixteen bytes ID"...)
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1500)
	n, err := c.Read(b)
	if err != nil {
		return ""
	}
	a, err := binding.ParseAnswer(b[:n])
	if err != nil || string(b[4:20]) != string(request[4:20]) || a.Seen.String() != c.LocalAddr().String() {
		t.Errorf("%s: %x: %+v, %v", to, b[:n], a, err)
	}
	return a.Seen.String()
}

// Clients of RFC 3489 are answered where nothing but STUN and TURN is spoken, and nowhere
// else: RTMFP may look like them.
func TestServeAnswersRFC3489(t *testing.T) {
	p := free(t, 4)
	file := config(t, "stun: {ports: ["+p[0]+", "+p[1]+"]}\nrelay: {extra: []}\nturn: {users: {alice: secret}, listen: ["+p[0]+", "+p[3]+"]}\n")
	n := serving(t, "--config", file, "--listen", "127.0.0.1:0", "--probe-ports", p[2], "--admin", "")
	for _, port := range []string{p[0], p[1], p[3]} {
		if classic(t, "127.0.0.1:"+port) == "" {
			t.Errorf("no answer at %s", port)
		}
	}
	for _, port := range []string{n.find(`listening    127\.0\.0\.1:(\d+)/udp`), p[2]} {
		if got := classic(t, "127.0.0.1:"+port); got != "" {
			t.Errorf("an answer at %s: %s", port, got)
		}
	}
}
