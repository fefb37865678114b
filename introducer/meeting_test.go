package introducer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// named is an address that a node has told somebody of.
type told struct {
	after time.Duration
	to    netip.AddrPort
	addrs []netip.AddrPort
}

// redirects notes every Redirect that leaves the node from now on.
func (w *two) redirects() *[]told {
	var list []told
	began := w.Now()
	p := &unforgiving{}
	p.sealer, p.opener = flash.NewStartup()
	w.watch = func(_, to netip.AddrPort, data []byte) {
		typ, body := p.chunk(data)
		if typ != wire.ChunkRedirect {
			return
		}
		r, err := wire.ParseRedirect(body)
		if err != nil {
			w.t.Fatal(err)
		}
		t := told{after: w.Now().Sub(began), to: to}
		for a := range r.Addresses() {
			t.addrs = append(t.addrs, a.AddrPort)
		}
		list = append(list, t)
	}
	return &list
}

func pairOfKinds(t *testing.T, a, b string, rtt time.Duration) *two {
	t.Helper()
	var kinds [2]lab.Kind
	for i, name := range []string{a, b} {
		k, ok := lab.KindNamed(name)
		if !ok {
			t.Fatalf("no kind %s", name)
		}
		kinds[i] = k
	}
	return newTwo(t, kinds[0], kinds[1], rtt, 1)
}

func (w *two) relayAddress(a netip.AddrPort) bool { _, ok := w.relay.socket[a]; return ok }

// The first answer waits for what decides, and no longer.
func TestFirstAnswerWaitsForWhatDecides(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		a, b           string
		earliest, last time.Duration
		relay          bool // what is named is the relay, and nothing else
	}{
		{"N4", "N4", 20 * ms, 60 * ms, false},   // their reach
		{"N0", "N1", 20 * ms, 60 * ms, false},   //
		{"N7", "N0", 20 * ms, 60 * ms, false},   // one takes packets from anybody
		{"N5", "N4", 130 * ms, 200 * ms, true},  // the ports of one, the filter of the other
		{"N4", "N7", 130 * ms, 200 * ms, true},  //
		{"N4", "N6", 130 * ms, 200 * ms, false}, //
		{"N4", "N11", 130 * ms, 200 * ms, true}, // that one is blocked
		{"N11", "N0", 130 * ms, 200 * ms, true}, //
	} {
		w := pairOfKinds(t, c.a, c.b, 40*ms)
		w.connect()
		list := w.redirects()
		w.call(0)
		w.WaitUntil(time.Second, func() bool { return len(*list) > 0 })
		if len(*list) == 0 {
			t.Errorf("%s to %s: no answer", c.a, c.b)
			continue
		}
		first := (*list)[0]
		if first.after < c.earliest || first.after > c.last {
			t.Errorf("%s to %s: the first answer after %v", c.a, c.b, first.after)
		}
		for _, a := range first.addrs {
			if w.relayAddress(a) != c.relay && (c.relay || c.b != "N4" && c.b != "N1" && c.b != "N6") {
				t.Errorf("%s to %s: %v is named%s", c.a, c.b, a, w.why())
			}
		}
		if s := w.node.Stats(); s.Held == 0 && first.after > 60*ms || s.Rushed != 0 {
			t.Errorf("%s to %s: held %d, rushed %d", c.a, c.b, s.Held, s.Rushed)
		}
		// Known to the node, nobody waits.
		w = pairOfKinds(t, c.a, c.b, 40*ms)
		w.connect()
		w.wait(3500 * ms)
		list = w.redirects()
		w.call(0)
		w.WaitUntil(time.Second, func() bool { return len(*list) > 0 })
		if got := (*list)[0].after; got != 20*ms {
			t.Errorf("%s to %s, settled: the first answer after %v", c.a, c.b, got)
		}
	}
}

// deafen has the node not hear what a client answers to introductions and hellos.
func (w *two) deafen(i int, d time.Duration) {
	end, at := w.Now().Add(d), w.node.peers[w.users[i].id.PeerID()].Addr().Addr()
	w.Turn(w.engines[w.at], func(batch []rtmfp.Datagram) []rtmfp.Datagram {
		return slices.DeleteFunc(batch, func(d rtmfp.Datagram) bool {
			typ, _ := w.peers[i].chunk(d.Data)
			return typ == wire.ChunkRHello && d.Peer.Addr() == at && d.Local.Port() < 20000 && w.Now().Before(end)
		})
	})
}

