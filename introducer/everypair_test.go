package introducer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"pileus/introducer/strategy"
	"pileus/natprobe/lab"
	"pileus/relay/limit"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

// single are all kinds of sites with one host.
func single() (kinds []lab.Kind) {
	for _, k := range lab.Kinds() {
		if k.Hosts == 1 {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// two are two users of a node with a relay and two addresses.
type two struct {
	*network
	node    *Node
	at      netip.AddrPort
	users   [2]*user
	peers   [2]*unforgiving
	session [2]*rtmfp.Session // as each opened it
}

// settled is how two peers of these kinds meet once all is known of them, and whether
// that is sure.
func settledPath(a, b lab.Kind) strategy.Path {
	return strategy.Between(typicalOf(a), typicalOf(b)).Path
}

func newTwo(t *testing.T, a, b lab.Kind, rtt time.Duration, seed uint64) *two {
	t.Helper()
	return newTwoOf(t, a, b, rtt, 2, seed)
}

// newTwoOf is newTwo with a node of one address or two.
func newTwoOf(t *testing.T, a, b lab.Kind, rtt time.Duration, addrs int, seed uint64) *two {
	t.Helper()
	n := newNetwork(t)
	n.slow(rtt / 2)
	n.withRelay(addrs, limit.Config{})
	w := &two{network: n}
	w.node, w.at = n.probingNode(addrs)
	for i, k := range []lab.Kind{a, b} {
		inside := netip.AddrFrom4([4]byte{10, byte(i + 1), 0, 2})
		if len(k.Chain) == 0 || k.Chain[0].Mapping == lab.NoTranslation {
			inside = netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)})
		}
		n.behind(k, inside, seed*2+uint64(i), netip.AddrFrom4([4]byte{100, 64, byte(i), 2}), netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)}))
		u := &user{net: n, id: sharedIdentity(t, i), mode: rtmfp.AnswerIntroductions, greets: true}
		u.engine, u.addr = n.add(netip.AddrPortFrom(inside, 5000).String(), rtmfp.Config{Identity: u.id, Handler: u, SequentialIDs: true})
		w.users[i], w.peers[i] = u, n.unforgiving(u, seed*2+uint64(i))
	}
	return w
}

// connect has both connect at once, and waits until the node has taken them.
func (w *two) connect() {
	w.t.Helper()
	for _, u := range w.users {
		u.dial(w.at, "app", u.addr)
	}
	if !w.WaitUntil(5*time.Second, func() bool { return w.users[0].connected && w.users[1].connected }) {
		w.t.Fatal("they do not connect")
	}
}

// call has one of the two look for the other.
func (w *two) call(i int) {
	w.t.Helper()
	u := w.users[i]
	s, err := u.engine.Open(rtmfp.Target{EPD: w.users[1-i].id.Certificate().EPD(), Addrs: []netip.AddrPort{w.at}}, sessions{u})
	if err != nil {
		w.t.Fatal(err)
	}
	w.session[i] = s
}

// open is the session that one has with the other.
func (w *two) open(i int) (found *rtmfp.Session) {
	w.users[i].engine.Sessions(func(s *rtmfp.Session) {
		if s.Open() && s.PeerID() == w.users[1-i].id.PeerID() {
			found = s
		}
	})
	return found
}

// works reports whether the session of one to the other carries packets there and back.
func (w *two) works(i int) bool {
	w.t.Helper()
	s := w.open(i)
	if s == nil {
		return false
	}
	before := w.Now()
	s.Ping()
	return w.WaitUntil(time.Second, func() bool { return s.Heard().After(before) })
}

// relayed reports whether they meet by the relay.
func (w *two) relayed(i int) bool {
	s := w.open(i)
	if s == nil {
		return false
	}
	_, ok := w.relay.socket[s.Addr()]
	return ok
}

func (w *two) why() string {
	list := ""
	for i, u := range w.users {
		if p := w.node.peers[u.id.PeerID()]; p != nil {
			b, pending := p.known(w.Now())
			list += fmt.Sprintf("; %d: %v %v %v blocked %v pending %b", i, b.Mapping, b.Filtering, b.Allocation, b.BlockedRoutes.Answer, pending)
		}
	}
	for _, s := range w.node.pairs.cache.All() {
		list += "; " + s.trial.strategy.String() + ": " + s.trial.why
	}
	for i, p := range w.peers {
		if p.broken != "" {
			list += fmt.Sprintf("; peer %d: %s", i, p.broken)
		}
	}
	return list
}

