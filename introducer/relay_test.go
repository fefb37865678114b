package introducer

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/relay/splice"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// relayInMemory is the relay of a node in memory: what cmd makes of it, without
// sockets of its own. Its ports are further ones of the node's engine.
type relayInMemory struct {
	book   *splice.Book
	table  *splice.Table
	at     []netip.AddrPort
	socket map[netip.AddrPort]int
	ranges int
	node   *Node
	engine *rtmfp.Engine
	timer  *rtmfp.Timer
	ends   []splice.Ended
	refuse error // of every request
}

// withRelay gives the network's node a relay, on one address or two.
func (n *network) withRelay(addrs int, limits limit.Config) { n.withRelayOf(addrs, 16, limits) }

func (n *network) withRelayPorts(addrs int, ports uint16) {
	n.withRelayOf(addrs, ports, limit.Config{})
}

func (n *network) withRelayOf(addrs int, ports uint16, limits limit.Config) {
	r := &relayInMemory{socket: make(map[netip.AddrPort]int)}
	ips := []netip.Addr{lab.FirstNodeAddress, lab.SecondNodeAddress}[:addrs]
	var own []netip.AddrPort
	for _, ip := range ips {
		own = append(own, netip.AddrPortFrom(ip, 0))
		for port := range ports {
			r.at = append(r.at, netip.AddrPortFrom(ip, 20000+port))
		}
	}
	r.ranges = len(r.at)
	for _, ip := range ips {
		r.at = append(r.at, netip.AddrPortFrom(ip, lab.NodePort), netip.AddrPortFrom(ip, 443))
	}
	for i, a := range r.at {
		r.socket[a] = i
	}
	controller := limit.New(limits, nil)
	g := guard.New(guard.Config{Own: own})
	r.book = splice.NewBook(splice.BookConfig{Range: r.at[:r.ranges], Shared: r.at[r.ranges:], Guard: g, Limits: controller})
	r.table = splice.NewTable(splice.TableConfig{Sockets: len(r.at), Shared: r.ranges, Guard: g, Limits: controller, Reserved: r.book.Reserved, Bind: r.book.Bind})
	n.relay = r
}

func (r *relayInMemory) attach(n *network, node *Node, e *rtmfp.Engine) {
	r.node, r.engine = node, e
	for _, a := range r.at[:r.ranges] {
		n.bind(a, e)
	}
}

func (r *relayInMemory) Splice(q SpliceRequest) (SpliceGrant, error) {
	if r.refuse != nil {
		return SpliceGrant{}, r.refuse
	}
	party := func(p SpliceParty) splice.Party {
		return splice.Party{Peer: p.ID, Tenant: p.Tenant, Addr: p.Addr, Local: p.Local, At: p.At}
	}
	o, g, err := r.book.Open(r.engine.Now(), splice.Request{
		Tag: q.Tag, EPD: q.EPD, Initiator: party(q.Initiator), Target: party(q.Target), Hold: q.Hold, Rebind: q.Rebind, Beside: q.Beside,
	})
	if err != nil {
		return SpliceGrant{}, err
	}
	if o.ID != 0 {
		r.table.Open(r.engine.Now(), o)
		r.settle()
	}
	return SpliceGrant{g.Initiator, g.Target}, nil
}

func (r *relayInMemory) Gone(id flash.PeerID) {
	r.table.Gone(r.engine.Now(), id)
	r.settle()
}

func (r *relayInMemory) Moved(id flash.PeerID, addr netip.AddrPort) { r.table.Moved(id, addr) }

// beside takes what comes to the relay's own ports.
func (r *relayInMemory) beside(_ *rtmfp.Engine, d rtmfp.Datagram) bool {
	return r.socket[d.Local] < r.ranges && r.Packet(d)
}

// Packet takes what comes to the engine's sockets and is not the engine's.
func (r *relayInMemory) Packet(d rtmfp.Datagram) bool {
	n, ok := r.socket[d.Local]
	if ok {
		r.table.Receive(r.engine.Now(), n, udp.Datagram{Peer: d.Peer, TOS: d.TOS, Data: d.Data})
		r.settle()
	}
	return ok
}