// Where probes are lost, the first answer comes when it has waited long enough, with
// nothing in it that could not be undone; and the pair is decided anew when they came
// through.
func TestRushedIntroduction(t *testing.T) {
	w := pairOfKinds(t, "N7", "N4", 40*time.Millisecond)
	w.connect()
	w.deafen(0, 450*time.Millisecond)
	list := w.redirects()
	w.call(0)
	w.wait(1500 * time.Millisecond)
	first := (*list)[0]
	if first.after < 300*time.Millisecond || first.after > 350*time.Millisecond || len(first.addrs) != 1 || !w.relayAddress(first.addrs[0]) {
		t.Errorf("the first answer: %+v", first)
	}
	if s := w.node.Stats(); s.Rushed != 1 {
		t.Errorf("rushed %d", s.Rushed)
	}
	if !w.session[0].Open() || !w.relayed(0) || !w.works(0) {
		t.Errorf("not relayed: %s", w.why())
	}
	if s := w.node.pairs.of(w.users[0].id.PeerID(), w.users[1].id.PeerID()); !strings.Contains(s.trial.why, "one direction only") {
		t.Errorf("because %s", s.trial.why)
	}
}

// A relay that stands where a peer was thought to reach it moves when it turns out to
// be blocked: the peer, and the pair that waits, are told in the same introduction.
func TestRelayMovesToWhereAPeerReachesIt(t *testing.T) {
	w := pairOfKinds(t, "N4", "N11", 40*time.Millisecond)
	w.connect()
	w.deafen(1, 400*time.Millisecond)
	w.call(0)
	ok := w.WaitUntil(3*time.Second, w.session[0].Open)
	if !ok || !w.works(0) {
		t.Fatalf("open %v: %s", ok, w.why())
	}
	if s := w.node.Stats(); s.Rushed != 1 || s.DecidedAnew == 0 {
		t.Errorf("rushed %d, decided anew %d", s.Rushed, s.DecidedAnew)
	}
	if at := w.open(1).Addr(); at != netip.AddrPortFrom(lab.SecondNodeAddress, lab.NodePort) {
		t.Errorf("it is relayed at %v", at)
	}
}

// Pairs of others end on ordinary ports of the relay, those with one that is blocked on
// the main port of the second address, whoever calls.
func TestWhereRelaysStand(t *testing.T) {
	second := netip.AddrPortFrom(lab.SecondNodeAddress, lab.NodePort)
	for _, age := range []time.Duration{0, 3500 * time.Millisecond} {
		for _, c := range [][2]string{{"N5", "N4"}, {"N7", "N5"}, {"N11", "N0"}, {"N0", "N11"}, {"N11", "N5"}, {"N5", "N11"}, {"N11", "N11"}} {
			w := pairOfKinds(t, c[0], c[1], 40*time.Millisecond)
			w.connect()
			w.wait(age)
			w.call(0)
			w.WaitUntil(2*time.Second, w.session[0].Open)
			w.session[0].Ping()
			w.wait(200 * time.Millisecond)
			for i, kind := range c {
				s := w.open(i)
				if s == nil {
					t.Errorf("%s to %s after %v: not met%s", c[0], c[1], age, w.why())
					break
				}
				at := s.Addr()
				ordinary := at.Port() >= 20000
				want := second
				if kind == "N11" && c[1-i] == "N11" && i == 0 {
					want = w.at // the other has the second one
				}
				if kind == "N11" && at != want || kind != "N11" && !ordinary {
					t.Errorf("%s to %s after %v: %s is relayed at %v", c[0], c[1], age, kind, at)
				}
			}
		}
	}
}

// A question that is repeated has a relay stand by for two that were sure to meet.
func TestRepeatedQuestionBringsARelay(t *testing.T) {
	w := pairOfKinds(t, "N4", "N1", 40*time.Millisecond)
	w.connect()
	w.wait(3500 * time.Millisecond)
	// Something that no probe has seen: what goes straight from one to the other is lost.
	site := func(a netip.AddrPort) bool { return a.Addr().As4()[0] != 192 }
	w.SetPath(pathBetween(10*time.Millisecond, func(p lab.Packet) bool { return site(p.Src) && site(p.Dst) }))
	list := w.redirects()
	w.call(0)
	ok := w.WaitUntil(3*time.Second, w.session[0].Open)
	if !ok || !w.relayed(0) || !w.works(0) {
		t.Fatalf("open %v: %s", ok, w.why())
	}
	if plan := w.node.Stats(); plan.DecidedAnew != 1 || plan.AskedAgain == 0 {
		t.Errorf("decided anew %d, asked again %d", plan.DecidedAnew, plan.AskedAgain)
	}
	for _, a := range (*list)[0].addrs {
		if w.relayAddress(a) {
			t.Error("a relay is named before anybody asked again")
		}
	}
}

