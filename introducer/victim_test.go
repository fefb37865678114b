package introducer

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/memory"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// towards counts the packets to victims by who sends them.
type towards struct {
	victims   []netip.AddrPort
	from      map[netip.Addr]int
	named     map[netip.AddrPort]bool
	largest   int // bytes
	inSession int // packets that are not for startup
}

func (w *towards) watch(from, to netip.AddrPort, data []byte) {
	if slices.Contains(w.victims, to) {
		w.from[from.Addr()]++
		w.named[to] = true
		w.largest = max(w.largest, len(data))
		if word := binary.BigEndian.Uint32; word(data)^word(data[4:])^word(data[8:]) != 0 {
			w.inSession++
		}
	}
}

// Whatever a client says in setPeerInfo, nobody can be pointed at a stranger by
// it: neither the node nor any peer ever sends to a global address that is not
// the client's own. A private one is sent to by peers at the same site only, no
// more than four of them, and nothing but what opens a session.
func TestNobodyIsPointedAtVictims(t *testing.T) {
	parse := func(list ...string) (out []netip.AddrPort) {
		for _, s := range list {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return out
	}
	global := parse("203.0.113.99:53", "203.0.113.99:1935", "[2001:db8:9::1]:53", "198.51.100.200:5000", "192.0.2.1:53")
	private := parse("10.200.0.1:53", "192.168.77.1:80", "172.16.9.9:161", "[fd00:9::1]:53", "100.64.200.1:53", "10.200.0.9:53")
	odd := parse("127.0.0.1:53", "0.0.0.0:53", "224.0.0.1:53", "255.255.255.255:53", "169.254.1.1:53", "[::1]:53", "[fe80::1]:53", "[ff02::1]:53", "[::ffff:203.0.113.99]:53")
	for _, c := range []struct {
		name    string
		victims []netip.AddrPort
		site    bool // the other peer is at the same site
		allowed int  // how many of the victims peers may send to
	}{
		{"global, elsewhere", global, false, 0},
		{"global, same site", global, true, 0},
		{"private, elsewhere", private, false, 0},
		{"private, same site", private, true, maxNamed},
		{"odd, elsewhere", odd, false, 0},
		{"odd, same site", odd, true, 0},
		{"all, same site", slices.Concat(odd, global, private), true, maxNamed},
	} {
		for _, role := range []string{"target", "initiator"} {
			for _, retry := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, as %s, retry %v", c.name, role, retry), func(t *testing.T) {
					n := newNetwork(t)
					n.slow(20 * time.Millisecond)
					w := towards{victims: c.victims, from: make(map[netip.Addr]int), named: make(map[netip.AddrPort]bool)}
					n.watch = w.watch
					node, at := n.probingNode(2)

					liar := n.resident(at, "N4", 1, 5000, c.victims...)
					other := n.resident(at, "N4", 2, 5000)
					if c.site {
						n.Cut(other.engine)
						other = n.lodger(at, 1, 6000)
					}
					// The liar says it again and again.
					if err := liar.client.SetPeerInfo(c.victims); err != nil {
						t.Fatal(err)
					}
					n.wait(3500 * time.Millisecond)

					initiator, target := other, liar
					if role == "initiator" {
						initiator, target = liar, other
					}
					for range 1 + map[bool]int{true: 3}[retry] {
						s, err := initiator.engine.Open(rtmfp.Target{EPD: target.id.Certificate().EPD(), Addrs: []netip.AddrPort{at}}, sessions{initiator})
						if err != nil {
							t.Fatal(err)
						}
						n.wait(5 * time.Second)
						s.Abort(nil)
						n.wait(5 * time.Second)
					}
					n.wait(30 * time.Second)

					if node.Stats().Introduced == 0 {
						t.Fatal("nobody was introduced: nothing is tested")
					}
					if len(w.named) > c.allowed {
						t.Errorf("packets went to %d of the addresses, want %d at most: %v, from %v", len(w.named), c.allowed, w.named, w.from)
					}
					for a := range w.named {
						if !slices.Contains(private, a) {
							t.Errorf("packets went to %v", a)
						}
					}
					for from := range w.from {
						if c.allowed == 0 || from != other.addr.Addr() {
							t.Errorf("%d packets from %v", w.from[from], from)
						}
					}
					// IHellos and RHellos. IIKeying, larger, goes only to who answered.
					if w.largest > 256 || w.inSession > 0 {
						t.Errorf("a packet of %d bytes, and %d that are not for startup, went there", w.largest, w.inSession)
					}
				})
			}
		}
	}
}

// A client that is known to step, and whose answer to an introduction then comes from a
// victim's address, has nobody sent there: what its NAT does next is named at its own
// address only.
func TestForgedAnswersPointAtNobody(t *testing.T) {
	w := pairOfKinds(t, "N4", "N6", 40*time.Millisecond)
	victim := netip.MustParseAddr("203.0.113.99")
	next := uint16(40000)
	w.connect()
	w.wait(3500 * time.Millisecond)
	liar := w.node.peers[w.users[1].id.PeerID()].Addr().Addr()
	w.Turn(w.engines[w.at], func(batch []rtmfp.Datagram) []rtmfp.Datagram {
		for i, d := range batch {
			if typ, _ := w.peers[1].chunk(d.Data); typ == wire.ChunkRHello && d.Peer.Addr() == liar && d.Local != w.at && d.Local.Port() < 20000 {
				next++
				batch[i].Peer = netip.AddrPortFrom(victim, next)
			}
		}
		return batch
	})
	sent := 0
	w.watch = func(_, to netip.AddrPort, _ []byte) {
		if to.Addr() == victim {
			sent++
		}
	}
	for range 3 {
		w.call(0)
		w.wait(3 * time.Second)
		w.session[0].Abort(nil)
	}
	if sent > 0 || next == 40000 {
		t.Errorf("%d packets to the victim, %d answers forged", sent, next-40000)
	}
}

// resident is a client at a site of its own.
func (n *network) resident(at netip.AddrPort, kind string, number int, port uint16, peerInfo ...netip.AddrPort) *user {
	n.t.Helper()
	k, ok := lab.KindNamed(kind)
	if !ok {
		n.t.Fatalf("no kind %s", kind)
	}
	if n.sites == nil {
		n.sites = make(map[int]*memory.Site)
	}
	n.sites[number] = n.Site(k, number, uint64(number))
	return n.lodger(at, number, port, peerInfo...)
}

// lodger is another client at a site.
func (n *network) lodger(at netip.AddrPort, number int, port uint16, peerInfo ...netip.AddrPort) *user {
	n.t.Helper()
	u := &user{net: n, id: identity(n.t, flash.IdentityOptions{}), mode: rtmfp.AnswerIntroductions}
	e, err := rtmfp.NewEngine(rtmfp.Config{Identity: u.id, Handler: u, SequentialIDs: true, KeyPool: -1}, n.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	u.engine, u.addr = e, n.sites[number].Attach(e, port)
	if peerInfo == nil {
		peerInfo = []netip.AddrPort{u.addr}
	}
	u.dial(at, "app", peerInfo...)
	n.wait(3500 * time.Millisecond)
	return u
}
