package splice

import (
	"net/netip"
	"time"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// TableConfig says how a Table relays. It is not changed after NewTable.
type TableConfig struct {
	Sockets     int           // of the range and of the engine, together
	Shared      int           // the first socket of the engine
	Idle        time.Duration // a side silent for so long has gone; 0: 60 s
	MaxLifetime time.Duration // 0: none
	Guard       *guard.Guard
	Limits      *limit.Controller
	// Reserved and Bind are those of the Book, if it reserves anything.
	Reserved func(now time.Time, socket int, tag []byte) (Order, bool)
	Bind     func(now time.Time, o *Order) error
}

// An Order tells a Table what a Book has decided: that a splice begins, or that
// there is another call on one that stands.
type Order struct {
	ID, Seq uint64
	// Of the two sides: their sockets, who they are (zero: unknown), where they were
	// observed.
	Sockets [2]int
	Peers   [2]flash.PeerID
	Addrs   [2]netip.AddrPort
	Parties [2]limit.Party
	Rebind  bool
	Limits  *limit.Pair // nil: the splice stands already

	From     int // the side that calls
	Tag, EPD []byte
	Hold     time.Duration
	// Source is where the caller is, if its IHello came to the very socket where it
	// is to be relayed: it will not send another one there soon.
	Source netip.AddrPort

	reserved *reservation   // nothing is bound yet
	calls    []reservedCall // that were reserved
}

// Began tells that the first IIKeying of a splice has come: from now on it carries
// something. The initiator is first.
type Began struct {
	ID    uint64
	Peers [2]flash.PeerID
	Addrs [2]netip.AddrPort // as observed when it was ordered
}

// An Output is a datagram to send. Its Data is valid until the next call of
// Receive, Advance or Open.
type Output struct {
	Socket int
	udp.Datagram
}

// Ended tells that a splice is over.
type Ended struct {
	ID, Seq uint64
	Peers   [2]flash.PeerID
	From    int // the side that called first
	Reason  EndReason
	Keyed   bool         // an IIKeying went through: peers may have sessions at its ports
	Totals  limit.Totals // Sent by the first of Peers
	// Standing: it was ordered again in the same instant, and goes on under its ID.
	Standing bool
}

// Table is the packet plane. Use it from one goroutine.
type Table struct {
	cfg     TableConfig
	sockets []socket
	splices map[uint64]*splice
	unbound int // of them
	byPeer  map[flash.PeerID][]*splice
	calls   map[callKey]*call
	proofs  map[proofKey]*side
	timers  timers
	backlog limit.Backlog
	out     []Output
	arena   []byte // of queued packets in out
	began   []Began
	ended   []Ended
	sealer  *flash.Sealer
	opener  *flash.Opener
	plain   []byte
	stats   Stats
}

// A socket has the sides that may speak to it.
type socket struct {
	engine   bool
	sides    []*side
	bySource map[netip.AddrPort][]*side // of the engine's, where there may be many
}

// NewTable makes an empty table.
func NewTable(c TableConfig) *Table {
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	t := &Table{
		cfg: c, sockets: make([]socket, c.Sockets), splices: make(map[uint64]*splice),
		byPeer: make(map[flash.PeerID][]*splice), calls: make(map[callKey]*call), proofs: make(map[proofKey]*side),
		plain: make([]byte, maxStartup),
	}
	for i := c.Shared; i < c.Sockets; i++ {
		t.sockets[i] = socket{engine: true, bySource: make(map[netip.AddrPort][]*side)}
	}
	t.sealer, t.opener = flash.NewStartup()
	return t
}

// Open carries out an order.
func (t *Table) Open(now time.Time, o Order) {
	t.begin()
	s := t.splices[o.ID]
	if s == nil {
		if o.Limits == nil && o.reserved == nil {
			// It ended while the order was on its way.
			var err error
			if o.Limits, err = t.cfg.Limits.Open(now, limit.Splice, o.Parties[0], o.Parties[1]); err != nil {
				t.stats.Ends[EndRefused]++
				t.ended = append(t.ended, Ended{ID: o.ID, Seq: o.Seq, Peers: o.Peers, From: o.From, Reason: EndRefused})
				return
			}
		}
		s = t.add(now, &o)
	}
	if s.pair == nil && o.Limits != nil {
		t.enter(s, o.Limits)
	}
	s.seq = o.Seq
	s.goneAt = time.Time{}
	s.addrs = o.Addrs
	for i := range s.sides {
		t.verified(&s.sides[i], o.Addrs[i].Addr())
		s.sides[i].rebind = o.Rebind
	}
	t.reservedCalls(now, s, o.calls)
	if len(o.Tag) > 0 {
		t.call(now, s, &o)
	}
	t.schedule(s)
}

func (t *Table) reservedCalls(now time.Time, s *splice, calls []reservedCall) {
	for _, c := range calls {
		t.call(now, s, &Order{From: c.from, Tag: []byte(c.tag), Hold: c.hold})
	}
}

// bound makes a splice that was reserved one that carries something, and reports
// whether it does.
func (t *Table) bound(now time.Time, s *splice) bool {
	if s.pair != nil {
		return true
	}
	o := Order{ID: s.id, reserved: s.reserved}
	if t.cfg.Bind(now, &o) != nil { // it is counted there
		return false
	}
	s.seq, s.reserved = o.Seq, nil
	t.enter(s, o.Limits)
	t.reservedCalls(now, s, o.calls)
	return true
}

func (t *Table) add(now time.Time, o *Order) *splice {
	s := &splice{id: o.ID, table: t, opened: now, peers: o.Peers, first: o.From, reserved: o.reserved, place: -1}
	for i := range s.sides {
		d := &s.sides[i]
		d.splice, d.index, d.socket, d.last = s, i, o.Sockets[i], now
	}
	t.splices[s.id] = s
	for _, p := range s.peers {
		if p != (flash.PeerID{}) {
			t.byPeer[p] = append(t.byPeer[p], s)
		}
	}
	t.unbound++
	return s
}

// enter gives a splice its place at its sockets, and in the limits.
func (t *Table) enter(s *splice, limits *limit.Pair) {
	s.pair = limits
	t.unbound--
	s.sides[0].flow, s.sides[1].flow = limits.Forward, limits.Backward
	for i := range s.sides {
		d := &s.sides[i]
		d.flow.Owner = d
		at := &t.sockets[d.socket]
		at.sides = append(at.sides, d)
	}
}

// Gone tells that a peer's NetConnection ended.
func (t *Table) Gone(now time.Time, p flash.PeerID) {
	for _, s := range t.byPeer[p] {
		if s.goneAt.IsZero() {
			s.goneAt = now.Add(goneGrace)
			t.schedule(s)
		}
	}
}

// Moved tells that a peer's NetConnection has proven a new address.
func (t *Table) Moved(p flash.PeerID, addr netip.AddrPort) {
	for _, s := range t.byPeer[p] {
		for i := range s.sides {
			if s.peers[i] == p {
				t.verified(&s.sides[i], addr.Addr())
			}
		}
	}
}

func (t *Table) verified(s *side, ip netip.Addr) {
	s.verified = ip
	t.settleDoubts(s)
}

// End ends a splice on an operator's order, and reports whether there was one.
func (t *Table) End(now time.Time, id uint64) bool {
	s := t.splices[id]
	if s != nil {
		t.end(now, s, EndOrdered)
	}
	return s != nil
}

// Stop ends all splices.
func (t *Table) Stop(now time.Time) {
	for _, s := range t.splices {
		t.end(now, s, EndStopped)
	}
}

// Receive takes a datagram that came to a socket; d.Data may be used until the
// next call.
func (t *Table) Receive(now time.Time, socket int, d udp.Datagram) {
	t.begin()
	t.stats.Received++
	at := &t.sockets[socket]
	id, ok := wire.Unscramble(d.Data)
	switch {
	case !ok:
		t.drop(DropTruncated)
		return
	case id == (wire.SessionID{}) && (len(at.sides) > 0 || t.cfg.Reserved != nil):
		t.startup(now, socket, d)
		return
	case len(at.sides) == 0:
		t.drop(DropIdlePort)
		return
	}
	s, why := t.from(now, at, d.Peer, id)
	if s == nil {
		t.drop(why)
		return
	}
	s.last = now
	if s.doubted {
		t.heard(now, s, d.Peer, len(d.Data))
	}
	if len(s.splice.calls) > 0 && !t.progress(now, s, id, d) {
		t.drop(DropRepeat)
		return
	}
	t.forward(now, s, d)
}

// from is the side that a packet with that source and session ID is from.
func (t *Table) from(now time.Time, at *socket, source netip.AddrPort, id wire.SessionID) (*side, DropReason) {
	why := DropStranger
	candidates := at.sides
	if at.engine {
		candidates = at.bySource[source]
	}
	for _, s := range candidates {
		if s.source != source {
			continue
		}
		if s.far().knows(id) {
			return s, 0
		}
		why = DropSessionID
	}
	if why == DropStranger {
		if s := t.rebound(now, at, source, id); s != nil {
			return s, 0
		}
	}
	return nil, why
}

// forward sends a packet on to the other side, as its limit lets it. ECN is copied
// through, for endpoints that miss it in their first packets give it up for good;
// the rest of the TOS byte is between the sender and its own network.
func (t *Table) forward(now time.Time, s *side, d udp.Datagram) {
	far := s.far()
	size := ipBytes(far.source, len(d.Data))
	if far.doubted && !t.mayGo(far, far.source, len(d.Data)) {
		t.drop(DropUnproven)
		return
	}
	if s.flow.Offer(now, size) == limit.Pass {
		t.stats.Forwarded++
		t.send(far, d.TOS&ecnMask, d.Data)
		return
	}
	t.stats.Queued++
	s.flow.Push(now, d.Data, size, d.TOS&ecnMask)
	t.backlog.Add(now, s.flow)
}

func (t *Table) send(to *side, tos uint8, data []byte) {
	t.out = append(t.out, Output{to.socket, udp.Datagram{Peer: to.source, TOS: tos, Data: data}})
}

const ecnMask = 0b11

// ipBytes is the size of the IP packet that carries n bytes of UDP payload.
func ipBytes(to netip.AddrPort, n int) int {
	if to.Addr().Is4() {
		return 20 + 8 + n
	}
	return 40 + 8 + n
}

// Advance does what is due: repeats, ends, packets that waited for their limit.
func (t *Table) Advance(now time.Time) {
	t.begin()
	for {
		f, data, ecn, ok := t.backlog.Pop(now)
		if !ok {
			break
		}
		t.stats.Unqueued++
		start := len(t.arena)
		t.arena = append(t.arena, data...)
		t.send(f.Owner.(*side).far(), ecn, t.arena[start:len(t.arena):len(t.arena)])
	}
	for s := t.timers.due(now); s != nil; s = t.timers.due(now) {
		t.advance(now, s)
	}
}

// Deadline is when Advance is wanted next; zero if never.
func (t *Table) Deadline() time.Time {
	at := t.timers.next()
	if b := t.backlog.Next(); !b.IsZero() && (at.IsZero() || b.Before(at)) {
		return b
	}
	return at
}

// begin voids what Flush has not taken.
func (t *Table) begin() {
	if len(t.out) == 0 {
		t.arena = t.arena[:0]
	}
}

// Flush hands over what is to be sent; the slice is valid during the call only.
func (t *Table) Flush(send func([]Output)) {
	if len(t.out) == 0 {
		return
	}
	send(t.out)
	clear(t.out)
	t.out = t.out[:0]
}

// TakeBegan hands over the splices that have begun to carry something.
func (t *Table) TakeBegan() []Began {
	b := t.began
	t.began = nil
	return b
}

// TakeEnded hands over the splices that ended.
func (t *Table) TakeEnded() []Ended {
	e := t.ended
	t.ended = nil
	return e
}

// Stats is a copy of the counters.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Splices = len(t.splices) - t.unbound
	return s
}

func (t *Table) drop(r DropReason) { t.stats.Drops[r]++ }
