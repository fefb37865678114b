package share

import (
	"net/netip"

	"pileus/rtmfp/flow"
	"pileus/rtmfp/udp"
)

// Limits bound a thing of which there is only so much.
type Limits struct {
	Total int64 // 0: any number
	// Peer, Prefix and Wide, in percent, are what one holder, one prefix and one wide
	// prefix may have of Total, once more than half of it is held; 0: any part.
	Peer, Prefix, Wide int
}

// Ledger is who holds how much of some things. Each thing has an account for all, in it
// one for each wide prefix, in that one for each prefix. Use it from one goroutine.
type Ledger struct {
	things []thing
	places map[placeKey]*Place
}

type thing struct {
	limits  Limits
	whole   flow.Account
	refused [flow.NumRefusals]uint64
}

// Place is a prefix whose addresses hold something.
type Place struct {
	placeKey
	ledger   *Ledger
	accounts []flow.Account
	uses     int // holders of a narrow one, narrow ones of a wide one
}

type placeKey struct {
	of     *Place // nil: it is a wide one
	prefix netip.Prefix
}

// NewLedger makes a ledger of so many things, all without limits.
func NewLedger(things int) *Ledger {
	return &Ledger{things: make([]thing, things), places: make(map[placeKey]*Place)}
}

// Set changes the limits of a thing. What is held above them stays.
func (l *Ledger) Set(i int, limits Limits) {
	t := &l.things[i]
	t.limits = limits
	t.whole.SetLimit(limits.Total)
	for _, p := range l.places {
		p.accounts[i].SetLimit(t.part(p.of != nil))
	}
}

// part is what a prefix may have.
func (t *thing) part(narrow bool) int64 {
	percent := t.limits.Wide
	if narrow {
		percent = t.limits.Prefix
	}
	return t.limits.part(percent)
}

// part is so many percent of all; 0: any.
func (l Limits) part(percent int) int64 {
	if percent == 0 || l.Total == 0 {
		return 0
	}
	return max(1, l.Total*int64(percent)/100)
}

// Whole is the account of all that is held of a thing.
func (l *Ledger) Whole(i int) *flow.Account { return &l.things[i].whole }

// Refused is how often holders were refused a thing.
func (l *Ledger) Refused(i int, r flow.Refusal) uint64 { return l.things[i].refused[r] }

// Places is how many prefixes, wide and narrow, hold something.
func (l *Ledger) Places() int { return len(l.places) }

// Enter is the place of addr, for one more to use.
func (l *Ledger) Enter(addr netip.Addr) *Place {
	wide := l.find(placeKey{nil, udp.WidePrefix(addr)})
	p := l.find(placeKey{wide, udp.Prefix(addr)})
	if p.uses++; p.uses == 1 {
		wide.uses++
	}
	return p
}

func (l *Ledger) find(k placeKey) *Place {
	p := l.places[k]
	if p != nil {
		return p
	}
	p = &Place{placeKey: k, ledger: l, accounts: make([]flow.Account, len(l.things))}
	for i := range p.accounts {
		t := &l.things[i]
		of := &t.whole
		if k.of != nil {
			of = &k.of.accounts[i]
		}
		p.accounts[i].Init(of, t.part(k.of != nil))
	}
	l.places[k] = p
	return p
}

// Leave ends a use.
func (p *Place) Leave() {
	for ; p != nil; p = p.of {
		if p.uses--; p.uses > 0 {
			return
		}
		delete(p.ledger.places, p.placeKey)
	}
}

// Account is what the place holds of a thing.
func (p *Place) Account(i int) *flow.Account { return &p.accounts[i] }

// Wide is the wide prefix that a narrow one is part of.
func (p *Place) Wide() *Place { return p.of }

// Holder is somebody who holds things of a ledger. The zero Holder holds nothing.
type Holder struct {
	place *Place // nil while it holds nothing
	held  []int32
	sum   int32
}

// Take has h, at addr, hold one more of a thing, or says why it may not. A share is that
// part of all there is when half of it is left, and shrinks with the square of what is
// left: so n networks that take all they get leave 1/(2+0.4n) of it, with shares of a tenth,
// and not 0.83 to the power of n as if it shrank with what is left itself.
func (h *Holder) Take(l *Ledger, addr netip.Addr, i int) flow.Refusal {
	return h.TakeMany(l, addr, i, 1)
}

// TakeMany is Take for so many at once, or none.
func (h *Holder) TakeMany(l *Ledger, addr netip.Addr, i, many int) flow.Refusal {
	h.enter(l, addr)
	t := &l.things[i]
	r := t.ask(h, i, int64(many))
	if r == flow.Granted {
		h.add(i, many)
		return r
	}
	t.refused[r]++
	h.rest()
	return r
}

// Hold is Take, whatever the limits say: for what another holder gives up.
func (h *Holder) Hold(l *Ledger, addr netip.Addr, i int) {
	h.enter(l, addr)
	h.add(i, 1)
}

func (h *Holder) enter(l *Ledger, addr netip.Addr) {
	if h.place != nil {
		return
	}
	h.place = l.Enter(addr)
	if h.held == nil {
		h.held = make([]int32, len(l.things))
	}
}

func (h *Holder) add(i, many int) {
	h.held[i] += int32(many)
	h.sum += int32(many)
	h.place.accounts[i].Add(int64(many))
}

func (t *thing) ask(h *Holder, i int, many int64) flow.Refusal {
	total := t.whole.Limit()
	left := total - t.whole.Held()
	switch {
	case total == 0:
		return flow.Granted
	case left < many:
		return flow.OverLimit
	case !t.whole.Strained():
		return flow.Granted
	}
	shrunk := 2 * float64(left) / float64(total)
	shrunk *= shrunk
	// The first is there for whoever has none.
	over := func(held, part int64) bool {
		return part > 0 && held > 0 && float64(held+many-1) >= float64(part)*shrunk
	}
	if over(int64(h.held[i]), t.limits.part(t.limits.Peer)) {
		return flow.OverShare
	}
	for p := h.place; p != nil; p = p.of {
		if over(p.accounts[i].Held(), p.accounts[i].Limit()) {
			return flow.OverShare
		}
	}
	return flow.Granted
}

// Over reports whether the prefixes of addr hold their shares of a thing, whatever is
// left of it.
func (l *Ledger) Over(addr netip.Addr, i int) bool {
	wide := l.places[placeKey{nil, udp.WidePrefix(addr)}]
	for p := l.places[placeKey{wide, udp.Prefix(addr)}]; p != nil; p = p.of {
		if p.accounts[i].Exceeds(1) {
			return true
		}
	}
	return wide != nil && wide.accounts[i].Exceeds(1)
}

// Give gives one back.
func (h *Holder) Give(i int) { h.GiveMany(i, 1) }

// GiveMany gives so many back.
func (h *Holder) GiveMany(i, many int) {
	h.add(i, -many)
	h.rest()
}

// rest leaves the place of a holder that holds nothing.
func (h *Holder) rest() {
	if h.sum == 0 {
		h.place.Leave()
		h.place = nil
	}
}

// Held is how many h holds of a thing.
func (h *Holder) Held(i int) int {
	if h.held == nil {
		return 0
	}
	return int(h.held[i])
}

// Move has what h holds count at another address.
func (h *Holder) Move(addr netip.Addr) {
	if h.place == nil {
		return
	}
	to := h.place.ledger.Enter(addr)
	for i, n := range h.held {
		h.place.accounts[i].Add(-int64(n))
		to.accounts[i].Add(int64(n))
	}
	h.place.Leave()
	h.place = to
}
