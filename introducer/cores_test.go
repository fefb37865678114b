package introducer

import (
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/introducer/pairing"
	"pileus/natprobe/lab"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/wire"
)

// Messages of the redirector protocol.
var (
	coreDrains  = []byte{0x00}
	coreHere    = []byte{0x05, 1, 0x0d} // at the address it is seen at
	coreNowhere = []byte{0x05}
	coreUser    = []byte{0x10, 1, 2, 3}
)

func coreLoad(n byte) []byte { return []byte{0x0f, n} }

// core is a core server of the test.
type core struct {
	net    *network
	id     *flash.Identity
	engine *rtmfp.Engine
	addr   netip.AddrPort

	session  *rtmfp.Session
	flow     *flow.SendFlow
	answers  int              // flows of the node
	observed []netip.AddrPort // as the node told
	refused  []uint64         // codes of exceptions
	at       time.Time        // of the last of them
	clients  []flash.PeerID   // that have come here
}

// front is a node in front of cores, in both families.
func (n *network) front(c CoresConfig) (*Node, netip.AddrPort) {
	n.t.Helper()
	c.Keys = map[string]string{"one": "first password", "two": "second password"}
	node := New(Config{Log: slog.New(slog.DiscardHandler), Cores: &c})
	e, at := n.add("192.0.2.1:1935", rtmfp.Config{
		Identity: identity(n.t, flash.IdentityOptions{Hostname: "lb.example"}), Handler: node,
		Policy: flash.Policy{HMAC: flash.Require, SSEQ: flash.Require},
	})
	n.bind(netip.MustParseAddrPort("[2001:db8:ffff::1]:1935"), e)
	return node, at
}

// core makes a core that knows nobody so far; a nil id is a new one.
func (n *network) core(addr string, id *flash.Identity) *core {
	n.t.Helper()
	c := &core{net: n, id: id}
	if id == nil {
		c.id = identity(n.t, flash.IdentityOptions{AcceptAncillary: true})
	}
	c.engine, c.addr = n.add(addr, rtmfp.Config{Identity: c.id, Handler: c, SequentialIDs: true})
	return c
}

// visit opens a session to a node and the flow to register on.
func (c *core) visit(node netip.AddrPort) *core {
	c.net.t.Helper()
	var err error
	c.session, err = c.engine.Open(rtmfp.Target{
		EPD: flash.EPD{Hostname: []byte("lb.example"), HasHostname: true}, Addrs: []netip.AddrPort{node},
	}, c)
	if err != nil {
		c.net.t.Fatal(err)
	}
	c.net.wait(100 * time.Millisecond)
	if c.flow == nil {
		c.net.t.Fatal("no session")
	}
	return c
}

// register visits a node as core "one" and says more.
func (c *core) register(node netip.AddrPort, more ...[]byte) *core {
	c.net.t.Helper()
	c.visit(node)
	c.say(append([][]byte{c.proof("one", "first password")}, more...)...)
	return c
}

func (c *core) proof(key, password string) []byte {
	_, nonce := c.session.Nonces()
	h := hmac.New(sha256.New, []byte(password))
	h.Write(nonce)
	return append(h.Sum([]byte{0x1d}), key...)
}

func (c *core) say(messages ...[]byte) {
	c.net.t.Helper()
	for _, m := range messages {
		if err := c.flow.Write(m, flow.WriteOptions{}); err != nil {
			c.net.t.Fatal(err)
		}
	}
	c.net.wait(100 * time.Millisecond)
}

func (c *core) has(u *user) bool { return slices.Contains(c.clients, u.id.PeerID()) }

func (*core) Hello(*rtmfp.Engine, rtmfp.Hello) {}

func (c *core) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	c.clients = append(c.clients, s.PeerID())
	return c
}

func (c *core) Opened(s *rtmfp.Session) {
	if !s.Initiator() {
		return
	}
	s.SetIntroductions(rtmfp.AnswerIntroductions)
	var err error
	if c.flow, err = s.OpenFlow([]byte(pairing.RedirectorURI), flow.SendOptions{Events: flowEvents{c}}); err != nil {
		c.net.t.Error(err)
	}
}

func (c *core) Incoming(s *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	if !s.Initiator() {
		return flow.Accept{}, nil
	}
	if f.ReturnOf() != c.flow || string(f.Metadata()) != pairing.RedirectorURI {
		c.net.t.Errorf("a flow of %q", f.Metadata())
	}
	c.answers++
	return flow.Accept{Receiver: c}, nil
}

