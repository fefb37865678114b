package demo

import (
	"bytes"
	"net/netip"
	"time"

	"pileus/introducer"
	"pileus/natprobe/lab"
	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/relay/splice"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
)

// Ports of the relay: two for each pair at a time.
const (
	firstRelayPort = 20000
	relayPorts     = 32
)

// relay is the real relay without sockets and clock: its ports are further ones of
// the node's engine, whose time it has.
type relay struct {
	book   *splice.Book
	table  *splice.Table
	ports  []netip.AddrPort
	socket map[netip.AddrPort]int
	node   *introducer.Node
	engine *rtmfp.Engine
	timer  *rtmfp.Timer

	rate    limit.Rate                    // of each pair, each way
	entered map[[packetKey]byte]time.Time // when packets came that have not left
	delays  []time.Duration               // of those that have
}

// packetKey is how many bytes of a packet, being ciphertext, tell it from others.
const packetKey = 20

// maxEntered bounds what is remembered of packets that never leave.
const maxEntered = 4096

func newRelay(rate limit.Rate) *relay {
	r := &relay{socket: make(map[netip.AddrPort]int), rate: rate, entered: make(map[[packetKey]byte]time.Time)}
	for i := range relayPorts {
		r.ports = append(r.ports, netip.AddrPortFrom(lab.FirstNodeAddress, uint16(firstRelayPort+i)))
		r.socket[r.ports[i]] = i
	}
	g := guard.New(guard.Config{Own: []netip.AddrPort{netip.AddrPortFrom(lab.FirstNodeAddress, 0), netip.AddrPortFrom(lab.SecondNodeAddress, 0)}})
	limits := limit.New(limit.Config{Splice: rate}, nil) // shared by nobody, so there is no loop to run
	r.book = splice.NewBook(splice.BookConfig{Range: r.ports, Guard: g, Limits: limits})
	r.table = splice.NewTable(splice.TableConfig{Sockets: len(r.ports), Shared: len(r.ports), Guard: g, Limits: limits, Reserved: r.book.Reserved, Bind: r.book.Bind})
	return r
}

// Splice implements introducer.Relay.
func (r *relay) Splice(q introducer.SpliceRequest) (introducer.SpliceGrant, error) {
	party := func(p introducer.SpliceParty) splice.Party {
		return splice.Party{Peer: p.ID, Tenant: p.Tenant, Addr: p.Addr, Local: p.Local, At: p.At}
	}
	order, g, err := r.book.Open(r.engine.Now(), splice.Request{
		Tag: q.Tag, EPD: q.EPD, Initiator: party(q.Initiator), Target: party(q.Target), Hold: q.Hold, Rebind: q.Rebind, Beside: q.Beside,
	})
	if err != nil {
		return introducer.SpliceGrant{}, err
	}
	if order.ID != 0 {
		r.table.Open(r.engine.Now(), order)
		r.settle()
	}
	return introducer.SpliceGrant{Initiator: g.Initiator, Target: g.Target}, nil
}

// Moved implements introducer.Relay.
func (r *relay) Moved(id flash.PeerID, addr netip.AddrPort) { r.table.Moved(id, addr) }

// Gone implements introducer.Relay.
func (r *relay) Gone(id flash.PeerID) {
	r.table.Gone(r.engine.Now(), id)
	r.settle()
}

// receive takes what comes to the relay's ports.
func (r *relay) receive(_ *rtmfp.Engine, d rtmfp.Datagram) bool {
	n, ok := r.socket[d.Local]
	if ok {
		r.enter(d.Data)
		r.table.Receive(r.engine.Now(), n, udp.Datagram{Peer: d.Peer, TOS: d.TOS, Data: d.Data})
		r.settle()
	}
	return ok
}

// enter and leave take the time of a packet in the relay.
func (r *relay) enter(data []byte) {
	if len(data) >= packetKey && len(r.entered) < maxEntered {
		r.entered[[packetKey]byte(data)] = r.engine.Now()
	}
}

func (r *relay) leave(data []byte) {
	if len(data) < packetKey {
		return
	}
	k := [packetKey]byte(data)
	if at, ok := r.entered[k]; ok {
		delete(r.entered, k)
		if len(data) >= fullPacket {
			r.delays = append(r.delays, r.engine.Now().Sub(at))
		}
	}
}

// fullPacket is less than any packet full of a stream has, and more than others.
const fullPacket = 1000

// sent is the account of what a peer sends another through the relay.
func (r *relay) sent(from, to *person) limit.Counts {
	for _, l := range r.table.List(r.engine.Now()) {
		switch l.Peers {
		case [2]flash.PeerID{from.id(), to.id()}:
			return l.Totals.Sent
		case [2]flash.PeerID{to.id(), from.id()}:
			return l.Totals.Received
		}
	}
	return limit.Counts{}
}

// settle sends what is to be sent, tells what has ended, and sets the timer.
func (r *relay) settle() {
	now := r.engine.Now()
	r.table.Flush(func(out []splice.Output) {
		for _, o := range out {
			r.leave(o.Data)
			r.engine.Send(rtmfp.Datagram{Local: r.ports[o.Socket], Peer: o.Peer, TOS: o.TOS, Data: bytes.Clone(o.Data)})
		}
	})
	for _, b := range r.table.TakeBegan() {
		r.node.SpliceBegan(introducer.SpliceBegin{ID: b.ID, Initiator: b.Peers[0], Target: b.Peers[1], Addrs: b.Addrs})
	}
	for _, e := range r.table.TakeEnded() {
		standing := len(r.book.Ended(now, &e)) == 0
		end := introducer.SpliceEnd{ID: e.ID, Reason: e.Reason.String(), Duration: e.Totals.Duration, Standing: standing}
		for side, c := range []limit.Counts{e.Totals.Sent, e.Totals.Received} {
			side ^= e.From // from the initiator first
			end.Bytes[side], end.Packets[side] = c.Bytes, c.Packets
		}
		r.node.SpliceEnded(now, end)
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	if at := r.table.Deadline(); !at.IsZero() {
		r.timer = r.engine.After(max(0, at.Sub(now)), func() {
			r.table.Advance(r.engine.Now())
			r.settle()
		})
	}
}
