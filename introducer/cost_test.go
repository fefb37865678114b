package introducer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/share"
	"pileus/rtmfp/udp"
)

// What one event costs must not grow with how many are here: one goroutine does it all.
// Each of these is set up for a number of others, and does one event each time it is called.
var costs = map[string]func(n *network, others int) (event func()){
	// One leaves that watches sixty peers, as all others do.
	"a watcher leaves": func(n *network, others int) func() {
		node, _, at := n.node(Config{Limits: &Limits{}})
		ids := make([]amf.Args, 60)
		for i := range ids {
			ids[i] = amf.Args{amf.String(n.user(fmt.Sprintf("198.51.100.%d:5000", i+1)).connect(at).id.PeerID().String())}
		}
		some := node.peers[anyID(node)]
		watch := func() *Peer {
			w := &Peer{session: some.session, tenant: DefaultTenant}
			for _, id := range ids {
				if _, err := node.rpcWatchPeer(w, call{id, 100}); err != nil {
					n.t.Fatal(err)
				}
			}
			return w
		}
		list := make([]*Peer, others)
		for i := range list {
			list[i] = watch()
		}
		next := 0
		return func() {
			node.unfollowAll(list[next%others])
			list[next%others] = watch()
			next++
		}
	},
	"a broadcast, among others' peers": func(n *network, others int) func() {
		node, _, at := n.node(Config{})
		a := n.user("198.51.100.1:5000").connect(at)
		p := node.peers[a.id.PeerID()]
		for i := range others {
			other := &Peer{session: p.session, tenant: "other", app: "app"}
			node.peers[flash.PeerID{1, byte(i), byte(i >> 8), byte(i >> 16)}] = other
			node.enterRoom(other)
		}
		return func() {
			p.messenger.sends, p.messenger.gets, node.spreads.pace = udp.Bucket{}, share.Meter{}, udp.Bucket{}
			if _, err := node.rpcBroadcast(p, call{amf.Args{amf.String("0123456789")}, 100}); err != nil {
				n.t.Fatal(err)
			}
		}
	},
	"a name": func(n *network, others int) func() {
		node, _, at := n.node(Config{Limits: &Limits{}})
		a := n.user("198.51.100.1:5000").connect(at)
		p, r := node.peers[a.id.PeerID()], node.realm(DefaultTenant)
		for i := range others {
			if _, err := r.register(&Peer{session: p.session, tenant: DefaultTenant}, fmt.Sprintf("%07d", 2*i), nil); err != nil {
				n.t.Fatal(err)
			}
		}
		next := 0
		return func() {
			next = (next + 7919) % others
			name := fmt.Sprintf("%07d", 2*next+1)
			if _, err := r.register(p, name, nil); err != nil {
				n.t.Fatal(err)
			}
			r.release(p, name)
		}
	},
	"a call for one whom all call": func(n *network, others int) func() {
		node, at := n.probingNodeOf(Config{Limits: &Limits{}}, 1)
		target := node.peers[n.user("198.51.100.1:5000").connect(at).id.PeerID()]
		n.wait(4 * time.Second)
		next := 0
		begin := func() *introduction {
			next++
			a := &Peer{session: target.session, tenant: DefaultTenant}
			in := &introduction{
				node: node, engine: target.session.Engine(), asker: a, target: target, local: at, from: target.Addr(),
				key: introKey{tag: fmt.Sprint(next)}, tag: []byte("0123456789abcdef"), began: n.Now(),
			}
			if !in.enter() {
				n.t.Fatal("it is not watched")
			}
			in.consider()
			return in
		}
		list := make([]*introduction, others)
		for i := range list {
			list[i] = begin()
		}
		return func() {
			list[next%others].finish()
			list[next%others] = begin()
		}
	},
	"a turn, while something is found out of one whom all call": func(n *network, others int) func() {
		node, at := n.probingNodeOf(Config{Limits: &Limits{}}, 1)
		target := node.peers[n.user("198.51.100.1:5000").connect(at).id.PeerID()]
		n.wait(4 * time.Second)
		for i := range others {
			a := &Peer{session: target.session, tenant: DefaultTenant}
			in := &introduction{
				node: node, engine: target.session.Engine(), asker: a, target: target, local: at, from: target.Addr(),
				key: introKey{tag: fmt.Sprint(i)}, tag: []byte("0123456789abcdef"), began: n.Now(),
			}
			in.enter()
			in.consider()
		}
		return func() {
			node.learned(target)
			n.wait(time.Millisecond)
		}
	},
}

func anyID(n *Node) flash.PeerID {
	for id := range n.peers {
		return id
	}
	return flash.PeerID{}
}

// Sixteen times as many others make nothing sixteen times as dear. Few and many take turns, in rounds, and of
// each the best round counts, by the median of its events: what the machine does meanwhile would have to spoil
// every round.
func TestNoEventIsLinearInPeers(t *testing.T) {
	few, many := 250, 4000
	if raceEnabled {
		few, many = 100, 1600
	}
	const rounds, events = 20, 21
	for name, prepare := range costs {
		sizes := [2]int{few, many}
		var nets [2]*network
		var event [2]func()
		for i, others := range sizes {
			nets[i] = newNetwork(t)
			event[i] = prepare(nets[i], others)
		}
		best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
		for range rounds {
			for i := range sizes {
				var list [events]time.Duration
				for k := range list {
					began := time.Now()
					event[i]()
					list[k] = time.Since(began)
				}
				nets[i].wait(10 * time.Millisecond)
				slices.Sort(list[:])
				best[i] = min(best[i], list[events/2])
			}
		}
		t.Logf("%s: %v among %d, %v among %d", name, best[0], few, best[1], many)
		if best[1] > 3*best[0]+5*time.Microsecond {
			t.Errorf("%s: %v among %d, %v among %d", name, best[0], few, best[1], many)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range costs {
			if !yield(name) {
				return
			}
		}
	}) {
		for _, others := range []int{3000, 20_000, 60_000} {
			if others > 3000 && strings.Contains(name, "all call") {
				continue // what they send has the network in memory work for minutes
			}
			b.Run(fmt.Sprint(name, "/", others), func(b *testing.B) {
				n := newNetwork(&testing.T{})
				event := costs[name](n, others)
				worst := time.Duration(0)
				for b.Loop() {
					began := time.Now()
					event()
					worst = max(worst, time.Since(began))
				}
				b.ReportMetric(float64(worst.Nanoseconds()), "worst-ns")
			})
		}
	}
}
