package splice

import (
	"crypto/rand"
	"net/netip"
	"slices"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// A doubt is a place where a side may be, though its NetConnection is at another IP
// address. A NAT may have several; but whoever forges a source may just as well have
// chosen one of somebody who wants nothing. So it is asked, by an IHello for the peer:
// clients answer those to anybody. Until it has, it gets no more than three times what
// came from there. (Ports differ behind symmetric NATs, and prove nothing.)
type doubt struct {
	source  netip.AddrPort
	tag     string
	in, out int       // IP bytes from there, and to there
	first   time.Time // when it was asked
	asked   int
}

const (
	// maxDoubts bounds the places where one side may be.
	maxDoubts = 4
	// mostUnproven is how many times the bytes that came from an address go there
	// before it has answered, as in RFC 9000 section 8.1.
	mostUnproven = 3
)

// believes reports whether the side's peer is known to be at an IP address.
func (s *side) believes(ip netip.Addr) bool { return ip == s.verified || ip == s.proven }

func (s *side) doubt(source netip.AddrPort) *doubt {
	for i := range s.doubts {
		if s.doubts[i].source == source {
			return &s.doubts[i]
		}
	}
	return nil
}

// heard notes a packet of n bytes that may be the side's, from a place that it was not
// seen at before, perhaps. It reports whether the packet may count.
func (t *Table) heard(now time.Time, s *side, source netip.AddrPort, n int) bool {
	if s.believes(source.Addr()) {
		return true
	}
	if d := s.doubt(source); d != nil {
		d.in += ipBytes(source, n)
		return true
	}
	if len(s.doubts) >= maxDoubts {
		return false
	}
	tag := make([]byte, 16)
	_, _ = rand.Read(tag) // never fails
	s.doubts = append(s.doubts, doubt{source: source, tag: string(tag), in: ipBytes(source, n), first: now})
	t.proofs[proofKey{s.socket, string(tag)}] = s
	t.ask(now, s, &s.doubts[len(s.doubts)-1])
	t.schedule(s.splice)
	return true
}

// proofKey finds a side by the tag of the answer that proves where it is.
type proofKey struct {
	socket int
	tag    string
}

// due is when the place is asked again; zero: never.
func (d *doubt) due() time.Time {
	if d.asked > len(repeatAfter) {
		return time.Time{}
	}
	return d.first.Add(repeatAfter[d.asked-1])
}

func (t *Table) ask(_ time.Time, s *side, d *doubt) {
	d.asked++
	b := t.sealer.Begin(nil)
	b = wire.Header{Mode: wire.ModeStartup}.Append(b)
	b = wire.IHello{
		EPD: flash.EPD{Fingerprint: s.splice.peers[s.index], HasFingerprint: true}.Append(nil), Tag: []byte(d.tag),
	}.Append(b)
	b = t.sealer.Finish(b, wire.SessionID{})
	if t.mayGo(s, d.source, len(b)) {
		t.stats.Asked++
		t.out = append(t.out, Output{s.socket, udp.Datagram{Peer: d.source, Data: b}})
	}
}

// mayGo reports whether a packet of n bytes may go to a place of the side, and counts
// it if it does.
func (t *Table) mayGo(s *side, to netip.AddrPort, n int) bool {
	if s.believes(to.Addr()) {
		return true
	}
	d, size := s.doubt(to), ipBytes(to, n)
	if d == nil || d.out+size > mostUnproven*d.in {
		return false
	}
	d.out += size
	return true
}

// proves takes an RHello that may answer what a place was asked, and reports whether
// it does.
func (t *Table) proves(now time.Time, socket int, from netip.AddrPort, h wire.RHello) bool {
	s := t.proofs[proofKey{socket, string(h.Tag)}]
	if s == nil {
		return false
	}
	for _, d := range s.doubts {
		if d.tag != string(h.Tag) || d.source.Addr() != from.Addr() || !t.certifies(s, h.Certificate) {
			continue
		}
		t.stats.Proven++
		s.proven = from.Addr()
		t.settleDoubts(s)
		for _, c := range slices.Clone(s.splice.calls) {
			t.advanceCall(now, c) // what could not go there before
		}
		t.schedule(s.splice)
		return true
	}
	t.drop(DropTag)
	return true
}

// settleDoubts forgets those that there is no reason for any more.
func (t *Table) settleDoubts(s *side) {
	s.doubts = slices.DeleteFunc(s.doubts, func(d doubt) bool {
		settled := s.believes(d.source.Addr())
		if settled {
			delete(t.proofs, proofKey{s.socket, d.tag})
		}
		return settled
	})
	s.doubted = s.source.IsValid() && !s.believes(s.source.Addr())
}

// forgetDoubts is for a splice that ends.
func (t *Table) forgetDoubts(s *side) {
	for _, d := range s.doubts {
		delete(t.proofs, proofKey{s.socket, d.tag})
	}
	s.doubts = nil
}

// askAgain asks what is due to be asked.
func (t *Table) askAgain(now time.Time, s *side) {
	for i := range s.doubts {
		if due := s.doubts[i].due(); !due.IsZero() && !now.Before(due) {
			t.ask(now, s, &s.doubts[i])
		}
	}
}
