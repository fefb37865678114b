package netconn_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/netconn"
)

// A slow subscriber of a reliable stream stops the publisher, and gets all of
// it.
func TestBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, alice, bob := meeting(t, line)
		pub := alice.publish("film", netconn.PublishOptions{SingleFlow: true})
		v, sub := bob.play(alice, "film")
		settle(5 * time.Second)
		bob.do(func(*rtmfp.Engine) { sub.Pause(true) })
		sent, refused := 0, 0
		fill := func() {
			alice.do(func(*rtmfp.Engine) {
				for sent < 300 {
					err := pub.Write(video(uint32(sent), make([]byte, 20000)...))
					if err == nil {
						sent++
						continue
					}
					if !errors.Is(err, flow.ErrFull) {
						t.Error(err)
					}
					refused++
					return
				}
			})
		}
		alice.take()
		for range 20 {
			fill()
			settle(time.Second)
		}
		if sent == 300 || len(v.got()) != 0 {
			t.Fatalf("sent %d, got %d, while the subscriber pauses", sent, len(v.got()))
		}
		bob.do(func(*rtmfp.Engine) { sub.Pause(false) })
		for range 100 {
			settle(time.Second)
			for _, l := range alice.take() {
				if l == "writable" {
					fill()
				}
			}
		}
		got := v.got()
		if sent != 300 || len(got) != 300 {
			t.Fatalf("sent %d, got %d", sent, len(got))
		}
		for i, m := range got {
			if m.Timestamp != uint32(i) {
				t.Fatalf("message %d has timestamp %d", i, m.Timestamp)
			}
		}
		if refused < 2 {
			t.Errorf("refused %d times", refused)
		}
	})
}

// Live media does not wait for a slow subscriber.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, alice, bob := meeting(t, line)
		pub := alice.publish("live", netconn.PublishOptions{Lifetime: time.Second})
		v, sub := bob.play(alice, "live")
		settle(5 * time.Second)
		bob.do(func(*rtmfp.Engine) { sub.Pause(true) })
		for i := range 200 {
			alice.write(pub, video(uint32(i), make([]byte, 20000)...))
			settle(40 * time.Millisecond)
		}
		bob.do(func(*rtmfp.Engine) { sub.Pause(false) })
		settle(10 * time.Second)
		n := len(v.got())
		if n == 0 || n > 150 {
			t.Errorf("%d of 200 messages", n)
		}
		alice.write(pub, video(999, 1))
		settle(5 * time.Second)
		if got := v.got(); got[len(got)-1].Timestamp != 999 {
			t.Error("the stream did not recover")
		}
	})
}

// When the NetConnection to the node is over, so are the sessions with peers
// that it brought about, at both ends, and they say why.
func TestPeersEndWithTheNode(t *testing.T) {
	kill := map[string]func(n *memnet.Network, s *node){
		"node closes": func(_ *memnet.Network, s *node) {
			s.do(func(*rtmfp.Engine) {
				for _, c := range s.conns {
					c.Close()
				}
			})
		},
		"node dies": func(n *memnet.Network, _ *node) { n.Cut(netip.MustParseAddrPort(nodeAddr)) },
	}
	for name, kill := range kill {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, s, alice, bob := meeting(t, line)
				for i := range 2 {
					s.conn(i, func(c *nodeConn) {
						if err := c.SetKeepalive(15*time.Second, 10*time.Second); err != nil {
							t.Error(err)
						}
					})
				}
				alice.publish("film", netconn.PublishOptions{})
				v, _ := bob.play(alice, "film")
				settle(5 * time.Second)
				v.take()
				kill(n, s)
				settle(3 * time.Minute)
				got := strings.Join(v.take(), "\n")
				if !strings.Contains(got, "closed: netconn: the NetConnection to "+nodeURI+" ended: ") &&
					!strings.Contains(got, "closed: rtmfp: session closed by the far end") {
					t.Errorf("viewer: %s", got)
				}
				alice.has(t, "unsubscribed: ")
				for _, p := range []*peer{alice, bob} {
					lines := p.take()
					if len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], "closed: ") {
						t.Errorf("%v: %q", p.addr, lines)
					}
					open := 0
					p.do(func(e *rtmfp.Engine) { e.Sessions(func(*rtmfp.Session) { open++ }) })
					if open != 0 {
						t.Errorf("%v: %d sessions left", p.addr, open)
					}
				}
			})
		})
	}
}

// Close delivers what was written before it.
func TestCloseDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s, alice, bob := meeting(t, memnet.Path{Delay: 20 * time.Millisecond, Loss: 0.05})
		pub := alice.publish("film", netconn.PublishOptions{SingleFlow: true})
		v, _ := bob.play(alice, "film")
		settle(5 * time.Second)
		v.take()
		s.take()
		alice.write(pub, film(50)...)
		alice.with(func(c *netconn.Client) {
			if err := c.Send("bye"); err != nil {
				t.Error(err)
			}
			c.Close()
		})
		settle(time.Minute)
		if len(v.got()) != len(film(50)) {
			t.Errorf("%d of %d messages", len(v.got()), len(film(50)))
		}
		v.has(t, "closed: ")
		alice.has(t, "closed: netconn: closed by this end")
		s.has(t, "command bye []")
	})
}