func (c *core) Message(_ *flow.RecvFlow, m []byte) {
	a, _, err := wire.ParseAddress(m[1:])
	if m[0] != 0x0d || err != nil {
		c.net.t.Errorf("the node says %x", m)
	}
	c.observed = append(c.observed, a.AddrPort)
}

func (c *core) Exception(_ *flow.SendFlow, code uint64) {
	c.refused, c.at = append(c.refused, code), c.net.Now()
}

func (*core) Moved(*rtmfp.Session)         {}
func (*core) Writable(*flow.SendFlow)      {}
func (*core) Ended(*flow.RecvFlow, error)  {}
func (*core) Closed(*rtmfp.Session, error) {}

// flowEvents is a core as flow.SendEvents, whose Closed is another.
type flowEvents struct{ *core }

func (flowEvents) Closed(*flow.SendFlow, error) {}

// A core is told where it is seen once it says something beside who it is, and
// again when that changes; it is there until it ends its flow.
func TestCoreRegisters(t *testing.T) {
	n := newNetwork(t)
	node, at := n.front(CoresConfig{})
	const lifetime = 5 * time.Second
	inside := netip.MustParseAddrPort("10.1.0.2:1935")
	n.places[inside.Addr()] = n.Backbone().Behind(lab.Behavior{
		Mapping: lab.EndpointIndependentMapping, Filtering: lab.AddressAndPortDependentFiltering, Allocation: lab.RandomPort, Lifetime: lifetime, Seed: 1,
		Public: []netip.Addr{netip.MustParseAddr("198.51.100.9")},
	})
	c := n.core(inside.String(), nil).register(at)
	if c.answers != 0 || len(node.CoreInfos()) != 0 {
		t.Errorf("who has only proven itself: %d flows, %v", c.answers, node.CoreInfos())
	}
	c.say(coreUser, coreLoad(3))
	if c.answers != 1 || len(c.observed) != 1 || len(node.CoreInfos()) != 0 {
		t.Errorf("%d flows, observed at %v, registered %v", c.answers, c.observed, node.CoreInfos())
	}
	c.say(coreHere)
	infos := node.CoreInfos()
	if len(infos) != 1 || infos[0].ID != c.id.PeerID() || infos[0].KeyID != "one" || infos[0].Load != 3 || infos[0].Addr != c.observed[0] {
		t.Fatalf("%+v, observed at %v", infos, c.observed)
	}
	n.wait(2 * lifetime)
	c.say(coreLoad(4))
	n.wait(2 * time.Second)
	if infos = node.CoreInfos(); len(c.observed) != 2 || c.observed[0] == c.observed[1] || infos[0].Addr != c.observed[1] || c.answers != 1 {
		t.Errorf("moved: told %v in %d flows, at %v", c.observed, c.answers, infos[0].Addr)
	}
	c.flow.Close()
	n.wait(time.Second)
	if len(node.CoreInfos()) != 0 {
		t.Error("it is still there")
	}
}

// Who does not prove to know a key waits, and is told then.
func TestCoreWithoutProof(t *testing.T) {
	for name, test := range map[string]struct {
		messages func(c *core) [][]byte
		refused  bool
	}{
		"a wrong password": {func(c *core) [][]byte { return [][]byte{c.proof("one", "second password"), coreHere} }, true},
		"a command before": {func(c *core) [][]byte { return [][]byte{coreHere, c.proof("one", "first password"), coreHere} }, true},
		"draining before":  {func(*core) [][]byte { return [][]byte{coreDrains} }, true},
		"half a proof":     {func(c *core) [][]byte { return [][]byte{c.proof("one", "first password")[:20]} }, true},
		"an unknown key":   {func(c *core) [][]byte { return [][]byte{c.proof("three", "third password"), coreHere} }, true},
		"an unknown key first": {func(c *core) [][]byte {
			return [][]byte{c.proof("three", ""), c.proof("two", "second password"), coreHere}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			node, at := n.front(CoresConfig{})
			c := n.core("198.51.100.1:1935", nil).visit(at)
			began := n.Now()
			c.say(test.messages(c)...)
			n.wait(5 * time.Second)
			if registered := len(node.CoreInfos()) == 1; registered == test.refused {
				t.Errorf("registered: %v", registered)
			}
			switch {
			case !test.refused:
				if len(c.refused) > 0 || node.Stats().CoresRefused != 0 {
					t.Errorf("refused with %v", c.refused)
				}
			case len(c.refused) != 1 || c.refused[0] != pairing.ExceptionAuth || node.Stats().CoresRefused != 1 || c.answers != 0:
				t.Errorf("refused with %v, %d counted, %d flows", c.refused, node.Stats().CoresRefused, c.answers)
			case c.at.Sub(began) < 2*time.Second:
				t.Errorf("told after %v", c.at.Sub(began))
			}
		})
	}
}

