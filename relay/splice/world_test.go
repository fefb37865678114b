package splice

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// world is a Book and a Table without a driver. Time passes by wait.
type world struct {
	t      *testing.T
	now    time.Time
	book   *Book
	table  *Table
	limits *limit.Controller
	ranges []netip.AddrPort
	socket map[netip.AddrPort]int
	at     []netip.AddrPort
	sent   []sent
	ended  []Ended
	seal   *flash.Sealer
	open   *flash.Opener
}

type sent struct {
	at       time.Duration
	from, to netip.AddrPort
	tos      uint8
	data     []byte
}

type worldConfig struct {
	ports   int // on each of two addresses
	limits  limit.Config
	table   TableConfig
	private bool
}

const (
	main1, main2   = "192.0.2.1:1935", "192.0.2.2:1935"
	extra1, extra2 = "192.0.2.1:443", "192.0.2.2:443"
)

var epoch = time.Unix(1_800_000_000, 0)

func newWorld(t *testing.T, c worldConfig) *world {
	if c.ports == 0 {
		c.ports = 8
	}
	w := &world{t: t, now: epoch, limits: limit.New(c.limits, nil), socket: make(map[netip.AddrPort]int)}
	for _, ip := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		for i := range c.ports {
			w.ranges = append(w.ranges, netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(20000+i)))
		}
	}
	shared := []netip.AddrPort{addr(main1), addr(main2), addr(extra1), addr(extra2)}
	w.at = append(append(w.at, w.ranges...), shared...)
	var own []netip.AddrPort
	for i, a := range w.at {
		w.socket[a] = i
		own = append(own, netip.AddrPortFrom(a.Addr(), 0))
	}
	g := guard.New(guard.Config{AllowPrivate: c.private, Own: own})
	w.book = NewBook(BookConfig{Range: w.ranges, Shared: shared, Guard: g, Limits: w.limits})
	c.table.Sockets, c.table.Shared, c.table.Guard, c.table.Limits = len(w.at), len(w.ranges), g, w.limits
	c.table.Reserved, c.table.Bind = w.book.Reserved, w.book.Bind
	w.table = NewTable(c.table)
	w.seal, w.open = flash.NewStartup()
	return w
}

