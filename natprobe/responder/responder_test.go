package responder

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pileus/natprobe/binding"
)

// Both ports answer over UDP and TCP, and nothing is left behind.
func TestServe(t *testing.T) {
	defer goleak.VerifyNone(t)
	loopback := netip.MustParseAddr("127.0.0.1")
	r, err := New(t.Context(), Config{Addrs: []netip.Addr{loopback}, Ports: [2]uint16{62478, 62479}})
	if err != nil {
		t.Skipf("SKIP: ports of this test are in use: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }()
	for _, network := range []string{"udp", "tcp"} {
		conn, err := net.Dial(network, "127.0.0.1:62479")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		want := binding.Transaction{1, 2, 3}
		if _, err := conn.Write(binding.Request{Transaction: want}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1500)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		a, err := binding.ParseAnswer(buf[:n])
		if err != nil || a.Transaction != want || a.Seen.String() != conn.LocalAddr().String() {
			t.Errorf("%s: %+v, %v", network, a, err)
		}
		conn.Close()
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if s := r.Stats(); s.Answered != 1 || s.Malformed != 0 {
		t.Errorf("over UDP: %+v", s)
	}
}