// A core that connects anew stays when its old session ends, whichever ends first
// (the fault: the end of the older erases the registration of the newer).
func TestCoreConnectsAnew(t *testing.T) {
	n := newNetwork(t)
	node, at := n.front(CoresConfig{})
	older := n.core("198.51.100.1:1935", nil).register(at, coreHere)
	newer := n.core("198.51.100.2:1935", older.id).register(at, coreHere)
	if infos := node.CoreInfos(); len(infos) != 1 || infos[0].Addr != newer.addr {
		t.Fatalf("%+v", infos)
	}
	older.session.Close()
	n.wait(time.Second)
	u := n.user("203.0.113.1:5000").connect(at)
	if s := n.user("203.0.113.2:5000").seek(newer.id, at); !newer.has(u) || !s.Open() || s.Addr() != newer.addr {
		t.Errorf("by URI %v, by fingerprint %v at %v", newer.has(u), s.Open(), s.Addr())
	}
	newer.session.Close()
	n.wait(time.Second)
	if len(node.CoreInfos()) != 0 {
		t.Error("it is still there")
	}
}

// A core that drains gets no new clients, and those who know it find it, also when
// it says so before its first settings (the fault: it is not registered then).
func TestCoreDrains(t *testing.T) {
	for name, messages := range map[string][][]byte{
		"without settings": {coreDrains}, "before its settings": {coreDrains, coreHere}, "after them": {coreHere, coreDrains},
		"and settings again": {coreHere, coreDrains, coreNowhere, coreHere},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			node, at := n.front(CoresConfig{})
			c := n.core("198.51.100.1:1935", nil).register(at, messages...)
			if infos := node.CoreInfos(); len(infos) != 1 || !infos[0].Draining {
				t.Fatalf("%+v", infos)
			}
			if name == "without settings" {
				return // it has said nothing of where it is
			}
			if u := n.user("203.0.113.1:5000").connect(at); c.has(u) || node.Stats().NoCore != 1 {
				t.Errorf("it got a client: %v, %+v", c.has(u), node.Stats())
			}
			if s := n.user("203.0.113.2:5000").seek(c.id, at); !s.Open() {
				t.Error("it is not found by its fingerprint")
			}
		})
	}
}

// A client is told of the core before the core is of the client, and the core
// answers the client itself, which opens its NAT.
func TestClientToCore(t *testing.T) {
	n := newNetwork(t)
	n.slow(20 * time.Millisecond)
	node, at := n.front(CoresConfig{})
	inside := netip.MustParseAddrPort("10.1.0.2:1935")
	k, _ := lab.KindNamed("N4")
	n.behind(k, inside.Addr(), 1, netip.MustParseAddr("198.51.100.9"))
	c := n.core(inside.String(), nil).register(at, coreHere)
	n.wait(5 * time.Second)
	u := n.user("203.0.113.1:5000")
	var order []netip.AddrPort
	n.watch = func(from, to netip.AddrPort, _ []byte) {
		if from == at {
			order = append(order, to)
		}
	}
	u.connect(at)
	n.wait(3 * time.Second)
	if !c.has(u) || node.Stats().ToCores == 0 {
		t.Errorf("it did not come: %+v", node.Stats())
	}
	if len(order) < 2 || order[0] != u.addr || order[1] != c.observed[0] {
		t.Errorf("told in the order %v", order)
	}
}

