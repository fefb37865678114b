package introducer

import (
	"bytes"
	"net/netip"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/share"
)

// Question is put to whoever decides beside this node, before a peer is taken or
// introduced.
type Question struct {
	Kind    EventKind // PeerConnected or PeersIntroduced
	Peer    PeerInfo  // who wants it
	Target  PeerInfo  // of PeersIntroduced
	Connect *netconn.Request
}

// Verdict is the answer. Reason is told to a client that is not taken.
type Verdict struct {
	Allow  bool
	Reason string
}

const (
	// defaultVerdictLife is how long a verdict over a pair holds.
	defaultVerdictLife = time.Minute
	// maxVerdicts bounds the pairs whose verdict is known or asked for.
	maxVerdicts = 1 << 14
)

// gate remembers verdicts over pairs, and asks once at a time for each pair.
type gate struct {
	cache *share.Cache[gateKey, *gated]
}

func newGate() gate { return gate{share.NewCache[gateKey, *gated](maxVerdicts, 0, 0)} }

// gateKey is a pair; from tells anonymous initiators apart.
type gateKey struct {
	pairKey
	from netip.AddrPort
}

type gated struct {
	held    *heldHello // the latest question of the initiator while the verdict is not there
	verdict bool
	until   time.Time
}

// heldHello is an IHello that waits: a copy.
type heldHello struct {
	asker, target *Peer
	hello         rtmfp.Hello
}

// permitted reports whether asker may be introduced to target now. If that has
// to be asked for, the introduction begins as soon as the verdict allows it; the
// initiator, who repeats itself, notices a delay at most.
func (n *Node) permitted(e *rtmfp.Engine, asker, target *Peer, h rtmfp.Hello) bool {
	if n.cfg.Ask == nil {
		return true
	}
	key := gateKey{pairKey: pairKey{target: target.ID()}}
	initiator := PeerInfo{Addr: h.From}
	if asker == nil {
		key.from = h.From
	} else {
		key.initiator, initiator = asker.ID(), asker.Info()
	}
	g := n.gate.entry(key, h.From.Addr())
	if g.held == nil && e.Now().Before(g.until) {
		if !g.verdict {
			n.stats.Denied++
			n.failed(asker, h, failDenied)
		}
		return g.verdict
	}
	asked := g.held != nil
	h.RawEPD, h.Tag = bytes.Clone(h.RawEPD), bytes.Clone(h.Tag)
	h.EPD = flash.EPD{Fingerprint: h.EPD.Fingerprint, HasFingerprint: true}
	g.held = &heldHello{asker, target, h}
	if asked {
		return false
	}
	asks := new(share.Holder) // of an anonymous initiator
	if asker != nil {
		asks = &asker.holds
	}
	if !n.ask(&inquiry{
		question: Question{Kind: PeersIntroduced, Peer: initiator, Target: target.Info()}, by: asks, weight: 1,
		wanted: func() bool { return true }, done: func(v Verdict) { n.decided(e, g, v) },
	}, h.From.Addr()) {
		g.held = nil
		n.stats.Limited++
		n.failed(asker, h, failLimited)
	}
	return false
}

// decided lets an introduction that waited go on.
func (n *Node) decided(e *rtmfp.Engine, g *gated, v Verdict) {
	held := g.held
	g.held, g.verdict, g.until = nil, v.Allow, e.Now().Add(n.cfg.VerdictLife)
	if !v.Allow {
		n.stats.Denied++
		n.failed(held.asker, held.hello, failDenied)
		return
	}
	// Either may have gone meanwhile.
	if n.peers[held.target.ID()] != held.target || held.asker != nil && n.peers[held.asker.ID()] != held.asker {
		return
	}
	n.proceed(e, held.asker, held.target, held.hello)
}

func (g *gate) entry(key gateKey, addr netip.Addr) *gated {
	e, known := g.cache.Get(key)
	if !known {
		e = new(gated)
		g.cache.Put(key, e, addr)
	}
	return e
}

// forget drops every verdict: whoever decides may have changed its mind.
func (g *gate) forget() {
	for _, e := range g.cache.All() {
		e.until = time.Time{}
	}
}
