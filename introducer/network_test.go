package introducer

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/memory"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// network joins engines; time passes only by wait. What is not on places is on
// the backbone.
type network struct {
	*memory.Network
	t       *testing.T
	places  map[netip.Addr]*memory.Link
	engines map[netip.AddrPort]*rtmfp.Engine
	sites   map[int]*memory.Site
	watch   func(from, to netip.AddrPort, data []byte)
	lose    func() bool
	relay   *relayInMemory // nil: none
}

func newNetwork(t *testing.T) *network {
	n := &network{
		Network: memory.New(time.Unix(1_700_000_000, 0)), t: t,
		places: make(map[netip.Addr]*memory.Link), engines: make(map[netip.AddrPort]*rtmfp.Engine),
	}
	n.Watch(func(from, to netip.AddrPort, data []byte) {
		if n.watch != nil {
			n.watch(from, to, data)
		}
	})
	n.slow(0)
	return n
}

// slow sets how long a packet takes.
func (n *network) slow(delay time.Duration) {
	n.SetPath(memory.Path{Delay: delay, Lose: func() bool { return n.lose != nil && n.lose() }})
}

// pathBetween is a backbone that drops what drop says.
func pathBetween(delay time.Duration, drop func(p lab.Packet) bool) memory.Path {
	return memory.Path{Delay: delay, Drop: drop}
}

func (n *network) add(addr string, c rtmfp.Config) (*rtmfp.Engine, netip.AddrPort) {
	n.t.Helper()
	c.KeyPool = -1
	e, err := rtmfp.NewEngine(c, n.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	return e, n.bind(netip.MustParseAddrPort(addr), e)
}

// bind gives an engine a socket.
func (n *network) bind(at netip.AddrPort, e *rtmfp.Engine) netip.AddrPort {
	l := n.places[at.Addr()]
	if l == nil {
		l = n.Backbone()
	}
	n.Attach(l, e, at)
	n.engines[at] = e
	return at
}

// behind puts the host with that inside address behind NATs of a kind.
func (n *network) behind(k lab.Kind, inside netip.Addr, seed uint64, publics ...netip.Addr) {
	l := n.Backbone()
	for i := len(k.Chain) - 1; i >= 0; i-- {
		b := k.Chain[i]
		b.Seed = seed
		if b.Mapping != lab.NoTranslation {
			b.Public = []netip.Addr{publics[len(publics)-len(k.Chain)+i]}
		}
		l = l.Behind(b)
	}
	n.places[inside] = l
}

func (n *network) wait(d time.Duration) { n.Wait(d) }

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
	greets    bool                   // it says something over each session at once, as who calls does
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

func (h sessions) Opened(s *rtmfp.Session) {
	h.opened = append(h.opened, s)
	if h.greets {
		s.Ping()
	}
}
func (h sessions) Closed(_ *rtmfp.Session, e error) { h.closed = append(h.closed, e) }
func (h sessions) Incoming(*rtmfp.Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{}, nil
}

func (u *user) Closed(err error) { u.closed = append(u.closed, err) }