// ask opens a splice; it fails the test unless it is granted.
func (w *world) ask(r Request) Grant {
	w.t.Helper()
	g, err := w.try(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (w *world) try(r Request) (Grant, error) {
	o, g, err := w.book.Open(w.now, r)
	if err == nil && o.ID != 0 {
		w.table.Open(w.now, o)
		w.flush()
	}
	return g, err
}

// receive brings a datagram to one of the relay's sockets.
func (w *world) receive(from, at netip.AddrPort, tos uint8, data []byte) {
	w.t.Helper()
	n, ok := w.socket[at]
	if !ok {
		w.t.Fatalf("no socket %v", at)
	}
	w.table.Receive(w.now, n, udp.Datagram{Peer: from, TOS: tos, Data: data})
	w.flush()
}

func (w *world) flush() {
	w.table.Flush(func(out []Output) {
		for _, o := range out {
			w.sent = append(w.sent, sent{w.now.Sub(epoch), w.at[o.Socket], o.Peer, o.TOS, bytes.Clone(o.Data)})
		}
	})
	for _, e := range w.table.TakeEnded() {
		w.book.Ended(w.now, &e)
		w.ended = append(w.ended, e)
	}
}

func (w *world) wait(d time.Duration) {
	end := w.now.Add(d)
	for {
		due := w.table.Deadline()
		if due.IsZero() || due.After(end) {
			break
		}
		if due.After(w.now) {
			w.now = due
		}
		w.table.Advance(w.now)
		w.flush()
	}
	w.now = end
	w.table.Advance(w.now)
	w.flush()
}

// took returns what was sent since the last call.
func (w *world) took() []sent {
	s := w.sent
	w.sent = nil
	return s
}

// expect fails unless just these were sent, as "from>to chunk".
func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	var got []string
	for _, s := range w.took() {
		got = append(got, fmt.Sprintf("%v>%v %s", s.from, s.to, w.name(s.data)))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// name is a datagram's first chunk, or what it begins a session's ID with.
func (w *world) name(data []byte) string {
	id, _ := wire.Unscramble(data)
	packet, err := w.open.Open(nil, data)
	if err == nil {
		if _, rest, err := wire.ParseHeader(packet); err == nil {
			if typ, _, _, ok := wire.NextChunk(rest); ok {
				return typ.String()
			}
		}
	}
	return id.String()
}

type appender interface{ Append([]byte) []byte }

func (w *world) packet(id wire.SessionID, c appender) []byte {
	b := w.seal.Begin(nil)
	b = wire.Header{Mode: wire.ModeStartup}.Append(b)
	return bytes.Clone(w.seal.Finish(c.Append(b), id))
}

// data is a packet of a session, which nobody but its ends can read.
func data(id wire.SessionID, n int) []byte {
	b := bytes.Repeat([]byte{0xa5, 0x17, 0x3c}, n/3+8)[:max(n, 20)]
	id.Scramble(b)
	return b
}

// peer is one end.
type peer struct {
	cert flash.Certificate
	addr netip.AddrPort
}

func newPeer(t *testing.T, at string) peer {
	id, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return peer{id.Certificate(), addr(at)}
}

// byID puts peers in the order of their IDs, which decides who is which side of a
// pair.
func byID(p ...peer) []peer {
	slices.SortFunc(p, func(a, b peer) int {
		x, y := a.cert.PeerID(), b.cert.PeerID()
		return bytes.Compare(x[:], y[:])
	})
	return p
}

func (p peer) party() Party {
	return Party{Peer: p.cert.PeerID(), Addr: p.addr, Local: addr(main1)}
}

func request(a, b peer, tag string) Request {
	return Request{
		Tag: []byte(tag), EPD: b.cert.EPD().Append(nil), Initiator: a.party(), Target: b.party(), Rebind: true,
	}
}

var (
	idA, idB = wire.SessionID{3, 0, 0, 0}, wire.SessionID{4, 0, 0, 0}
	cookie   = bytes.Repeat([]byte{'c'}, 64)
)

func (w *world) ihello(b peer, tag string) []byte {
	return w.packet(wire.SessionID{}, wire.IHello{EPD: b.cert.EPD().Append(nil), Tag: []byte(tag)})
}

func (w *world) rhello(b peer, tag string, cookie []byte) []byte {
	return w.packet(wire.SessionID{}, wire.RHello{Tag: []byte(tag), Cookie: cookie, Certificate: b.cert.Raw()})
}

func (w *world) iikeying(a peer, id wire.SessionID, cookie []byte) []byte {
	return w.packet(wire.SessionID{}, wire.IIKeying{SessionID: id, Cookie: cookie, Certificate: a.cert.Raw(), Component: []byte{1}, Signature: []byte("X")})
}

func (w *world) rikeying(a, b wire.SessionID) []byte {
	return w.packet(a, wire.RIKeying{SessionID: b, Component: []byte{1}, Signature: []byte("X")})
}

// join goes through a whole startup: a calls b, whose sources at the relay are
// those of the network's own choosing.
func (w *world) join(a, b peer, tag string, g Grant, fromA, fromB netip.AddrPort, idA, idB wire.SessionID) {
	w.t.Helper()
	cookie := []byte("cookie of " + tag)
	w.receive(fromA, g.Initiator, 0, w.ihello(b, tag))
	w.receive(fromB, g.Target, 0, w.rhello(b, tag, cookie))
	w.receive(fromA, g.Initiator, 0, w.iikeying(a, idA, cookie))
	w.receive(fromB, g.Target, 0, w.rikeying(idA, idB))
	w.receive(fromA, g.Initiator, 0, data(idB, 100))
	got := w.took()
	if len(got) != 4 {
		w.t.Fatalf("a startup made %d packets, want 4: %v; %+v", len(got), got, w.table.Stats())
	}
}
