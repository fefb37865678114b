package netconn_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/netconn"
)

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

// The quirks of connects in the field.
func TestConnect(t *testing.T) {
	o := amf.Object{{Name: "app", Value: amf.String("live")}, {Name: "objectEncoding", Value: amf.Number(3)}}
	extended := append([]byte{0x11, 0, 0, 0, 0, 0}, command("connect", 1, o)[5:]...)
	for _, tt := range []struct {
		name    string
		message []byte
		connect string
		answer  string
	}{
		{"Flash", command("connect", 1, o), `connect app="live" encoding=3 args=[]`, "0: 0x14 _result 1 NetConnection.Connect.Success"},
		{"librtmfp: transaction 0", command("connect", 0, o), `connect app="live" encoding=3 args=[]`, "0: 0x14 _result 0 NetConnection.Connect.Success"},
		{"user arguments", command("connect", 1, o, amf.String("token"), amf.Number(5)), `connect app="live" encoding=3 args=[token 5]`, "0: 0x14 _result 1 NetConnection.Connect.Success"},
		{"no properties", command("connect", 1, amf.Null{}), `connect app="" encoding=0 args=[]`, "0: 0x14 _result 1 NetConnection.Connect.Success"},
		{"command extended", extended, `connect app="live" encoding=3 args=[]`, "0: 0x14 _result 1 NetConnection.Connect.Success"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(1, line)
				s := newNode(t, n)
				r := newRaw(t, n, aliceAddr)
				r.send(r.open(control(), -1), tt.message)
				expect(t, "node", s.take(), tt.connect)
				expect(t, "client", r.take(), tt.answer)
			})
		})
	}
}

// The information object has what clients use, and nothing that they did not
// ask for.
func TestConnectResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		s.connect = func(c *nodeConn, _ netconn.Request) {
			if err := c.Accept(amf.Member{Name: "extra", Value: amf.Number(1)}); err != nil {
				t.Error(err)
			}
		}
		p := newPeer(t, n, aliceAddr)
		p.dial(nil)
		settle(time.Second)
		want := amf.Object{
			{Name: "level", Value: amf.String("status")},
			{Name: "code", Value: amf.String("NetConnection.Connect.Success")},
			{Name: "description", Value: amf.String("Connection succeeded")},
			{Name: "objectEncoding", Value: amf.Number(0)},
			{Name: "connectionID", Value: amf.String(p.id.PeerID().String())},
			{Name: "serverFingerprint", Value: amf.String(s.id.PeerID().String())},
			{Name: "publicAddress", Value: amf.String(aliceAddr)},
			{Name: "extra", Value: amf.Number(1)},
		}
		if diff := cmp.Diff(want, p.info); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRecordedConnectsAreAccepted(t *testing.T) {
	connects := map[string][]byte{}
	for _, e := range vectors.Exchanges(t) {
		for _, f := range e.Flows {
			for _, m := range f.Messages {
				if m.TC != nil && strings.HasPrefix(string(m.TC.AMF0), `["connect"`) {
					connects[string(m.Hex)] = m.Hex
				}
			}
		}
	}
	if len(connects) < 3 {
		t.Fatalf("%d connects", len(connects))
	}
	for _, message := range connects {
		synctest.Test(t, func(t *testing.T) {
			n := memnet.New(1, line)
			newNode(t, n)
			r := newRaw(t, n, aliceAddr)
			r.send(r.open(control(), -1), message)
			expect(t, "client", r.take(), "0: 0x14 _result 1 NetConnection.Connect.Success")
		})
	}
}

func TestReject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		s.connect = func(c *nodeConn, _ netconn.Request) { c.Reject(netconn.StatusInvalidApp, "no such app") }
		r := newRaw(t, n, aliceAddr)
		r.send(r.open(control(), -1), command("connect", 1, amf.Object{}))
		expect(t, "client", r.take(),
			"0: 0x14 _error 1 NetConnection.Connect.InvalidApp", "0: 0x14 close 0 <nil>", "ended: <nil>",
			"flow closed: rtmfp: session closed by the far end: use of closed network connection",
			"session closed: rtmfp: session closed by the far end: use of closed network connection")
		expect(t, "node", s.take(), `connect app="" encoding=0 args=[]`, "closed: netconn: closed by this end: use of closed network connection")
		if s.sessions() != 0 {
			t.Error("session left")
		}
	})
}