// Every ordered pair of all kinds of sites meets, in the breath in which both connect
// as when all is known of both, with peers that forgive nothing; directly whenever the
// settled plan has them meet so.
func TestEveryPairMeets(t *testing.T) {
	for k, c := range []struct {
		name  string
		rtt   time.Duration
		age   time.Duration // of both when one calls
		limit time.Duration
		addrs int // of the node
	}{
		{"at once", 40 * time.Millisecond, 0, 600 * time.Millisecond, 2},
		{"at once, far away", 250 * time.Millisecond, 0, 2 * time.Second, 2},
		{"at once, one address", 40 * time.Millisecond, 0, 600 * time.Millisecond, 1},
		{"settled", 40 * time.Millisecond, 3500 * time.Millisecond, 600 * time.Millisecond, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			met, direct, wanted := 0, 0, 0
			for i, a := range single() {
				for j, b := range single() {
					if raceEnabled && (i+j)%4 != k { // each pair in one way: ten times as slow, and nothing runs at once here
						continue
					}
					w := newTwoOf(t, a, b, c.rtt, c.addrs, uint64(i*100+j))
					w.connect()
					w.wait(c.age)
					began := w.Now()
					w.call(0)
					refused := b.Name == "N11s" || b.Name == "N11" && c.addrs == 1
					ok := w.WaitUntil(2*time.Second, w.session[0].Open)
					took := w.Now().Sub(began)
					if ok != !refused || ok && !w.works(0) {
						t.Errorf("%s to %s: open %v after %v%s", a.Name, b.Name, ok, took, w.why())
						continue
					}
					if refused {
						continue
					}
					met++
					path := settledPath(a, b)
					known := func(k lab.Kind) bool { return c.addrs == 2 || slices.Contains(matrixKinds, k.Name) }
					if path == strategy.PathDirect && known(a) && known(b) {
						wanted++
						if !w.relayed(0) {
							direct++
						} else {
							t.Errorf("%s to %s: relayed%s", a.Name, b.Name, w.why())
						}
					}
					if took > c.limit {
						t.Errorf("%s to %s: after %v%s", a.Name, b.Name, took, w.why())
					}
				}
			}
			t.Logf("%d met, %d of %d directly", met, direct, wanted)
		})
	}
}

// Both call each other within the time of a round trip, and end with a session that
// works: these at all times, all others at some.
func TestCrossingCalls(t *testing.T) {
	t.Parallel()
	const near, far, settled = 40 * time.Millisecond, 240 * time.Millisecond, 3500 * time.Millisecond
	closely := [][2]string{{"N4", "N4"}, {"N5", "N5"}, {"N5", "N4"}, {"N6", "N5"}, {"N11", "N5"}, {"N0", "N0"}}
	crossed := 0
	cross := func(a, b lab.Kind, rtt, age, apart time.Duration, seed uint64) {
		if crossed++; !raceEnabled || crossed%5 == 0 { // no divisor of what is gone through: all have their turn
			cross(t, a, b, rtt, age, apart, seed)
		}
	}
	for _, rtt := range []time.Duration{near, far} {
		for _, age := range []time.Duration{0, settled} {
			for _, apart := range []time.Duration{0, rtt / 4, rtt / 2, rtt} {
				for seed, c := range closely {
					a, _ := lab.KindNamed(c[0])
					b, _ := lab.KindNamed(c[1])
					cross(a, b, rtt, age, apart, uint64(seed))
				}
			}
		}
	}
	for i, a := range single() {
		for j, b := range single()[i:] {
			if a.Name != "N11s" && b.Name != "N11s" {
				cross(a, b, near, 0, near/2, uint64(i*100+j))
				cross(a, b, far, settled, 0, uint64(i*100+j))
			}
		}
	}
}

func cross(t *testing.T, a, b lab.Kind, rtt, age, apart time.Duration, seed uint64) {
	t.Helper()
	w := newTwo(t, a, b, rtt, seed)
	w.connect()
	w.wait(age)
	w.call(0)
	w.wait(apart)
	w.call(1)
	w.wait(4 * time.Second)
	if one, other := w.works(0), w.works(1); !one || !other || w.peers[0].broken+w.peers[1].broken != "" {
		t.Errorf("%s and %s after %v, %v apart at %v: %v and %v%s", a.Name, b.Name, age, apart, rtt, one, other, w.why())
	}
}

// Either side stands still while they start, for any time, and their session works: of
// one call, and of two that cross.
func TestStalledPeers(t *testing.T) {
	t.Parallel()
	tries := 100
	if raceEnabled {
		tries = 20
	}
	random := rand.New(rand.NewPCG(1, 12))
	for _, c := range [][2]string{{"N4", "N4"}, {"N5", "N5"}, {"N5", "N4"}, {"N11", "N5"}} {
		a, _ := lab.KindNamed(c[0])
		b, _ := lab.KindNamed(c[1])
		for try := range tries {
			relayed := c[0] != "N4"
			longest := 900 * time.Millisecond
			if relayed {
				longest = 3 * time.Second
			}
			w := newTwo(t, a, b, 40*time.Millisecond, uint64(try))
			w.connect()
			if try%2 == 0 {
				w.wait(3500 * time.Millisecond)
			}
			w.call(0)
			cross := try%3 == 0
			if cross {
				w.wait(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
				w.call(1)
			}
			side, at := random.IntN(2), time.Duration(random.Int64N(int64(400*time.Millisecond)))
			length := 200*time.Millisecond + time.Duration(random.Int64N(int64(longest-200*time.Millisecond)))
			w.wait(at)
			w.Stop(w.users[side].engine)
			w.wait(length)
			w.Continue(w.users[side].engine)
			w.wait(6 * time.Second)
			if !w.works(0) || cross && !w.works(1) || w.peers[0].broken+w.peers[1].broken != "" {
				t.Errorf("%s to %s, crossing %v: %d stood still after %v for %v%s", c[0], c[1], cross, side, at, length, w.why())
			}
		}
	}
}

var identities = sync.OnceValues(func() (list [2]*flash.Identity, err error) {
	for i := range list {
		if list[i], err = flash.NewIdentity(flash.IdentityOptions{}); err != nil {
			break
		}
	}
	return list, err
})

// sharedIdentity spares a key pair for each of some thousand pairs.
func sharedIdentity(t *testing.T, i int) *flash.Identity {
	t.Helper()
	list, err := identities()
	if err != nil {
		t.Fatal(err)
	}
	return list[i]
}
