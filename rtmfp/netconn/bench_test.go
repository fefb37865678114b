package netconn_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// bench is engines without a driver or a clock: what one sends another receives
// at once. The first has the certificate of a server.
type bench struct {
	now     time.Time
	engines []*rtmfp.Engine
	addrs   []netip.AddrPort
}

// identities are made once: a fuzzed function runs often.
var identities [3]*flash.Identity

func newBench(t *testing.T, handlers ...rtmfp.Handler) *bench {
	t.Helper()
	p := &bench{now: time.Unix(1000, 0)}
	for i, h := range handlers {
		var err error
		if identities[i] == nil {
			o := flash.IdentityOptions{Static: []flash.Group{flash.Group2}, AcceptAncillary: i == 0}
			if identities[i], err = flash.NewIdentity(o); err != nil {
				t.Fatal(err)
			}
		}
		e, err := rtmfp.NewEngine(rtmfp.Config{Identity: identities[i], Handler: h, KeyPool: -1}, p.now)
		if err != nil {
			t.Fatal(err)
		}
		p.engines = append(p.engines, e)
		p.addrs = append(p.addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 1935))
	}
	return p
}

// pump exchanges datagrams until there are none.
func (p *bench) pump() {
	for busy := true; busy; {
		busy = false
		for i, e := range p.engines {
			for _, j := range e.TakeJobs() {
				j.Run()
				e.Finish(p.now, j)
				busy = true
			}
			e.Flush(func(out []rtmfp.Datagram) {
				busy = true
				for _, d := range out {
					if to := slices.Index(p.addrs, d.Peer); to >= 0 && to != i {
						p.engines[to].Receive(p.now, rtmfp.Datagram{Local: d.Peer, Peer: p.addrs[i], TOS: d.TOS, Data: d.Data})
					}
				}
			})
		}
	}
}

// pass lets time pass.
func (p *bench) pass(d time.Duration) {
	for end := p.now.Add(d); p.now.Before(end); {
		p.now = p.now.Add(100 * time.Millisecond)
		for _, e := range p.engines {
			e.Advance(p.now)
		}
		p.pump()
	}
}

// silent is a session's handler that takes everything and says nothing.
type silent struct {
	hello    func(*rtmfp.Engine, rtmfp.Hello)
	session  *rtmfp.Session
	in       []*flow.RecvFlow
	messages [][]byte
}

func (s *silent) Hello(e *rtmfp.Engine, h rtmfp.Hello) {
	if s.hello != nil {
		s.hello(e, h)
	}
}
func (s *silent) Accept(*rtmfp.Session) rtmfp.SessionHandler { return s }
func (s *silent) Opened(r *rtmfp.Session)                    { s.session = r }
func (*silent) Moved(*rtmfp.Session)                         {}
func (*silent) Closed(*rtmfp.Session, error)                 {}
func (s *silent) Incoming(_ *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	s.in = append(s.in, f)
	return flow.Accept{Receiver: s}, nil
}

func (s *silent) Message(_ *flow.RecvFlow, msg []byte) {
	s.messages = append(s.messages, bytes.Clone(msg))
}
func (*silent) Ended(*flow.RecvFlow, error) {}

// serving accepts every connection.
type serving struct{ conn *netconn.Conn }

func (s *serving) Connect(netconn.Request)    { _ = s.conn.Accept() }
func (*serving) SetPeerInfo([]netip.AddrPort) {}
func (*serving) Command(netconn.Command) bool { return false }
func (*serving) Moved()                       {}
func (*serving) Closed(error)                 {}

type listening struct{ server *netconn.Server }

func (*listening) Hello(*rtmfp.Engine, rtmfp.Hello)               {}
func (l *listening) Accept(s *rtmfp.Session) rtmfp.SessionHandler { return l.server.Accept(s) }

// dialing is a client's handler that plays and lets play.
type dialing struct {
	client *netconn.Client
	pub    *netconn.Publication
}

func (*dialing) Hello(*rtmfp.Engine, rtmfp.Hello)               {}
func (d *dialing) Accept(s *rtmfp.Session) rtmfp.SessionHandler { return d.client.Accept(s) }
func (*dialing) Connected(amf.Object)                           {}
func (*dialing) Status(amf.Object)                              {}
func (*dialing) Command(netconn.Command) bool                   { return false }
func (*dialing) OnPeerConnect(*netconn.Peer) bool               { return true }
func (d *dialing) OnPlay(r *netconn.PlayRequest)                { r.Accept(d.pub) }
func (*dialing) Closed(error)                                   {}
func (*dialing) Subscribed(*netconn.Peer)                       {}
func (*dialing) Unsubscribed(*netconn.Peer, error)              {}
func (*dialing) Writable()                                      {}

// ignoring is the handler of a subscription.
type ignoring struct{}

func (ignoring) Status(string, amf.Object) {}
func (ignoring) Message(netconn.Message)   {}
func (ignoring) Closed(error)              {}