// While the handler makes up its mind, nothing else is taken from the client,
// and nothing is lost.
func TestDecideLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		s.connect = func(*nodeConn, netconn.Request) {}
		r := newRaw(t, n, aliceAddr)
		r.send(r.open(control(), -1), command("connect", 1, amf.Object{}), command("setPeerInfo", 0, amf.Null{}), command("createStream", 2, amf.Null{}))
		expect(t, "node", s.take(), `connect app="" encoding=0 args=[]`)
		s.conn(0, func(c *nodeConn) {
			if err := c.Accept(); err != nil {
				t.Error(err)
			}
		})
		settle(time.Second)
		expect(t, "node", s.take(), "setPeerInfo []")
		expect(t, "client", r.take(), "0: 0x14 _result 1 NetConnection.Connect.Success", "0: 0x14 _result 2 1")
	})
}

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		r, f := connected(t, n, amf.Member{Name: "objectEncoding", Value: amf.Number(3)})
		s.take()
		r.send(f,
			command("setPeerInfo", 0, amf.Null{}, amf.String("203.0.113.20:55949"), amf.String("nonsense")),
			command("setPeerInfo", 7, amf.String("192.0.2.9:1")), // no null; never an _error
			append([]byte{0x11, 0, 0, 0, 0, 0}, command("setPeerInfo", 0, amf.Null{})[5:]...),
			command("echo", 3, amf.Null{}, amf.String("x")),
			command("getStreamLength", 4, amf.Null{}, amf.String("cam")),
			command("checkBandwidth", 0, amf.Null{}),
			command("createStream", 5, amf.Null{}),
			command("deleteStream", 0, amf.Null{}, amf.Number(1)),
			command("_result", 99, amf.Null{}),
			command("connect", 6, amf.Object{}),
		)
		expect(t, "node", s.take(),
			"setPeerInfo [203.0.113.20:55949]", "setPeerInfo [192.0.2.9:1]", "setPeerInfo []",
			"command echo [x]", "command getStreamLength [cam]", "command checkBandwidth []", "command connect []")
		// The encoding is AMF3, so answers are of type 0x11.
		expect(t, "client", r.take(),
			"0: 0x11 _result 3 x", "0: 0x11 _error 4 NetConnection.Call.Failed", "0: 0x11 _result 5 1",
			"0: 0x11 _error 6 NetConnection.Call.Failed")
		want := netconn.Stats{Messages: 11, Commands: 11}
		want.Drops[netconn.DropCommand] = 1
		want.Drops[netconn.DropReply] = 1
		if diff := cmp.Diff(want, s.stats()); diff != "" {
			t.Error(diff)
		}
	})
}

// A library that publishes or plays gets as far as being told that it cannot.
func TestNoStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		r, f := connected(t, n)
		r.send(f, command("createStream", 2, amf.Null{}))
		expect(t, "createStream", r.take(), "0: 0x14 _result 2 1")
		p := r.open(stream(1), 0)
		r.send(p, command("publish", 0, amf.Null{}, amf.String("cam"), amf.String("live")))
		expect(t, "publish", r.take(), "1: 0x14 onStatus 0 NetStream.Publish.Failed", "ended: <nil>")
		r.send(p, command("play", 3, amf.Null{}, amf.String("cam")))
		expect(t, "play", r.take(), "1: 0x14 onStatus 0 NetStream.Play.Failed", "ended: <nil>")
		r.send(f, command("publish", 0, amf.Null{}, amf.String("cam")))
		expect(t, "publish on the NetConnection", r.take(), "0: 0x14 onStatus 0 NetStream.Publish.Failed")
		r.send(p, []byte{9, 0, 0, 0, 0, 0x17})
		expect(t, "media", r.take(), "exception 0", "flow closed: flow: rejected with exception 0")
		if got := s.stats().Drops[netconn.DropMedia]; got != 1 {
			t.Errorf("media dropped: %d", got)
		}
		for range 50 {
			r.send(r.open(stream(1), 0), command("publish", 0, amf.Null{}, amf.String("cam")))
		}
		if got := s.stats().Drops[netconn.DropLimit]; got == 0 {
			t.Error("refusals are unlimited")
		}
		r.send(f, command("echo", 9, amf.Null{}, amf.String("alive")))
		r.has(t, "_result 9 alive")
	})
}

