package rtmfp_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/wire"
)

const (
	serverAddr = "192.0.2.1:1935"
	aliceAddr  = "198.51.100.1:5000"
	bobAddr    = "203.0.113.1:6000"
)

var line = memnet.Path{Delay: 20 * time.Millisecond}

func TestConnectTalkClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)

		s := alice.open(uri(server.addr))
		alice.say(s, "hello", "world")
		settle(120 * time.Millisecond)
		if got := server.got(); !slices.Equal(got, []string{"hello", "world"}) {
			t.Fatalf("server got %q", got)
		}
		if far := server.session(0).PeerID(); far != alice.id.PeerID() {
			t.Errorf("server sees peer %v", far)
		}
		var rtt time.Duration
		alice.do(func(*rtmfp.Engine) { rtt = s.RTT() })
		if rtt < 36*time.Millisecond || rtt > 60*time.Millisecond {
			t.Errorf("RTT %v on a path of 40 ms", rtt)
		}
		near, far := s.Nonces()
		sn, sf := server.session(0).Nonces()
		if string(near) != string(sf) || string(far) != string(sn) {
			t.Error("nonces differ")
		}
		server.say(server.session(0), "back")
		settle(100 * time.Millisecond)
		if got := alice.got(); !slices.Equal(got, []string{"back"}) {
			t.Fatalf("client got %q", got)
		}

		alice.do(func(*rtmfp.Engine) { s.Close() })
		settle(100 * time.Millisecond)
		if r := alice.reasons(); len(r) != 1 || !errors.Is(r[0], net.ErrClosed) {
			t.Errorf("client closed: %v", r)
		}
		if r := server.reasons(); len(r) != 1 || r[0] != rtmfp.ErrFarClosed {
			t.Errorf("server closed: %v", r)
		}
		settle(20 * time.Second)
		for _, p := range []*party{server, alice} {
			if st := p.stats(); st.Sessions != 0 || st.Openings != 0 {
				t.Errorf("%v: %d sessions and %d openings left", p.addr, st.Sessions, st.Openings)
			}
		}
	})
}

// The keying has shown the round trip: the first packet's loss need not take the 3 s
// that a timeout is without a measurement.
func TestFirstPacketLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		s := alice.open(uri(server.addr))
		settle(100 * time.Millisecond)
		n.SetPath(memnet.Path{Loss: 1})
		alice.say(s, "hello")
		settle(10 * time.Millisecond)
		n.SetPath(line)
		settle(490 * time.Millisecond)
		if got := server.got(); !slices.Equal(got, []string{"hello"}) {
			t.Errorf("server got %q", got)
		}
	})
}

// A first packet that comes late was itself a repeat: it says nothing of the round trip,
// and what is sent next is repeated as soon as ever.
func TestLateFirstPacketIsNoRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		s := alice.open(uri(server.addr))
		settle(3 * time.Second)
		alice.say(s, "hello")
		settle(100 * time.Millisecond)
		if rtt := server.session(0).RTT(); rtt > 60*time.Millisecond {
			t.Errorf("RTT %v on a path of 40 ms", rtt)
		}
		n.SetPath(memnet.Path{Loss: 1})
		server.say(server.session(0), "back")
		settle(10 * time.Millisecond)
		n.SetPath(line)
		settle(490 * time.Millisecond)
		if got := alice.got(); !slices.Equal(got, []string{"back"}) {
			t.Errorf("client got %q", got)
		}
	})
}

func TestEveryMessageOnceOnABadPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(2, memnet.Path{
			Delay: 20 * time.Millisecond, Jitter: 15 * time.Millisecond, Loss: 0.1, Duplicate: 0.05, Corrupt: 0.03,
		})
		policy := flash.Policy{}
		server := newParty(t, n, serverAddr, serverIdentity(t), func(c *rtmfp.Config) { c.Policy = policy })
		alice := newParty(t, n, aliceAddr, clientIdentity(t), func(c *rtmfp.Config) { c.Policy = policy })
		s := alice.open(uri(server.addr))
		var want []string
		for i := range 200 {
			want = append(want, fmt.Sprintf("%d %s", i, string(make([]byte, i*17%3000))))
		}
		alice.say(s, want...)
		settle(2 * time.Second)
		n.Rebind(alice.addr, netip.MustParseAddrPort("198.51.100.1:5999")) // with most still under way
		settle(8 * time.Second)
		server.say(server.session(0), want...)
		settle(80 * time.Second)
		for _, p := range []*party{server, alice} {
			if !slices.Equal(p.got(), want) {
				t.Errorf("%v got %d of %d messages, or in another order", p.addr, len(p.got()), len(want))
			}
		}
	})
}

