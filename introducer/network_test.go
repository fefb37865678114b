package introducer

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// network joins engines without loss or delay; time passes only by wait.
type network struct {
	t       *testing.T
	now     time.Time
	engines map[netip.AddrPort]*rtmfp.Engine
	order   []netip.AddrPort
	watch   func(from, to netip.AddrPort, data []byte)
}

func newNetwork(t *testing.T) *network {
	return &network{t: t, now: time.Unix(1_700_000_000, 0), engines: make(map[netip.AddrPort]*rtmfp.Engine)}
}

func (n *network) add(addr string, c rtmfp.Config) (*rtmfp.Engine, netip.AddrPort) {
	n.t.Helper()
	at := netip.MustParseAddrPort(addr)
	c.KeyPool = -1
	e, err := rtmfp.NewEngine(c, n.now)
	if err != nil {
		n.t.Fatal(err)
	}
	n.engines[at] = e
	n.order = append(n.order, at)
	return e, at
}

// run moves datagrams and jobs until nothing is left to do.
func (n *network) run() {
	for busy := true; busy; {
		busy = false
		for _, from := range n.order {
			e := n.engines[from]
			var out []rtmfp.Datagram
			e.Flush(func(d []rtmfp.Datagram) {
				for i := range d {
					d[i].Data = bytes.Clone(d[i].Data)
					out = append(out, d[i])
				}
			})
			for _, d := range out {
				busy = true
				if n.watch != nil {
					n.watch(from, d.Peer, d.Data)
				}
				if to := n.engines[d.Peer]; to != nil {
					to.Receive(n.now, rtmfp.Datagram{Local: d.Peer, Peer: from, TOS: d.TOS, Data: d.Data})
				}
			}
			for _, j := range e.TakeJobs() {
				busy = true
				j.Run()
				e.Finish(n.now, j)
			}
		}
	}
}

// wait lets time pass, stopping at every deadline.
func (n *network) wait(d time.Duration) {
	end := n.now.Add(d)
	for {
		n.run()
		next := end
		for _, e := range n.engines {
			if at := e.Deadline(); !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		if next.After(n.now) {
			n.now = next
		}
		for _, e := range n.engines {
			e.Advance(n.now)
		}
		if !n.now.Before(end) {
			n.run()
			return
		}
	}
}

// user is a client of the node.
type user struct {
	net    *network
	addr   netip.AddrPort
	engine *rtmfp.Engine
	client *netconn.Client
	id     *flash.Identity

	connected bool
	accepted  []*rtmfp.Session // opened by others
	opened    []*rtmfp.Session // by us
	closed    []error
}

func identity(t *testing.T, o flash.IdentityOptions) *flash.Identity {
	t.Helper()
	id, err := flash.NewIdentity(o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (n *network) user(addr string) *user {
	u := &user{net: n, id: identity(n.t, flash.IdentityOptions{})}
	u.engine, u.addr = n.add(addr, rtmfp.Config{
		Identity: u.id, Handler: u, SequentialIDs: true, Introductions: rtmfp.AnswerIntroductions,
	})
	return u
}

// connect connects to the node; peerInfo is what setPeerInfo says.
func (u *user) connect(node netip.AddrPort, peerInfo ...netip.AddrPort) *user {
	u.net.t.Helper()
	c, err := netconn.Dial(u.engine, netconn.ClientConfig{
		URI: "rtmfp://" + node.String() + "/app", Addrs: []netip.AddrPort{node}, PeerInfo: peerInfo,
	}, u)
	if err != nil {
		u.net.t.Fatal(err)
	}
	u.client = c
	u.net.wait(100 * time.Millisecond)
	return u
}

// seek opens a session to another peer through the node.
func (u *user) seek(id *flash.Identity, node netip.AddrPort) *rtmfp.Session {
	u.net.t.Helper()
	s, err := u.engine.Open(rtmfp.Target{EPD: id.Certificate().EPD(), Addrs: []netip.AddrPort{node}}, sessions{u})
	if err != nil {
		u.net.t.Fatal(err)
	}
	u.net.wait(100 * time.Millisecond)
	return s
}

func (u *user) Connected(amf.Object)             { u.connected = true }
func (u *user) Status(amf.Object)                {}
func (u *user) Command(netconn.Command) bool     { return false }
func (u *user) OnPeerConnect(*netconn.Peer) bool { return true }
func (u *user) OnPlay(*netconn.PlayRequest)      {}
func (u *user) Hello(*rtmfp.Engine, rtmfp.Hello) {}
func (u *user) Moved(*rtmfp.Session)             {}

func (u *user) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	u.accepted = append(u.accepted, s)
	return sessions{u}
}

// Opened, Incoming and Closed of a session are in another type, because the
// Closed of a ClientHandler takes other arguments.
type sessions struct{ *user }

func (h sessions) Opened(s *rtmfp.Session)          { h.opened = append(h.opened, s) }
func (h sessions) Closed(_ *rtmfp.Session, e error) { h.closed = append(h.closed, e) }
func (h sessions) Incoming(*rtmfp.Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{}, nil
}

func (u *user) Closed(err error) { u.closed = append(u.closed, err) }