func (r *relayInMemory) Startup(d rtmfp.Datagram, typ wire.ChunkType, body []byte) bool {
	n, ok := r.socket[d.Local]
	if ok && typ == wire.ChunkIHello {
		h, err := wire.ParseIHello(body)
		if err != nil || !r.book.Expects(n, h.Tag) {
			return false
		}
	}
	return ok && r.Packet(d)
}

// settle sends what is to be sent, tells what has ended, and sets the timer.
func (r *relayInMemory) settle() {
	r.table.Flush(func(out []splice.Output) {
		for _, d := range out {
			r.engine.Send(rtmfp.Datagram{Local: r.at[d.Socket], Peer: d.Peer, TOS: d.TOS, Data: bytes.Clone(d.Data)})
		}
	})
	for _, b := range r.table.TakeBegan() {
		r.node.SpliceBegan(SpliceBegin{b.ID, b.Peers[0], b.Peers[1], b.Addrs})
	}
	for _, e := range r.table.TakeEnded() {
		r.ends = append(r.ends, e)
		standing := len(r.book.Ended(r.engine.Now(), &e)) == 0
		r.node.SpliceEnded(r.engine.Now(), endOf(e, standing))
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	if at := r.table.Deadline(); !at.IsZero() {
		r.timer = r.engine.After(max(0, at.Sub(r.engine.Now())), func() {
			r.table.Advance(r.engine.Now())
			r.settle()
		})
	}
}

func endOf(e splice.Ended, standing bool) SpliceEnd {
	i := SpliceEnd{ID: e.ID, Reason: e.Reason.String(), Duration: e.Totals.Duration, Standing: standing}
	for side, c := range []limit.Counts{e.Totals.Sent, e.Totals.Received} {
		if e.From == 1 {
			side = 1 - side
		}
		i.Bytes[side], i.Packets[side] = c.Bytes, c.Packets
	}
	return i
}

// Every ordered pair of NAT types meets with a relay on two addresses; with one,
// all but those whose target reaches nothing but where it is connected. Whom no
// NAT keeps apart meet without it.
func TestMatrixWithRelay(t *testing.T) {
	for _, c := range []struct{ addrs, want int }{{2, 121}, {1, 110}} {
		t.Run(fmt.Sprintf("%d addresses", c.addrs), func(t *testing.T) {
			met, directly := 0, 0
			for i, a := range matrixKinds {
				for j, b := range matrixKinds {
					t.Run(fmt.Sprintf("%s to %s", a, b), func(t *testing.T) {
						n := newNetwork(t)
						n.slow(20 * time.Millisecond)
						n.withRelay(c.addrs, limit.Config{})
						node, at := n.probingNode(c.addrs)
						initiator, target := n.site(at, a, 2*(i*len(matrixKinds)+j)%200), n.site(at, b, (2*(i*len(matrixKinds)+j)+1)%200)
						s, took := initiator.meet(target, at, 1200*time.Millisecond)
						refused := c.addrs == 1 && b == "N11"
						if s.Open() == refused {
							t.Fatalf("open %v; plans %v, refused %d, table %+v", s.Open(), node.Stats().Strategies, node.Stats().RelayRefused, n.relay.table.Stats())
						}
						if refused {
							if node.Stats().Strategies[5] == 0 {
								t.Errorf("not refused: %v", node.Stats().Strategies)
							}
							return
						}
						met++
						_, relayed := n.relay.socket[s.Addr()]
						if relayed == direct(a, b) {
							t.Errorf("relayed %v, though direct is %v", relayed, direct(a, b))
						}
						if !relayed {
							directly++
						}
						if took > 200*time.Millisecond {
							t.Errorf("took %v", took)
						}
					})
				}
			}
			if met != c.want || directly != 77 {
				t.Errorf("%d of 121 met, %d of them directly; want %d and 77", met, directly, c.want)
			}
		})
	}
}

// meet opens a session to another user through the node and waits for it.
func (u *user) meet(target *user, at netip.AddrPort, patience time.Duration) (*rtmfp.Session, time.Duration) {
	u.net.t.Helper()
	s, err := u.engine.Open(rtmfp.Target{EPD: target.id.Certificate().EPD(), Addrs: []netip.AddrPort{at}}, sessions{u})
	if err != nil {
		u.net.t.Fatal(err)
	}
	began := u.net.Now()
	u.net.WaitUntil(patience, s.Open)
	return s, u.net.Now().Sub(began)
}
