package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"
)

// The test binary is the splice relay too: contestants are processes.
func TestMain(m *testing.M) {
	if os.Getenv(spliceEnv) == "" {
		os.Exit(m.Run())
	}
	if err := ServeSplices(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const spliceEnv = "PILEUS_BENCH_TEST_SPLICES"

func TestAppendFrame(t *testing.T) {
	from, to := netip.MustParseAddrPort("192.0.2.1:4660"), netip.MustParseAddrPort("198.51.100.7:22136")
	payload := []byte("payload")
	b := appendFrame(nil, 1, from, to, payload)[virtioHeader:]
	if got, want := len(b), ethernetHeader+udpHeaders+len(payload); got != want {
		t.Fatalf("%d bytes, want %d", got, want)
	}
	ip := b[ethernetHeader:]
	if sum := onesSum(ip[:ipHeader]); sum != 0xffff {
		t.Errorf("the IP header sums up to %04x", sum)
	}
	// A receiver that does the card's work finds the sum right.
	udp := ip[ipHeader:]
	binary.BigEndian.PutUint16(udp[6:], ^onesSum(append(udp[:len(udp):len(udp)], 0)))
	pseudo := append(append([]byte{0, 17}, ip[12:20]...), udp[4:6]...)
	if sum := onesSum(append(append(pseudo, udp...), 0)); sum != 0xffff {
		t.Errorf("pseudo-header and datagram sum up to %04x", sum)
	}
	if src, dst := binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:]); src != from.Port() || dst != to.Port() {
		t.Errorf("ports %d and %d", src, dst)
	}
}

// testWires makes wires and a bench on them.
func testWires(t *testing.T) *relayBench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	w, err := newWires()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.remove)
	b := newRelayBench(RelayConfig{Pairs: 4, Rate: 2000, Progress: t.Output()})
	b.wires = w
	return b
}

// openSplices opens a contestant whose relay is this binary.
func openSplices(t *testing.T, b *relayBench, burst int) *contestant {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &contestant{bench: b, ctx: t.Context(), burst: burst, target: relayTarget{
		name: "splice", splice: true, command: "env " + spliceEnv + "=1 " + self,
	}}
	t.Cleanup(c.close)
	b.direct[burst] = flight{} // not asked for here
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	return c
}

// What frames carry comes out of a splice and is counted once, below the sockets;
// what ordinary sockets carry comes to them, before and after.
func TestContestant(t *testing.T) {
	b := testWires(t)
	for _, burst := range []int{1, 8} {
		t.Run(fmt.Sprintf("bursts of %d", burst), func(t *testing.T) {
			c := openSplices(t, b, burst)
			if err := c.warm(); err != nil {
				t.Fatal(err)
			}
			s, err := c.cost(4000, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if f := s.flight; f.sent < 40 || f.received > f.sent || f.lost() > 0.5 {
				t.Errorf("%d of %d counted", f.received, f.sent)
			}
			if s.kernel <= 0 || s.cpu <= s.kernel {
				t.Errorf("%v of CPU time, %v of it the kernel's", s.cpu, s.kernel)
			}
			var none flight
			if c.ordinary.collect(&none) != 0 {
				t.Error("a socket received what was counted")
			}
			if f, err := b.fly(t.Context(), c.ordinary, 4000, burst, 100*time.Millisecond); err != nil || len(f.delays) == 0 || f.received != len(f.delays) {
				t.Errorf("%d of %d received, %d with a delay: %v", f.received, f.sent, len(f.delays), err)
			}
			if _, err := c.fly(4000, 100*time.Millisecond); err != nil {
				t.Errorf("frames after ordinary packets: %v", err)
			}
			c.frames.frame = 1000 // what would be two of 600
			if _, err := c.fly(4000, 50*time.Millisecond); !errors.Is(err, errCompany) {
				t.Errorf("packets of more than a frame: %v", err)
			}
		})
	}
}

// A flood is offered although the relay cannot take it.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("loads both cores")
	}
	c := openSplices(t, testWires(t), 1)
	c.lossless = flight{inTime: 20_000, took: time.Second}
	if err := c.flood(); err != nil {
		t.Fatal(err)
	}
	times, ok := Result{Values: c.values}.value(valueTimes)
	if !ok || times < 1 || times > 2.1 {
		t.Errorf("offered %.2f times", times)
	}
}
