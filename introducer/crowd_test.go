package introducer

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// must calls a command that is to succeed.
func (u *user) must(name string, args ...amf.Value) amf.Object {
	u.net.t.Helper()
	r, code := u.call(name, args...)
	if code != "" {
		u.net.t.Fatalf("%s%v: %q", name, args, code)
	}
	return r
}

// crowdOf connects n clients from the addresses of one /24.
func (n *network) crowdOf(count int, at netip.AddrPort, prefix string) []*user {
	n.t.Helper()
	list := make([]*user, count)
	for i := range list {
		list[i] = n.user(fmt.Sprintf("%s.%d:%d", prefix, 1+i%250, 2000+i))
		list[i].dial(at, "app")
		if i%100 == 99 {
			n.wait(10 * time.Millisecond)
		}
	}
	n.wait(2 * time.Second)
	for i, u := range list {
		if !u.connected {
			n.t.Fatalf("client %d of %d is not connected", i, count)
		}
	}
	return list
}

// each has some clients call something with arguments of their own, and tells how often
// that was done.
func (n *network) each(list []*user, command string, args func(i int) []amf.Value) (done int) {
	n.t.Helper()
	return n.eachTimes(1, list, command, func(i, _ int) []amf.Value { return args(i) })
}

// eachTimes is each for so many calls of each client, at once.
func (n *network) eachTimes(times int, list []*user, command string, args func(i, k int) []amf.Value) (done int) {
	n.t.Helper()
	for i, u := range list {
		for k := range times {
			if err := u.client.Call(command, func(_ amf.Args, err error) {
				if err == nil {
					done++
				}
			}, args(i, k)...); err != nil {
				n.t.Fatal(err)
			}
		}
	}
	n.wait(200 * time.Millisecond)
	return done
}

// However many of one network watch a name, or as many names as they may, hold names and
// watch peers, others can do so too.
func TestCrowdLeavesPresenceToOthers(t *testing.T) {
	n := newNetwork(t)
	limits := DefaultLimits()
	// The same relations with fewer clients: 1,100 sessions of one address.
	limits.Names, limits.Watches, limits.Follows, limits.PeerShare = 1000, 2000, 2000, 5
	node, _, at := n.node(Config{Limits: &limits})
	crowd := n.crowdOf(200, at, "198.51.100")
	alice, bob := n.user("203.0.113.1:6000").connect(at), n.user("203.0.113.2:6000").connect(at)
	alice.must("presence.register", amf.String("alice"))
	name := func(s string) amf.Value { return amf.String(s) }
	for round := range 60 {
		n.each(crowd, "presence.watch", func(i int) []amf.Value {
			if round == 0 {
				return []amf.Value{name("alice")}
			}
			return []amf.Value{name(fmt.Sprintf("%d of %d", round, i))}
		})
	}
	for round := range 8 {
		n.each(crowd, "presence.register", func(i int) []amf.Value { return []amf.Value{name(fmt.Sprintf("%d is %d", i, round))} })
	}
	for round := range 30 {
		n.each(crowd, "watch", func(i int) []amf.Value { return []amf.Value{name(crowd[(i+round+1)%len(crowd)].id.PeerID().String())} })
	}
	s := node.Stats()
	for _, thing := range []SharedThing{SharedNames, SharedWatches, SharedFollows} {
		if x := s.Shared[thing]; x.Held < x.Limit/2 || x.Held > x.Limit/2+2 || x.OverShare == 0 || x.OverAll != 0 {
			t.Errorf("the crowd has %d of %d %v; refused %d and %d", x.Held, x.Limit, thing, x.OverShare, x.OverAll)
		}
	}
	if r := bob.must("presence.watch", name("alice")); r.String("peerID") != alice.id.PeerID().String() {
		t.Errorf("bob watches alice, and is told %v", r)
	}
	for i := range 8 {
		bob.must("presence.register", name(fmt.Sprint("bob ", i)))
	}
	for i := range 60 {
		bob.must("presence.watch", name(fmt.Sprint("friend ", i)))
	}
	bob.must("watch", name(alice.id.PeerID().String()))
	bob.commands = nil
	alice.client.Close()
	n.wait(time.Second)
	if got := len(bob.commands); got != 2 {
		t.Errorf("bob hears of the end %d times: %v", got, bob.commands)
	}
	for _, u := range crowd {
		u.client.Close()
	}
	bob.client.Close()
	n.wait(20 * time.Second)
	if node.ledger.Places() != 0 || len(node.tenants) != 0 || len(node.followers) != 0 || len(node.rooms) != 0 || node.everybody.len() != 0 {
		t.Errorf("left: %d prefixes, %d tenants, %d followed, %d applications, %d peers",
			node.ledger.Places(), len(node.tenants), len(node.followers), len(node.rooms), node.everybody.len())
	}
}