// A peer that is found to have another address is told of under that, and told there
// itself, before anybody asks again.
func TestAnotherAddressIsToldAtOnce(t *testing.T) {
	forgetful := lab.Kind{Name: "forgetful", Hosts: 1, Chain: []lab.Behavior{{
		Mapping: lab.EndpointIndependentMapping, Filtering: lab.AddressAndPortDependentFiltering, Allocation: lab.RandomPort, Lifetime: 2 * time.Second,
	}}}
	home, _ := lab.KindNamed("N4")
	for _, probes := range []bool{true, false} {
		w := newTwo(t, home, forgetful, 40*time.Millisecond, 1)
		if !probes {
			w.node.cfg.Probes = nil
		}
		w.anotherAddress()
	}
}

func (w *two) anotherAddress() {
	t := w.t
	w.connect()
	w.wait(8 * time.Second) // its mapping has expired
	before := w.node.peers[w.users[1].id.PeerID()].Addr()
	list := w.redirects()
	w.call(0)
	w.wait(300 * time.Millisecond)
	if w.session[0].Open() || len(*list) == 0 {
		t.Fatalf("open %v after %d Redirects", w.session[0].Open(), len(*list))
	}
	asked := w.node.Stats().AskedAgain
	w.users[1].engine.Sessions(func(s *rtmfp.Session) { s.Ping() })
	if ok := w.WaitUntil(400*time.Millisecond, w.session[0].Open); !ok || w.node.Stats().AskedAgain != asked {
		t.Errorf("open %v, asked again %d times%s", ok, w.node.Stats().AskedAgain-asked, w.why())
	}
	if after := w.node.peers[w.users[1].id.PeerID()].Addr(); after == before || w.session[0].Addr() != after {
		t.Errorf("it was at %v, is at %v, and was met at %v", before, after, w.session[0].Addr())
	}
}

// What the relay refused is asked for again when the plan's time has run out, also for
// initiators that ask once.
func TestRefusedRelayIsAskedAgain(t *testing.T) {
	w := pairOfKinds(t, "N5", "N4", 40*time.Millisecond)
	w.connect()
	w.wait(3500 * time.Millisecond)
	w.relay.refuse = errors.New("none is left")
	w.Turn(w.engines[w.at], once(w.peers[0], wire.ChunkIHello))
	w.call(0)
	w.wait(500 * time.Millisecond)
	if s := w.node.Stats(); s.RelayRefused != 1 {
		t.Fatalf("refused %d times", s.RelayRefused)
	}
	w.relay.refuse = nil
	if ok := w.WaitUntil(4*time.Second, w.session[0].Open); !ok || !w.relayed(0) {
		t.Errorf("open %v%s", ok, w.why())
	}
	if s := w.node.Stats(); s.AskedAgain > 0 {
		t.Errorf("asked again %d times", s.AskedAgain)
	}
}

// once lets the first packet pass whose first chunk is of a type.
func once(p *unforgiving, what wire.ChunkType) func([]rtmfp.Datagram) []rtmfp.Datagram {
	passed := false
	return func(batch []rtmfp.Datagram) []rtmfp.Datagram {
		return slices.DeleteFunc(batch, func(d rtmfp.Datagram) bool {
			typ, _ := p.chunk(d.Data)
			if typ != what || d.Local.Port() >= 20000 {
				return false
			}
			again := passed
			passed = true
			return again
		})
	}
}

// While ports are predicted, probes take none.
func TestProbingRestsWhilePortsArePredicted(t *testing.T) {
	w := pairOfKinds(t, "N6", "N6", 40*time.Millisecond)
	w.connect()
	list := w.redirects()
	w.call(0)
	w.WaitUntil(time.Second, func() bool { return len(*list) > 0 })
	told := w.Now()
	for i, u := range w.users {
		p := w.node.peers[u.id.PeerID()]
		if p.probing == nil {
			t.Fatalf("%d is not being probed any more", i)
		}
		if left := p.probing.quiet.Sub(told); left < predictionRest-time.Millisecond {
			t.Errorf("the probing of %d rests for %v", i, left)
		}
	}
	probes := w.node.Stats().Probes
	w.wait(predictionRest - 10*time.Millisecond)
	if sent := w.node.Stats().Probes - probes; sent > 0 {
		t.Errorf("%d probes meanwhile", sent)
	}
	w.wait(3 * time.Second)
	for i, u := range w.users {
		if c := w.node.peers[u.id.PeerID()].class(); c != natprobe.SymmetricStepping {
			t.Errorf("%d is called %v", i, c)
		}
	}
}

