package netconn_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/netconn"
)

func TestDialRefusesOtherURIs(t *testing.T) {
	for _, uri := range []string{"", "rtmfp:", "rtmp://host/app", "host/app", "rtmfp:///app", "rtmfp://ho st/"} {
		if _, err := netconn.Dial(nil, netconn.ClientConfig{URI: uri}, nil); err == nil {
			t.Errorf("%q", uri)
		}
	}
}

func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		p := newPeer(t, n, aliceAddr)
		p.dial(func(c *netconn.ClientConfig) {
			c.Args = []amf.Value{amf.String("token")}
			c.PeerInfo = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.5:5001")}
		})
		settle(time.Second)
		expect(t, "node", s.take(), `connect app="live/room" encoding=0 args=[token]`, "setPeerInfo [10.0.0.5:5001]")
		expect(t, "client", p.take(), "connected NetConnection.Connect.Success")

		p.with(func(c *netconn.Client) {
			done := func(name string) netconn.Done {
				return func(results amf.Args, err error) { p.add("%s: %v %v", name, results, err) }
			}
			for _, err := range []error{
				c.Call("echo", done("echo"), amf.String("x"), amf.Number(2)),
				c.Call("nothing", done("nothing")),
				c.Send("hello", amf.String("node")),
				c.SetPeerInfo(nil),
			} {
				if err != nil {
					t.Error(err)
				}
			}
		})
		settle(time.Second)
		expect(t, "client", p.take(), "echo: [x 2] <nil>",
			"nothing: [] netconn: NetConnection.Call.Failed: Method not found (nothing).")
		expect(t, "node", s.take(), "command echo [x 2]", "command nothing []", "command hello [node]", "setPeerInfo []")

		s.conn(0, func(c *nodeConn) {
			done := func(results amf.Args, err error) { s.add("answer: %v %v", results, err) }
			for _, err := range []error{
				c.Status("status", "Pileus.Hello", "hello"),
				c.Call("ping", done), c.Call("other", done), c.Send("news", amf.Number(1)),
			} {
				if err != nil {
					t.Error(err)
				}
			}
		})
		settle(time.Second)
		expect(t, "client", p.take(), "status Pileus.Hello", "command ping []", "command other []", "command news [1]")
		expect(t, "node", s.take(), "answer: [pong] <nil>",
			"answer: [] netconn: NetConnection.Call.Failed: Method not found (other).")

		p.with((*netconn.Client).Close)
		settle(time.Second)
		expect(t, "client", p.take(), "closed: netconn: closed by this end: use of closed network connection")
		expect(t, "node", s.take(), "closed: netconn: closed by the far end: use of closed network connection")
		if s.sessions() != 0 {
			t.Error("session left")
		}
	})
}

func TestClientIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		s.connect = func(c *nodeConn, _ netconn.Request) { c.Reject(netconn.StatusConnectRejected, "not you") }
		p := newPeer(t, n, aliceAddr)
		p.dial(nil)
		settle(time.Second)
		expect(t, "client", p.take(), "closed: netconn: NetConnection.Connect.Rejected: not you")
	})
}

func TestServerLeavesClient(t *testing.T) {
	for name, leave := range map[string]func(*nodeConn){
		"close": func(c *nodeConn) { c.Close() },
		"abort": func(c *nodeConn) { c.Abort(rtmfp.ErrClosed) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(1, line)
				s := newNode(t, n)
				p := newPeer(t, n, aliceAddr)
				p.dial(nil)
				settle(time.Second)
				p.take()
				p.with(func(c *netconn.Client) {
					if err := c.Call("nothing", func(_ amf.Args, err error) { p.add("answer: %v", err) }); err != nil {
						t.Error(err)
					}
				})
				s.conn(0, leave)
				settle(time.Second)
				got := p.take()
				if len(got) != 2 {
					t.Errorf("%q", got)
				}
				var late error
				p.with(func(c *netconn.Client) { late = c.Send("x") })
				if late == nil {
					t.Error("sent on a closed connection")
				}
			})
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, memnet.New(1, line), aliceAddr)
		p.dial(nil)
		settle(3 * time.Minute)
		expect(t, "client", p.take(), "closed: rtmfp: no answer: timed out")
	})
}

// The client keeps the advised periods, but never below five seconds: seen by
// its packets when nothing else is said.
func TestSetKeepalive(t *testing.T) {
	for advised, want := range map[time.Duration]int{15 * time.Second: 4, time.Millisecond: 12, 40 * time.Second: 1} {
		synctest.Test(t, func(t *testing.T) {
			n := memnet.New(1, line)
			s := newNode(t, n)
			p := newPeer(t, n, aliceAddr)
			p.dial(nil)
			settle(time.Second)
			s.conn(0, func(c *nodeConn) {
				if err := c.SetKeepalive(advised, advised); err != nil {
					t.Error(err)
				}
			})
			settle(time.Second)
			packets := 0
			n.Watch(func(from, _ netip.AddrPort, _ []byte) {
				if from == p.addr {
					packets++
				}
			})
			settle(time.Minute)
			n.Watch(nil)
			if packets < want-1 || packets > want+1 {
				t.Errorf("%v: %d packets in a minute, want about %d", advised, packets, want)
			}
		})
	}
}
