package netconn_test

import (
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/wire"
)

// A client calls a peer, and before the node has introduced them the peer has
// called it: the stream uses the peer's session, whether that has proven itself
// by a packet or not.
func TestPeerCallsMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		proven bool
	}{{"proven", true}, {"unproven", false}} {
		t.Run(tt.name, func(t *testing.T) {
			s, d, peer := &silent{}, &dialing{}, &silent{}
			p := newBench(t, s, d, peer)
			dial(t, p, d)
			answer(t, s)
			p.pump()
			v := &viewer{}
			if _, err := d.client.Play(identities[2].PeerID(), "cam", v); err != nil {
				t.Fatal(err)
			}
			p.pump()
			if _, err := p.engines[2].Open(rtmfp.Target{EPD: identities[1].Certificate().EPD(), Addrs: p.addrs[1:2]}, peer); err != nil {
				t.Fatal(err)
			}
			p.pump()
			if peer.session == nil {
				t.Fatal("no session")
			}
			if tt.proven {
				peer.session.Ping()
				p.pump()
			} else {
				expect(t, "before the introduction", v.take())
				s.hello = func(e *rtmfp.Engine, h rtmfp.Hello) {
					e.Redirect(h.Local, h.From, h.Tag, []wire.Address{{AddrPort: p.addrs[2], Origin: wire.OriginObserved}})
				}
				p.pass(3 * time.Second)
			}
			expect(t, "viewer", v.take(), "NetStream.Connect.Success")
			if len(peer.in) != 1 {
				t.Fatalf("%d flows", len(peer.in))
			}
			g, err := peer.session.OpenFlow(stream(1), flow.SendOptions{ReturnOf: peer.in[0]})
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Write(netconn.AppendStreamBegin(nil, 1), flow.WriteOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := g.Write([]byte{8, 0, 0, 0, 0, 1}, flow.WriteOptions{}); err != nil {
				t.Fatal(err)
			}
			p.pump()
			if len(v.got()) != 1 {
				t.Errorf("%d messages", len(v.got()))
			}
			if n := len(d.client.Peers()); n != 1 {
				t.Errorf("%d peers", n)
			}
			peer.session.Close()
			p.pump()
			v.has(t, "closed: rtmfp: session closed by the far end")
			if n := len(d.client.Peers()); n != 0 {
				t.Errorf("%d peers left", n)
			}
		})
	}
}

// A client takes peers only while it is connected.
func TestPeersNeedTheNode(t *testing.T) {
	s, d, peer := &silent{}, &dialing{}, &silent{}
	p := newBench(t, s, d, peer)
	dial(t, p, d) // not answered
	open(t, p, peer)
	if n := len(d.client.Peers()); n != 0 {
		t.Errorf("%d peers", n)
	}
	if _, err := d.client.Play(identities[2].PeerID(), "cam", &viewer{}); err == nil {
		t.Error("played without a NetConnection")
	}
	if peer.session.Open() {
		t.Error("the session is open")
	}
}