// Candidates whose order counts leave one by one.
func TestOrderedCandidatesAreSpaced(t *testing.T) {
	w := pairOfKinds(t, "N6", "N6", 40*time.Millisecond)
	w.connect()
	w.wait(3500 * time.Millisecond)
	list := w.redirects()
	w.call(0)
	w.wait(58 * time.Millisecond) // before the fresh mappings come back
	if len(*list) != 5 {
		t.Fatalf("%d Redirects: %+v", len(*list), *list)
	}
	for i, r := range *list {
		if len(r.addrs) != 1 || i > 0 && r.after-(*list)[i-1].after != strategy.Spacing {
			t.Errorf("%+v", *list)
			break
		}
	}
}

// What operators and peers read follows the plan.
func TestReasonFollowsThePlan(t *testing.T) {
	w := pairOfKinds(t, "N4", "N4", 40*time.Millisecond)
	var events []Event
	w.node.cfg.Observe = func(e Event) {
		if e.Kind == PeersIntroduced || e.Kind == PlanRevised {
			events = append(events, e)
		}
	}
	w.connect()
	w.call(0)
	w.wait(1700 * time.Millisecond)
	if len(events) < 2 || events[0].Kind != PeersIntroduced || events[0].Plan.Sure || events[0].Peer.Class != natprobe.ClassUnknown {
		t.Fatalf("%+v", events)
	}
	last := events[len(events)-1]
	if last.Kind != PlanRevised || !last.Plan.Sure || last.Peer.Class != natprobe.PortRestricted || strings.Contains(last.Plan.Why, "too little is known") {
		t.Errorf("%+v", last)
	}
	s := w.node.pairs.of(w.users[0].id.PeerID(), w.users[1].id.PeerID())
	if s.trial.why != last.Plan.Why || s.trial.classes[0] != natprobe.PortRestricted {
		t.Errorf("a peer is told: %s", s.trial.why)
	}
}

// Without a relay, the reason says why there is none.
func TestReasonWithoutARelay(t *testing.T) {
	n := newNetwork(t)
	n.slow(20 * time.Millisecond)
	node, at := n.probingNode(2)
	node.cfg.NoRelay = "relay.ports is empty"
	var plan PlanInfo
	node.cfg.Observe = func(e Event) {
		if e.Kind == PeersIntroduced {
			plan = e.Plan
		}
	}
	a, b := n.site(at, "N5", 1), n.site(at, "N4", 2)
	a.seek(b.id, at)
	if !strings.Contains(plan.Why, "it needs a relay, and relay.ports is empty") {
		t.Error(plan.Why)
	}
}

// A question for a peer that is not here leaves a trace, of which one peer cannot make
// many; what is told on the way there stays silence.
func TestUnknownPeerLeavesATrace(t *testing.T) {
	n := newNetwork(t)
	node, at := n.probingNode(1)
	var events []Event
	node.cfg.Observe = func(e Event) {
		if e.Kind == PeerNotFound {
			events = append(events, e)
		}
	}
	u := n.user("203.0.113.7:5000").connect(at)
	nobody := identity(t, flash.IdentityOptions{})
	u.seek(nobody, at)
	if len(events) != 1 || events[0].Peer.ID != u.id.PeerID() || events[0].Target.ID != nobody.PeerID() || events[0].Reason != "unknown-peer" {
		t.Fatalf("%+v", events)
	}
	tag := make([]byte, 16)
	for i := range 200 {
		tag[0] = byte(i)
		u.engine.SendHello(u.addr, at, nobody.Certificate().EPD().Append(nil), tag)
	}
	n.wait(time.Second)
	if len(events) > 1+notFoundBurst+notFoundRate {
		t.Errorf("%d events", len(events))
	}
	if s := node.Stats(); s.Unknown < 200 {
		t.Errorf("%d counted", s.Unknown)
	}
}