// Sessions of one address that ask with new tags again and again have others' introductions
// watched all the same, and one peer's too.
func TestCrowdLeavesIntroductionsToOthers(t *testing.T) {
	for name, wanted := range map[string]func(crowd []*user, victim *user, i int) *user{
		"of each other":           func(crowd []*user, _ *user, i int) *user { return crowd[(i+1)%len(crowd)] },
		"of one whom others want": func(_ []*user, victim *user, _ int) *user { return victim },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			limits := DefaultLimits()
			limits.Introductions, limits.TargetRate = 1000, 500
			node, at := n.probingNodeOf(Config{Limits: &limits}, 1)
			crowd := n.crowdOf(22, at, "198.51.100")
			asker, victim := n.user("203.0.113.1:6000").connect(at), n.user("192.0.2.99:6000").connect(at)
			n.wait(4 * time.Second)
			sealer, _ := flash.NewStartup()
			ask := func(u *user, epd flash.EPD, tag string) {
				hello := wire.IHello{EPD: epd.Append(nil), Tag: []byte(tag)}
				b := hello.Append(wire.Header{Mode: wire.ModeStartup}.Append(sealer.Begin(nil)))
				n.engines[at].Receive(n.Now(), rtmfp.Datagram{Local: at, Peer: u.addr, Data: sealer.Finish(b, wire.SessionID{})})
			}
			tags := 0
			for range 40 {
				for i, u := range crowd {
					for range 5 {
						tags++
						ask(u, wanted(crowd, victim, i).id.Certificate().EPD(), fmt.Sprintf("tag %012d", tags))
					}
				}
				n.wait(50 * time.Millisecond)
			}
			s := node.Stats()
			if s.Shared[SharedIntroductions].OverShare+s.Crowded == 0 || s.Unwatched == 0 {
				t.Fatalf("the crowd took nothing: %+v", s.Shared[SharedIntroductions])
			}
			before := s.Unwatched
			unwatched := func() uint64 { return node.Stats().Unwatched - before }
			for i := range 10 {
				before = node.Stats().Unwatched
				ask(asker, victim.id.Certificate().EPD(), fmt.Sprintf("honest %09d", i))
				n.wait(0)
				if unwatched() != 0 {
					t.Fatalf("an introduction of somebody else is not watched; %d of %d", node.ledger.Whole(int(SharedIntroductions)).Held(), limits.Introductions)
				}
				n.wait(1100 * time.Millisecond)
			}
			if st := node.Stats(); st.TargetLimited > 0 && name == "of each other" {
				t.Errorf("%d questions are above a peer's rate", st.TargetLimited)
			}
			n.wait(30 * time.Second)
			if held := node.ledger.Whole(int(SharedIntroductions)).Held(); held != 0 || len(node.running) != 0 || node.ledger.Whole(int(SharedTags)).Held() != 0 {
				t.Errorf("left: %d introductions, %d run, %d tags", held, len(node.running), node.ledger.Whole(int(SharedTags)).Held())
			}
		})
	}
}

// Questions for one peer that come from one network leave room for those of others.
func TestOnePeerIsAskedForByShares(t *testing.T) {
	n := newNetwork(t)
	node, e, at := n.node(Config{})
	target := n.user("192.0.2.99:6000").connect(at)
	p := node.peers[target.id.PeerID()]
	ask := func(from string) bool {
		return p.sought.rate.Take(e.Now(), netip.MustParseAddrPort(from), 1, node.targetRate()) == 0
	}
	asked := 0
	for i := range 10_000 {
		if ask(fmt.Sprintf("198.51.100.%d:%d", i%250, 1000+i)) {
			asked++
		}
	}
	if asked < 5000 || asked > 6100 {
		t.Errorf("one network asked %d times at once", asked)
	}
	for i := range 100 {
		if !ask(fmt.Sprintf("203.0.113.%d:6000", i)) {
			t.Fatalf("the %d. question of another network is refused", i)
		}
	}
}

