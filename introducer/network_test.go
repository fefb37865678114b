package introducer

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/natprobe/lab"
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
	chains  map[netip.Addr][]*lab.NAT         // of an inside address, its own side first
	second  map[netip.AddrPort]netip.AddrPort // of hosts with both families
	lose    func() bool
	flight  []inFlight // with delay only, in order of arrival
	delay   time.Duration
}

type inFlight struct {
	at       time.Time
	from, to netip.AddrPort
	data     []byte
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
				for _, c := range d {
					c.Data = bytes.Clone(c.Data)
					out = append(out, c)
				}
			})
			for _, d := range out {
				busy = true
				if n.watch != nil {
					n.watch(from, d.Peer, d.Data)
				}
				src := from
				if d.Local.IsValid() {
					src = d.Local
				} else if d.Peer.Addr().Is4() != from.Addr().Is4() {
					src = n.second[from]
				}
				n.carry(src, d.Peer, d.Data)
			}
			for _, j := range e.TakeJobs() {
				busy = true
				j.Run()
				e.Finish(n.now, j)
			}
		}
	}
}

// carry takes a datagram through the NATs on its way.
func (n *network) carry(from, to netip.AddrPort, data []byte) {
	if n.lose != nil && n.lose() {
		return
	}
	for _, nat := range n.chains[from.Addr()] {
		p, fate := nat.Outbound(n.now, lab.Packet{Src: from, Dst: to})
		if fate != lab.ToOutside {
			return // nothing here needs a hairpin
		}
		from = p.Src
	}
	n.flight = append(n.flight, inFlight{n.now.Add(n.delay), from, to, data})
	if n.delay == 0 {
		n.land()
	}
}

// land delivers what has arrived by now.
func (n *network) land() {
	for len(n.flight) > 0 && !n.flight[0].at.After(n.now) {
		f := n.flight[0]
		n.flight = n.flight[1:]
		if e := n.engines[f.to]; e != nil && len(n.chains[f.to.Addr()]) == 0 {
			e.Receive(n.now, rtmfp.Datagram{Local: f.to, Peer: f.from, Data: f.data})
			continue
		}
		for inside, chain := range n.chains {
			if p, ok := comeIn(n.now, chain, f); ok && p.Dst.Addr() == inside {
				if e := n.engines[p.Dst]; e != nil {
					e.Receive(n.now, rtmfp.Datagram{Local: p.Dst, Peer: p.Src, Data: f.data})
				}
				break
			}
		}
	}
}

// comeIn takes a packet in through a chain, from its outer end, if it is for it.
func comeIn(now time.Time, chain []*lab.NAT, f inFlight) (lab.Packet, bool) {
	p := lab.Packet{Src: f.from, Dst: f.to}
	for i := len(chain) - 1; i >= 0; i-- {
		b := chain[i].Behavior()
		if b.Mapping != lab.NoTranslation && !slices.Contains(b.Public, p.Dst.Addr()) {
			return p, false
		}
		var fate lab.Fate
		if p, fate = chain[i].Inbound(now, p); fate != lab.ToInside {
			return p, false
		}
	}
	return p, true
}

// behind puts the host with that inside address behind NATs of a kind.
func (n *network) behind(k lab.Kind, inside netip.Addr, seed uint64, publics ...netip.Addr) {
	if n.chains == nil {
		n.chains = make(map[netip.Addr][]*lab.NAT)
	}
	var chain []*lab.NAT
	for i, b := range k.Chain {
		b.Seed = seed
		if b.Mapping != lab.NoTranslation {
			b.Public = []netip.Addr{publics[len(publics)-len(k.Chain)+i]}
		}
		chain = append(chain, lab.NewNAT(b))
	}
	if len(chain) > 0 {
		n.chains[inside] = chain
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
		if len(n.flight) > 0 && n.flight[0].at.Before(next) {
			next = n.flight[0].at
		}
		if next.After(n.now) {
			n.now = next
		}
		n.land()
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
	events    []amf.Object
	commands  []netconn.Command
	mode      rtmfp.IntroductionMode // towards the node
	args      []amf.Value            // of connect
	accepted  []*rtmfp.Session       // opened by others
	opened    []*rtmfp.Session       // by us
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
	u := &user{net: n, id: identity(n.t, flash.IdentityOptions{}), mode: rtmfp.AnswerIntroductions}
	u.engine, u.addr = n.add(addr, rtmfp.Config{
		Identity: u.id, Handler: u, SequentialIDs: true, Introductions: rtmfp.AnswerIntroductions,
	})
	return u
}

// connect connects to the node; peerInfo is what setPeerInfo says.
func (u *user) connect(node netip.AddrPort, peerInfo ...netip.AddrPort) *user {
	u.net.t.Helper()
	u.dial(node, "app", peerInfo...)
	u.net.wait(100 * time.Millisecond)
	return u
}

func (u *user) dial(node netip.AddrPort, app string, peerInfo ...netip.AddrPort) {
	u.net.t.Helper()
	c, err := netconn.Dial(u.engine, netconn.ClientConfig{
		URI: "rtmfp://" + node.String() + "/" + app, Addrs: []netip.AddrPort{node}, PeerInfo: peerInfo, Args: u.args,
	}, u)
	if err != nil {
		u.net.t.Fatal(err)
	}
	u.client = c
}

// call calls a command of the node and gives its one result, or the code of its
// error.
func (u *user) call(name string, args ...amf.Value) (result amf.Object, code string) {
	u.net.t.Helper()
	code = "no answer"
	if err := u.client.Call(name, func(results amf.Args, err error) {
		var status *netconn.StatusError
		switch code = ""; {
		case errors.As(err, &status):
			code = status.Code
		case err != nil:
			code = err.Error()
		default:
			result, _ = results.Object(0)
		}
	}, args...); err != nil {
		u.net.t.Fatal(err)
	}
	u.net.wait(100 * time.Millisecond)
	return result, code
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

func (u *user) Connected(amf.Object) {
	u.connected = true
	u.engine.Sessions(func(s *rtmfp.Session) { s.SetIntroductions(u.mode) })
}
func (u *user) Status(o amf.Object)              { u.events = append(u.events, o) }
func (u *user) Command(c netconn.Command) bool   { u.commands = append(u.commands, c); return true }
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
