package splice

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// A call is one introduction on its way to becoming a session: one IHello with its
// tag, and what follows. Where its two ends are is the splice's only when its
// IIKeying has come.
type call struct {
	splice  *splice
	from    int // the side that calls
	tag     string
	source  [2]netip.AddrPort // by side, as the call's own packets showed
	expires time.Time
	held    time.Time // until when the first RHello is kept back
	hold    time.Duration

	redirected bool // the target wants the IHello
	hello      kept
	rhello     kept
	iikeying   kept
	cookies    []string // the RHello's, and those it was changed for
	initiator  wire.SessionID
	responder  wire.SessionID
	keyed      bool          // the IIKeying came
	answered   bool          // the RIKeying came
	crossed    bool          // the other side has called too
	asked      time.Time     // when the initiator sent an IIKeying last
	passed     time.Time     // when a RIKeying was last let through
	rtt        time.Duration // of the initiator, from RHello to IIKeying; zero: not measured

	certificate []byte    // of the target, as its RHello has it
	withheld    time.Time // since when its IIKeying does not pass
}

// kept is a startup packet that is repeated until it has its answer.
type kept struct {
	data    []byte
	tos     uint8
	first   time.Time // when it was sent
	sent    int
	blocked bool // it would be more than its receiver, unproven, may get
}

func keep(d udp.Datagram) kept { return kept{data: slices.Clone(d.Data), tos: d.TOS & ecnMask} }

// due is when it is sent again; zero: never.
func (k *kept) due() time.Time {
	if k.sent == 0 || k.sent > len(repeatAfter) {
		return time.Time{}
	}
	return k.first.Add(repeatAfter[k.sent-1])
}

// callKey finds a call by what a startup packet shows at a socket. A source is no
// part of it: it is what has to be learned.
type callKey struct {
	socket int
	kind   callKeyKind
	value  string
}

type callKeyKind uint8

const (
	byTag callKeyKind = iota
	byCookie
)

// call adds a call to a splice. One with the same tag goes on as it is; from another
// splice of the pair it moves here, unless it has come to its IIKeying there.
func (t *Table) call(now time.Time, s *splice, o *Order) {
	if c := s.tagged(o.Tag); c != nil {
		return
	}
	c := &call{splice: s, from: o.From, tag: string(o.Tag), hold: o.Hold, expires: now.Add(unboundFor)}
	if !t.move(now, c) {
		return
	}
	if len(s.calls) == maxCalls {
		t.cancel(s.calls[0])
	}
	t.cross(c)
	s.calls = append(s.calls, c)
	for _, d := range s.sides {
		// Another's tag, at a socket of the engine, stays the other's.
		if key := (callKey{d.socket, byTag, c.tag}); t.calls[key] == nil {
			t.calls[key] = c
		}
	}
	if o.Source.IsValid() {
		c.source[c.from] = o.Source
		b := t.sealer.Begin(nil)
		b = wire.Header{Mode: wire.ModeStartup}.Append(b)
		b = wire.IHello{EPD: o.EPD, Tag: o.Tag}.Append(b)
		c.hello = kept{data: t.sealer.Finish(b, wire.SessionID{})}
	}
}

// forget takes a call out of the index.
func (t *Table) forget(c *call) {
	for _, d := range c.splice.sides {
		key := callKey{d.socket, byTag, c.tag}
		if t.calls[key] == c {
			delete(t.calls, key)
		}
	}
	for _, cookie := range c.cookies {
		key := callKey{c.splice.sides[c.from].socket, byCookie, cookie}
		if t.calls[key] == c {
			delete(t.calls, key)
		}
	}
}

// cancel ends a call.
func (t *Table) cancel(c *call) {
	t.forget(c)
	s := c.splice
	s.calls = slices.DeleteFunc(s.calls, func(have *call) bool { return have == c })
}

// cross notes that both sides call. An endpoint that yields to the other's call never
// hears of its own IIKeying again, and who wins would take a repeat of that for a new
// session in place of the one that works (RFC 7016 section 3.5.1.3).
func (t *Table) cross(c *call) {
	for s := range t.pairOf(c.splice) {
		for _, other := range s.calls {
			if other.from != c.from {
				c.crossed, other.crossed = true, true
			}
		}
	}
}

// yields reports whether c's IIKeying would be for nothing: both sides call, and the
// other one prevails (RFC 7016 section 3.5.1.3, RFC 7425 section 4.3.6). That one would
// ignore it; but if it stands still, and reads it in one turn with the RIKeying for its
// own, some take it for a new session in place of the one that has just opened. Should
// nothing come of the other call, the second IIKeying passes.
func (t *Table) yields(now time.Time, c *call, certificate []byte) bool {
	if !c.crossed || bytes.Compare(certificate, c.certificate) <= 0 {
		return false
	}
	for s := range t.pairOf(c.splice) {
		for _, other := range s.calls {
			if other.from == c.from {
				continue
			}
			if c.withheld.IsZero() {
				c.withheld = now
			}
			return other.keyed || now.Sub(c.withheld) < withheldFor
		}
	}
	return false
}

// admit lets the initiator answer with that cookie.
func (t *Table) admit(c *call, cookie []byte) bool {
	key := callKey{c.splice.sides[c.from].socket, byCookie, string(cookie)}
	if t.calls[key] != nil || len(cookie) == 0 || len(cookie) > maxCookie {
		return false
	}
	t.calls[key] = c
	c.cookies = append(c.cookies, key.value)
	return true
}

// waiting is the packet that is being repeated, and to which side; nil: none.
func (c *call) waiting() (k *kept, side int) {
	switch {
	case c.answered && !c.misses(), c.keyed && c.crossed, !c.withheld.IsZero() && !c.keyed:
		return nil, 0
	case c.keyed:
		return &c.iikeying, 1 - c.from
	case c.rhello.data != nil:
		return &c.rhello, c.from
	case c.redirected:
		return &c.hello, 1 - c.from
	}
	return nil, 0
}

func (c *call) deadline() time.Time {
	at := c.expires
	k, to := c.waiting()
	if k == nil || k.data == nil || !c.source[to].IsValid() {
		return at
	}
	due := k.due()
	switch {
	case k.blocked:
		return at
	case k.sent == 0:
		due = c.held
	}
	if !due.IsZero() && due.Before(at) {
		return due
	}
	return at
}

// advanceCall sends what is due to be sent, if anything is.
func (t *Table) advanceCall(now time.Time, c *call) {
	k, to := c.waiting()
	if k == nil || k.data == nil || !c.source[to].IsValid() {
		return
	}
	if k.sent == 0 {
		if k == &c.rhello && now.Before(c.held) {
			return
		}
		k.first = now
	} else if due := k.due(); due.IsZero() || now.Before(due) {
		return
	}
	if !t.mayGo(&c.splice.sides[to], c.source[to], len(k.data)) {
		k.blocked = true // until it has answered
		return
	}
	k.blocked = false
	k.sent++
	t.stats.Sent++
	t.out = append(t.out, Output{
		c.splice.sides[to].socket, udp.Datagram{Peer: c.source[to], TOS: k.tos, Data: k.data},
	})
}