// A school: two thousand clients behind one /24. Nobody else is there, so none of them is
// refused anything, whatever they do at once.
func TestSchoolIsServed(t *testing.T) {
	t.Parallel()
	pupils := 2000
	if raceEnabled {
		pupils = 400
	}
	n := newNetwork(t)
	asked := 0
	node, at := n.probingNodeOf(Config{Ask: func(_ Question, done func(Verdict)) {
		asked++ // a core that takes its time
		n.engines[netip.MustParseAddrPort("192.0.2.1:1935")].After(50*time.Millisecond, func() { done(Verdict{Allow: true}) })
	}}, 1)
	list := n.crowdOf(pupils, at, "198.51.100")
	teacher := list[0]
	id := func(i int) amf.Value { return amf.String(list[i%pupils].id.PeerID().String()) }
	all := func(what string, args func(i int) []amf.Value) {
		t.Helper()
		if done := n.each(list, what, args); done != pupils {
			t.Errorf("%s: done for %d of %d", what, done, pupils)
		}
	}
	all("presence.register", func(i int) []amf.Value { return []amf.Value{amf.String(fmt.Sprint("pupil ", i))} })
	all("presence.watch", func(int) []amf.Value { return []amf.Value{amf.String("pupil 0")} })
	const friends = 12
	if done := n.eachTimes(friends, list, "presence.watch", func(i, k int) []amf.Value {
		return []amf.Value{amf.String(fmt.Sprint("pupil ", (i+k*7+1)%pupils))}
	}); done != friends*pupils {
		t.Errorf("friends are watched %d times, want %d", done, friends*pupils)
	}
	all("watch", func(int) []amf.Value { return []amf.Value{id(0)} })
	all("watch", func(i int) []amf.Value { return []amf.Value{id(i + 1)} })
	for _, u := range list {
		u.commands = nil
	}
	// All write to the teacher, and to each other; the teacher writes to all.
	all("relay", func(i int) []amf.Value { return []amf.Value{id(i + 1), amf.String("hello")} })
	for i := 0; i < pupils; i += 100 { // within two seconds: limits.unread holds some hundred
		n.each(list[i:i+100], "relay", func(int) []amf.Value { return []amf.Value{id(0), amf.String("present")} })
	}
	for range 3 {
		teacher.must("broadcast", amf.String(strings.Repeat("good morning ", 10)))
		n.wait(2 * time.Second)
	}
	for i, u := range list {
		want := 1 + 3
		if i == 0 {
			want += pupils
		}
		if len(u.commands) != want {
			t.Fatalf("pupil %d got %d messages, want %d; refused %v", i, len(u.commands), want, node.Stats().MessageRefused)
		}
		u.commands = nil
	}
	// All call the teacher at once, and one another.
	for i, u := range list {
		for _, k := range []int{0, i + 1} {
			if k%pupils == i {
				continue
			}
			if _, err := u.engine.Open(rtmfp.Target{EPD: list[k%pupils].id.Certificate().EPD(), Addrs: []netip.AddrPort{at}}, sessions{u}); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.wait(10 * time.Second)
	for i, u := range list {
		if len(u.opened) == 0 {
			t.Fatalf("pupil %d met nobody", i)
		}
	}
	s := node.Stats()
	for i, x := range s.Shared {
		if x.OverShare+x.OverAll > 0 {
			t.Errorf("%v: %d refused for their share, %d in all", SharedThing(i), x.OverShare, x.OverAll)
		}
	}
	if s.Limited+s.Unwatched+s.CallsFailed > 0 || s.MessageRefused != [NumMessageRefusals]uint64{} {
		t.Errorf("%d introductions limited, %d unwatched, %d calls failed, messages refused %v", s.Limited, s.Unwatched, s.CallsFailed, s.MessageRefused)
	}
	// The teacher goes, and all hear of it.
	teacher.client.Close()
	n.wait(2 * time.Second)
	for i, u := range list[1:] {
		told := 0
		for _, c := range u.commands {
			if c.Name == "onDisconnected" || c.Name == "onPresence" {
				told++
			}
		}
		if told < 2 {
			t.Fatalf("pupil %d heard %d times that the teacher has gone", 1+i, told)
		}
	}
}