func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(3, line)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		var hellos atomic.Int32
		n.Watch(func(netip.AddrPort, netip.AddrPort, []byte) { hellos.Add(1) })
		alice.open(uri(netip.MustParseAddrPort(serverAddr)))
		settle(14 * time.Second)
		if got := hellos.Load(); got != 5 { // 0, 1, 3.5, 7.5, 13 s
			t.Errorf("%d IHellos in 14 s", got)
		}
		settle(90 * time.Second)
		r := alice.reasons()
		var timeout net.Error
		if len(r) != 1 || !errors.As(r[0], &timeout) || !timeout.Timeout() {
			t.Errorf("closed: %v", r)
		}
	})
}

func TestIntroduction(t *testing.T) {
	for _, mode := range []rtmfp.IntroductionMode{rtmfp.AnswerIntroductions, rtmfp.RedirectIntroductions, rtmfp.IgnoreIntroductions} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(4, line)
				server := newParty(t, n, serverAddr, serverIdentity(t), nil)
				introducing(server)
				alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
				bob := newParty(t, n, bobAddr, clientIdentity(t), func(c *rtmfp.Config) { c.Introductions = mode })
				alice.say(alice.open(uri(server.addr)), "a")
				bob.say(bob.open(uri(server.addr)), "b")
				settle(time.Second)
				s := alice.open(peer(bob.id, server.addr))
				alice.say(s, "hello bob")
				settle(400 * time.Millisecond)
				if got := bob.got(); !slices.Equal(got, []string{"hello bob"}) {
					t.Fatalf("bob got %q", got)
				}
				if s.Addr() != bob.addr || s.PeerID() != bob.id.PeerID() {
					t.Errorf("session with %v at %v", s.PeerID(), s.Addr())
				}
			})
		})
	}
}

func TestGlareLeavesOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(5, line)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		bob := newParty(t, n, bobAddr, clientIdentity(t), nil)
		a := alice.open(peer(bob.id, bob.addr))
		b := bob.open(peer(alice.id, alice.addr))
		alice.say(a, "from alice")
		bob.say(b, "from bob")
		settle(time.Second)
		if got := bob.got(); !slices.Equal(got, []string{"from alice"}) {
			t.Errorf("bob got %q", got)
		}
		if got := alice.got(); !slices.Equal(got, []string{"from bob"}) {
			t.Errorf("alice got %q", got)
		}
		for _, p := range []*party{alice, bob} {
			if st := p.stats(); st.Sessions != 1 || st.Openings != 0 {
				t.Errorf("%v has %d sessions, %d openings", p.addr, st.Sessions, st.Openings)
			}
		}
		if a.Initiator() == b.Initiator() {
			t.Error("both ends have one role")
		}
		prevails := flash.CompareGlare(alice.id.Certificate(), bob.id.Certificate()) <= 0
		if a.Initiator() != prevails {
			t.Errorf("alice initiator %v, prevails %v", a.Initiator(), prevails)
		}
	})
}

func TestCookieChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(6, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		s := alice.open(uri(server.addr))
		alice.say(s, "moved")
		moved := netip.MustParseAddrPort("198.51.100.1:5999")
		settle(50 * time.Millisecond) // the IIKeying is on its way, the RHello was for the old address
		n.Rebind(alice.addr, moved)
		settle(5 * time.Second)
		if got := server.got(); !slices.Equal(got, []string{"moved"}) {
			t.Fatalf("server got %q", got)
		}
		if at := server.session(0).Addr(); at != moved {
			t.Errorf("session at %v", at)
		}
	})
}

func TestMobility(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(7, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		s := alice.open(uri(server.addr))
		alice.say(s, "one")
		settle(2 * time.Second)
		moved := netip.MustParseAddrPort("198.51.100.1:5999")
		n.Rebind(alice.addr, moved)
		alice.say(s, "two")
		settle(2 * time.Second)
		var at netip.AddrPort
		server.do(func(*rtmfp.Engine) { at = server.session(0).Addr() })
		if at != moved {
			t.Errorf("session still at %v", at)
		}
		server.say(server.session(0), "back")
		settle(time.Second)
		if got := alice.got(); !slices.Equal(got, []string{"back"}) {
			t.Errorf("alice got %q", got)
		}
		if server.moved != 1 {
			t.Errorf("moved %d times", server.moved)
		}
	})
}

func TestReplayedPacketsMoveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(8, line)
		var recorded [][]byte
		n.Watch(func(from, _ netip.AddrPort, data []byte) {
			if from == netip.MustParseAddrPort(aliceAddr) {
				recorded = append(recorded, slices.Clone(data))
			}
		})
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		s := alice.open(uri(server.addr))
		alice.say(s, "once")
		settle(2 * time.Second)
		thief := netip.MustParseAddrPort("203.0.113.66:6666")
		replay := func(from netip.AddrPort) {
			for _, r := range recorded {
				n.Inject(from, server.addr, r)
			}
			settle(2 * time.Second)
		}
		replay(thief)
		replay(alice.addr)
		if got := server.got(); !slices.Equal(got, []string{"once"}) {
			t.Errorf("server got %q", got)
		}
		if st := server.stats(); st.Sessions != 1 || st.Accepted != 1 || st.Moved != 0 {
			t.Errorf("sessions %d, accepted %d, moved %d", st.Sessions, st.Accepted, st.Moved)
		}
		// Nor does the recording open a session after the true one is gone.
		alice.do(func(*rtmfp.Engine) { s.Close() })
		settle(20 * time.Second)
		replay(alice.addr)
		if st := server.stats(); st.Accepted != 1 || server.opened() != 1 || st.Drops[rtmfp.DropReplay] == 0 {
			t.Errorf("accepted %d after the replay, drops %v", st.Accepted, st.Drops)
		}
	})
}

func TestServerClosesPolitely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(10, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		alice.say(alice.open(uri(server.addr)), "one")
		settle(time.Second)
		n.SetPath(memnet.Path{Delay: 20 * time.Millisecond, Loss: 1})
		server.do(func(e *rtmfp.Engine) { e.CloseAll() })
		settle(3 * time.Second)
		n.SetPath(line)
		settle(3 * time.Second) // the repeat after 5 s gets through
		if r := alice.reasons(); len(r) != 1 || r[0] != rtmfp.ErrFarClosed {
			t.Errorf("closed: %v", r)
		}
		if st := server.stats(); st.Sessions != 0 {
			t.Errorf("%d sessions left", st.Sessions)
		}
	})
}

func TestSecondSessionToOneServerIsDuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(11, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		first := alice.open(uri(server.addr))
		alice.say(first, "one")
		settle(time.Second)
		alice.open(uri(server.addr))
		settle(time.Second)
		var dup *rtmfp.DuplicateError
		if r := alice.reasons(); len(r) != 1 || !errors.As(r[0], &dup) || dup.Session != first {
			t.Errorf("second session: %v", r)
		}
	})
}

// Probing learns from answers without opening anything.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(12, line)
		var silent netip.AddrPort
		server := newParty(t, n, serverAddr, serverIdentity(t), func(c *rtmfp.Config) {
			c.Silent = func(local netip.AddrPort) bool { return local == silent }
		})
		bob := newParty(t, n, bobAddr, clientIdentity(t), func(c *rtmfp.Config) { c.Introductions = rtmfp.AnswerIntroductions })
		bob.say(bob.open(uri(server.addr)), "b")
		settle(time.Second)
		var seen []netip.AddrPort
		epd := bob.id.Certificate().EPD().Append(nil)
		server.do(func(e *rtmfp.Engine) {
			for _, tag := range []string{"unsolicited", "introduced"} {
				if err := e.Await([]byte(tag), func(_, from netip.AddrPort) { seen = append(seen, from) }); err != nil {
					t.Error(err)
				}
			}
			e.SendHello(server.addr, bob.addr, epd, []byte("unsolicited"))
			server.session(0).ForwardHello(epd, wire.Address{AddrPort: server.addr}, []byte("introduced"))
		})
		settle(100 * time.Millisecond)
		if !slices.Equal(seen, []netip.AddrPort{bob.addr, bob.addr}) {
			t.Errorf("answers from %v", seen)
		}
		server.do(func(e *rtmfp.Engine) {
			e.Forget([]byte("unsolicited"))
			e.SendHello(server.addr, bob.addr, epd, []byte("unsolicited"))
			silent = server.addr
		})
		settle(100 * time.Millisecond)
		if st := server.stats(); len(seen) != 2 || st.Drops[rtmfp.DropTag] != 1 {
			t.Errorf("%d answers, drops %v", len(seen), st.Drops)
		}
		if st := bob.stats(); st.Sessions != 1 {
			t.Errorf("bob has %d sessions", st.Sessions)
		}
		// A silent socket answers nobody.
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		alice.open(uri(server.addr))
		settle(3 * time.Second)
		if st := server.stats(); st.Sessions != 1 || st.Drops[rtmfp.DropState] == 0 {
			t.Errorf("%d sessions, drops %v", st.Sessions, st.Drops)
		}
	})
}