// Clients go to the least loaded core of their family, and to the next one when
// the first does not answer.
func TestClientsChooseCores(t *testing.T) {
	v6 := "[2001:db8:1::1]:5000"
	for _, other := range []bool{false, true} {
		n := newNetwork(t)
		node, at := n.front(CoresConfig{OtherFamilies: other})
		busy := n.core("198.51.100.1:1935", nil).register(at, coreHere, coreLoad(9))
		idle := n.core("198.51.100.2:1935", nil).register(at, coreHere, coreLoad(9), coreLoad(1))
		if u := n.user("203.0.113.1:5000").connect(at); !idle.has(u) || busy.has(u) {
			t.Error("not sent to the least loaded")
		}
		at6 := netip.AddrPortFrom(netip.MustParseAddr("2001:db8:ffff::1"), at.Port())
		n.user(v6).connect(at6)
		if got := node.Stats().NoCore == 0; got != other {
			t.Errorf("sent to another family: %v, allowed: %v", got, other)
		}
		both := append([]byte{}, coreHere...)
		both = append(both, 20, 0x0a)
		both = wire.Address{AddrPort: netip.MustParseAddrPort("[2001:db8:2::3]:1935"), Origin: wire.OriginObserved}.Append(both)
		dual := n.core("198.51.100.3:1935", nil)
		n.bind(netip.MustParseAddrPort("[2001:db8:2::3]:1935"), dual.engine)
		dual.register(at, both, coreLoad(0))
		if u := n.user("[2001:db8:1::2]:5000").connect(at6); !dual.has(u) {
			t.Error("an address it advertised is not named")
		}

		// Silence is noticed later; the client's own repeats are faster.
		n.Cut(dual.engine)
		u, began := n.user("203.0.113.2:5000"), n.Now()
		u.dial(at, "app")
		if !n.WaitUntil(10*time.Second, func() bool { return idle.has(u) }) {
			t.Errorf("%v later the client of a dead core has found no other", n.Now().Sub(began))
		}
	}
}

// What comes to a source that never answers, from the node and from the core that it sends
// it to, is three times what named it at most, or what a ration allows a prefix; and where
// the answer alone is no more than that, everybody gets one.
func TestForgedHellosInFrontOfCores(t *testing.T) {
	long := make([]byte, 0, 40) // settings that advertise sixteen addresses
	long = append(long, 0x05)
	for i := range byte(16) {
		long = append(long, 8, 0x0a, 2, 192, 0, 2, 10+i, 7, 143)
	}
	sealer, _ := flash.NewStartup()
	for name, uri := range map[string]string{"the shortest URI": "", "a URI as clients have": "rtmfp://node.example/conference/room"} {
		for _, pace := range []time.Duration{time.Millisecond, 12 * time.Millisecond} {
			settings := long
			if pace == time.Millisecond {
				settings = coreHere
			}
			n := newNetwork(t)
			_, at := n.front(CoresConfig{})
			c := n.core("203.0.113.50:1935", nil).register(at, settings)
			received, sent, answered, forwarded := 0, 0, map[netip.AddrPort]bool{}, 0
			const headers = 20 + 8
			n.watch = func(from, to netip.AddrPort, data []byte) {
				if to.Addr() == c.addr.Addr() {
					forwarded++
				}
				if netip.MustParsePrefix("198.51.0.0/16").Contains(to.Addr()) {
					sent += len(data) + headers
					answered[to] = answered[to] || from == at
				}
			}
			const victims = 2000
			for i := range victims {
				from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), uint16(1000+i))
				hello := wire.IHello{EPD: flash.EPD{Ancillary: []byte(uri), HasAncillary: true}.Append(nil), Tag: []byte{byte(i), byte(i >> 8), 1, 2}}
				data := sealer.Finish(hello.Append(wire.Header{Mode: wire.ModeStartup}.Append(sealer.Begin(nil))), wire.SessionID{})
				received += len(data) + headers
				n.engines[at].Receive(n.Now(), rtmfp.Datagram{Local: at, Peer: from, Data: data})
				n.wait(pace)
			}
			n.wait(time.Second)
			times := float64(sent) / float64(received)
			t.Logf("%s, %d bytes of settings: %.2f times, %d of %d answered, %d packets to the core", name, len(settings), times, len(answered), victims, forwarded)
			const most = 700 // bytes of one answer, of node and core
			rationed := (50 + 5*victims*pace.Seconds()) * most
			if float64(sent) > 3*float64(received)+rationed {
				t.Errorf("%s: %d bytes for %d", name, sent, received)
			}
			if len(answered) < victims {
				t.Errorf("%s: %d of %d are answered", name, len(answered), victims)
			}
		}
	}
}