// What a client may open to a server, and what not: a flow is rejected, the
// session stays.
func TestFlows(t *testing.T) {
	for _, tt := range []struct {
		name     string
		metadata []byte
		returnOf int
		reason   netconn.DropReason
		accepted bool
	}{
		{"another control flow", control(), 0, 0, true},
		{"stream flow", stream(1), 0, 0, true},
		{"stream flow in network order", netconn.Metadata{StreamID: 1, NetworkOrder: true}.Append(nil), 0, 0, true},
		{"peer-to-peer stream", stream(1), -1, netconn.DropStreamFlow, false},
		{"peer-to-peer stream of a high ID", stream(2000001), 0, netconn.DropStreamFlow, false},
		{"second connection", control(), -1, netconn.DropStreamFlow, false},
		{"no stream ID", []byte("TC\x00"), -1, netconn.DropFlow, false},
		{"group", []byte("GC"), -1, netconn.DropFlow, false},
		{"empty", nil, -1, netconn.DropFlow, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(1, line)
				s := newNode(t, n)
				r, f := connected(t, n)
				g := r.open(tt.metadata, tt.returnOf)
				r.send(g, command("x", 0))
				if tt.accepted {
					expect(t, "client", r.take())
				} else {
					expect(t, "client", r.take(), "exception 0", "flow closed: flow: rejected with exception 0")
					if got := s.stats().Drops[tt.reason]; got != 1 {
						t.Errorf("%v: %d", tt.reason, got)
					}
				}
				r.send(f, command("echo", 9, amf.Null{}, amf.String("alive")))
				expect(t, "client", r.take(), "0: 0x14 _result 9 alive")
			})
		})
	}
}

func TestBadMessages(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message []byte
		reason  netconn.DropReason
	}{
		{"empty", nil, netconn.DropTruncated},
		{"header cut", []byte{0x14, 0, 0, 0}, netconn.DropTruncated},
		{"no values", []byte{0x14, 0, 0, 0, 0}, netconn.DropNoCommand},
		{"bad AMF", []byte{0x14, 0, 0, 0, 0, 2, 0, 9, 'x'}, netconn.DropAMF},
		{"AMF bomb", append([]byte{0x14, 0, 0, 0, 0}, strings.Repeat("\x0a\x00\x00\x00\x01", 500)...), netconn.DropAMF},
		{"format", []byte{0x11, 0, 0, 0, 0, 9}, netconn.DropFormat},
		{"long command", command("x", 1, amf.Null{}, amf.String(strings.Repeat("x", 5000))), netconn.DropOversize},
		{"chunk size", []byte{0x01, 0, 0, 0, 0, 0, 0, 16, 0}, netconn.DropType},
		{"unknown type", []byte{0x77, 0, 0, 0, 0}, netconn.DropType},
		{"event cut", []byte{0x04, 0, 0, 0, 0, 0}, netconn.DropTruncated},
		{"event", []byte{0x04, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0}, netconn.DropEvent},
		{"sync cut", []byte{0x04, 0, 0, 0, 0, 0, 34, 0, 0, 0, 0}, netconn.DropSync},
		{"sync of none", netconn.AppendFlowSync(nil, 1, 0), netconn.DropSync},
		{"media", []byte{0x08, 0, 0, 0, 0, 0xaf}, netconn.DropMedia},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(1, line)
				s := newNode(t, n)
				r, f := connected(t, n)
				s.take()
				r.send(f, tt.message)
				expect(t, "client", r.take())
				expect(t, "node", s.take())
				if got := s.stats().Drops[tt.reason]; got != 1 {
					t.Errorf("%v: %d of %v", tt.reason, got, s.stats().Drops)
				}
				r.send(f, command("echo", 9, amf.Null{}, amf.String("alive")))
				expect(t, "client", r.take(), "0: 0x14 _result 9 alive")
			})
		})
	}
}

func TestCommandsBeforeConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		r := newRaw(t, n, aliceAddr)
		f := r.open(control(), -1)
		r.send(f, command("setPeerInfo", 0, amf.Null{}), command("echo", 1, amf.Null{}))
		expect(t, "node", s.take())
		if got := s.stats().Drops[netconn.DropUnconnected]; got != 2 {
			t.Errorf("unconnected: %d", got)
		}
		// And not at all.
		settle(2 * time.Minute)
		s.do(func(e *rtmfp.Engine) { s.server.Advance(e.Now()) })
		settle(time.Second)
		expect(t, "node", s.take(), "closed: netconn: no connect in time")
		r.has(t, "session closed: rtmfp: session closed by the far end")
	})
}

// A barrier across the flows of a connection.
func TestFlowSyncToServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		r, f := connected(t, n)
		g := r.open(control(), 0)
		r.send(f, netconn.AppendFlowSync(nil, 5, 2), command("echo", 2, amf.Null{}, amf.String("after")))
		expect(t, "held", r.take())
		r.send(g, command("echo", 1, amf.Null{}, amf.String("before")), netconn.AppendFlowSync(nil, 5, 2))
		expect(t, "released", r.take(), "0: 0x14 _result 1 before", "0: 0x14 _result 2 after")
		// One that waits for flows which are over does not wait for ever.
		r.send(f, netconn.AppendFlowSync(nil, 6, 3), command("echo", 3, amf.Null{}, amf.String("go on")))
		expect(t, "held", r.take())
		r.do(func(*rtmfp.Engine) { g.Close() })
		settle(time.Second)
		r.has(t, "_result 3 go on")
		_ = s
	})
}