// Forty peers behind two symmetric NATs call each other as soon as they are connected.
func TestCrowdBehindTwoNATs(t *testing.T) {
	n := newNetwork(t)
	n.slow(10 * time.Millisecond)
	n.withRelayPorts(2, 64)
	_, at := n.probingNode(2)
	kind, _ := lab.KindNamed("N5")
	var users []*user
	for site := range 2 {
		s := n.Site(kind, site+1, uint64(site))
		for i := range 20 {
			u := &user{net: n, id: identity(t, flash.IdentityOptions{}), mode: rtmfp.AnswerIntroductions}
			e, err := rtmfp.NewEngine(rtmfp.Config{Identity: u.id, Handler: u, SequentialIDs: true, KeyPool: -1}, n.Now())
			if err != nil {
				t.Fatal(err)
			}
			u.engine = e
			u.addr = s.Attach(e, uint16(5000+i))
			n.unforgiving(u, uint64(site*20+i))
			u.dial(at, "app", u.addr)
			users = append(users, u)
		}
	}
	var opened []*rtmfp.Session
	began := n.Now()
	for i, u := range users {
		n.WaitUntil(2*time.Second, func() bool { return u.connected })
		far := users[(i+20)%40] // at the other site
		n.WaitUntil(2*time.Second, func() bool { return far.connected })
		s, err := u.engine.Open(rtmfp.Target{EPD: far.id.Certificate().EPD(), Addrs: []netip.AddrPort{at}}, sessions{u})
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, s)
	}
	n.wait(3 * time.Second)
	missing := 0
	for i, u := range users {
		if s := u.engine.SessionTo(users[(i+20)%40].id.PeerID()); s == nil || !s.Open() {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d calls were not answered after %v", missing, len(opened), n.Now().Sub(began))
	}
}

// Who waits to be admitted is probed meanwhile; with an open answer, nothing of it is
// believed that its silence says.
func TestProbedBeforeAdmission(t *testing.T) {
	for _, mode := range []rtmfp.IntroductionMode{rtmfp.AnswerIntroductions, rtmfp.IgnoreIntroductions} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			n, d := newNetwork(t), &decider{}
			n.slow(10 * time.Millisecond)
			node, at := n.probingNode(2)
			node.cfg.Ask = d.ask
			k, _ := lab.KindNamed("N5")
			n.behind(k, netip.MustParseAddr("10.1.0.2"), 1, netip.MustParseAddr("198.51.100.9"))
			u := &user{net: n, id: identity(t, flash.IdentityOptions{}), mode: rtmfp.AnswerIntroductions}
			// The applications of some turn answers on by themselves, once they are connected.
			u.engine, u.addr = n.add("10.1.0.2:5000", rtmfp.Config{Identity: u.id, Handler: u, SequentialIDs: true})
			u.dial(at, "app", u.addr)
			n.Turn(u.engine, func(batch []rtmfp.Datagram) []rtmfp.Datagram {
				if !u.connected {
					u.engine.Sessions(func(s *rtmfp.Session) { s.SetIntroductions(mode) })
				}
				return batch
			})
			n.wait(2 * time.Second)
			if len(d.done) != 1 || node.Stats().Probes == 0 {
				t.Fatalf("%d questions, %d probes", len(d.done), node.Stats().Probes)
			}
			d.done[0](Verdict{Allow: true})
			n.wait(time.Millisecond)
			p := node.peers[u.id.PeerID()]
			b, _ := p.known(n.Now())
			if known := mode == rtmfp.AnswerIntroductions; (b.Mapping == natprobe.APDM) != known || b.BlockedRoutes.Answer == natprobe.Yes || b.AnswersIntroductions.Answer == natprobe.No {
				t.Errorf("when it is admitted: %v, blocked %v, answers %v", b.Mapping, b.BlockedRoutes.Answer, b.AnswersIntroductions.Answer)
			}
			n.wait(2 * time.Second)
			if p.class() != natprobe.SymmetricRandom {
				t.Errorf("classified %v", p.class())
			}
		})
	}
}

// Who is not admitted takes a part of the rate only.
func TestRateAtTheDoor(t *testing.T) {
	var n Node
	n.doorLine = probeLine{part: doorPart, whole: &n.line}
	now := time.Unix(1_700_000_000, 0)
	inside, outside := &Peer{admitted: true}, &Peer{}
	const rate = 1000
	count := func(p *Peer, d time.Duration) (sent int) {
		for end := now.Add(d); now.Before(end); now = now.Add(time.Millisecond) {
			for n.lineOf(p).allows(now) && sent < 1<<20 {
				n.lineOf(p).sent(now, rate)
				sent++
			}
		}
		return sent
	}
	if got := count(outside, 10*time.Second); got > 10*rate/doorPart+2*probeBurst*doorPart || got < 10*rate/doorPart {
		t.Errorf("those at the door sent %d in ten seconds", got)
	}
	if got := count(inside, 10*time.Second); got < 10*rate-probeBurst {
		t.Errorf("those inside sent %d", got)
	}
}
