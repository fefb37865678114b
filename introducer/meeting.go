package introducer

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/rtmfp"
	"pileus/rtmfp/share"
)

// An introduction is how two peers are to meet: decided, held back, and decided anew,
// as what is known of the two changes. It begins with an initiator's first question,
// and ends when nobody has asked again for a while.
type introduction struct {
	node          *Node
	engine        *rtmfp.Engine
	asker, target *Peer // asker is nil for an anonymous initiator
	local, from   netip.AddrPort
	epd, tag      []byte
	key           introKey

	// The first answer waits, from held on, until the pair is ripe or has waited for
	// long enough.
	held    time.Time // zero: it does not wait, or has not begun to
	told    time.Time // the first plan was; zero: none yet
	made    strategy.Plan
	plan    strategy.Plan // made, and what the relay has added
	pending natprobe.Pending
	anew    int // decisions after the first

	refusal  error // of the relay
	retry    bool  // it is asked again
	relays   [2]netip.AddrPort
	trial    *trial
	began    time.Time
	until    time.Time // it is watched
	asked    int       // again, with the same tag
	repeats  int
	queue    int               // the next of plan.Redirects to leave, where their order counts
	next     [2]netip.AddrPort // mappings that fresh FIHellos showed: initiator's, target's
	fresh    [2][]byte         // the tags of these FIHellos
	named    [2]int            // addresses named to each side since
	timer    *rtmfp.Timer      // of repeats, and of the end
	spacing  *rtmfp.Timer      // of queue
	patience *rtmfp.Timer      // of the hold

	seats [2]*seat[*introduction] // at its asker's, and at its target's
	crowd share.Holder            // of what its target's seekers share
	alone share.Holder            // of an anonymous initiator

	finished  bool
	unwatched bool // above Limits.Introductions, or a share of it
}

// maxAnew bounds how often one introduction is decided anew: each of two sides may be
// found out, move, and be asked for again.
const maxAnew = 12

// introKey names an introduction: an initiator keeps its tag while it repeats.
type introKey struct {
	from netip.AddrPort
	tag  string
}

// carryOut begins an introduction. Asked again with the same tag, it goes on.
func (n *Node) carryOut(e *rtmfp.Engine, asker, target *Peer, h rtmfp.Hello) {
	key := introKey{h.From, string(h.Tag)}
	if in := n.running[key]; in != nil && in.target == target {
		in.again()
		return
	}
	in := &introduction{
		node: n, engine: e, asker: asker, target: target, local: h.Local, from: h.From, key: key,
		epd: bytes.Clone(h.RawEPD), tag: bytes.Clone(h.Tag), began: e.Now(),
	}
	if !in.enter() {
		n.once(e, asker, target, h)
		return
	}
	if s := n.pairs.retried(e.Now(), asker, target, h.Tag); s != nil {
		n.pairs.note(e.Now(), s, strategy.Retried, n.peers)
		n.settle(e.Now(), s.trial, Retried)
	}
	n.running[key] = in
	in.consider()
}

// consider decides, or decides anew, as soon as there is nothing to wait for.
func (in *introduction) consider() {
	now := in.engine.Now()
	if in.finished {
		return
	}
	if !in.target.session.Open() || in.asker != nil && !in.asker.session.Open() {
		in.finish()
		return
	}
	if in.decided() && in.anew >= maxAnew {
		return
	}
	p := in.pair()
	in.pending = p.Initiator.Pending | p.Target.Pending
	if !p.Ripe() {
		if in.held.IsZero() {
			in.held = now
		}
		if left := in.held.Add(p.Hold()).Sub(now); left > 0 {
			in.hold(left)
			return
		}
		p.Rushed = true
	}
	plan := strategy.Decide(p)
	if wait := in.yields(&p, &plan, now); wait > 0 && !in.decided() {
		in.hold(wait)
		return
	}
	stop(in.patience)
	in.adopt(p, plan)
}

func (in *introduction) decided() bool { return !in.told.IsZero() }

// reconsider is consider for a plan that does not seem to work: what was refused then may
// be had now. It reports whether there is another.
func (in *introduction) reconsider() bool {
	before := in.anew
	in.retry = in.refusal != nil
	in.consider()
	in.retry = false
	return in.anew != before
}

// hold waits for what is to be found out. What was told before is repeated meanwhile.
func (in *introduction) hold(d time.Duration) {
	stop(in.patience)
	in.patience = in.engine.After(d, in.consider)
}

func stop(t *rtmfp.Timer) {
	if t != nil {
		t.Stop()
	}
}

// again takes the same question once more.
func (in *introduction) again() {
	n, now := in.node, in.engine.Now()
	n.stats.AskedAgain++
	in.asked++
	in.until = now.Add(askedWithin)
	in.target.steady = false
	if in.asker != nil {
		in.asker.steady = false
	}
	if !in.decided() {
		return // the answer will come
	}
	if !in.reconsider() && !in.finished {
		in.send()
	}
	in.complain()
}

// adopt tells the two of a plan, if it is not what they know.
func (in *introduction) adopt(p strategy.Pair, plan strategy.Plan) {
	switch {
	case !in.decided():
		in.made = plan
		in.begin(p)
		return
	case samePlan(&in.made, &plan) && !in.retry:
		// More is known, and it is as it was.
		if in.refusal == nil {
			in.plan.Why, in.plan.Sure = plan.Why, plan.Sure
		}
		if in.made.Why != plan.Why || in.trial.classes != in.classes() {
			in.made.Why = plan.Why
			in.revised()
		}
		return
	}
	in.made = plan
	in.anew++
	in.node.stats.DecidedAnew++
	in.join(p)
	in.revised()
	if in.plan.Strategy == strategy.Refuse {
		in.refused()
		return
	}
	in.aim()
	in.send()
	in.repeats = 0
	in.wait()
}

// begin tells of the first plan.
func (in *introduction) begin(p strategy.Pair) {
	in.told = in.engine.Now()
	if p.Rushed {
		in.node.stats.Rushed++
	}
	if !in.held.IsZero() {
		in.node.stats.Held++
	}
	in.join(p)
	in.trial = in.node.pairs.began(newTrial(in.began, in.asker, in.target, in.tag, in.plan.Strategy), in.from.Addr())
	in.explain()
	in.tell()
	if in.plan.Strategy != strategy.Refuse {
		in.aim()
		in.send()
	}
	in.wait()
}

// revised lets the reason follow the plan.
func (in *introduction) revised() {
	in.trial.strategy = in.plan.Strategy
	in.trial.classes = in.classes()
	in.explain()
	in.node.emitPlan(PlanRevised, in.engine.Now(), in.asker, in.target, in.from, planInfo(&in.plan))
}

func (in *introduction) classes() [2]natprobe.Class {
	return [2]natprobe.Class{in.asker.class(), in.target.class()}
}

// samePlan reports whether two plans tell peers the same. Predicted ports follow the
// newest mapping: that alone makes no other plan.
func samePlan(a, b *strategy.Plan) bool {
	return a.Strategy == b.Strategy && a.Aim == b.Aim && a.Relay.Use == b.Relay.Use &&
		slices.Equal(a.Relay.Initiator, b.Relay.Initiator) && slices.Equal(a.Relay.Target, b.Relay.Target) &&
		(a.Aim != 0 || slices.Equal(a.Redirects, b.Redirects) && slices.Equal(a.Replies, b.Replies))
}

// pair is what is known of the two by now.
func (in *introduction) pair() strategy.Pair {
	n, now := in.node, in.engine.Now()
	p := strategy.Pair{
		Initiator:      strategy.Side{Observed: n.outside(in.from, in.target.Addr()), At: n.cfg.Names.Outside(in.local), Anonymous: true},
		Target:         n.side(now, in.target, in.asker, in.from),
		RelayAvailable: n.cfg.Relay != nil,
		NoRelay:        n.cfg.NoRelay,
		Again:          in.asked,
	}
	if !in.unwatched {
		p.Failures = n.pairs.failures(now, in.asker, in.target)
	}
	if in.asker != nil {
		p.Initiator = n.side(now, in.asker, in.target, in.target.Addr())
	}
	for i, s := range []*strategy.Side{&p.Initiator, &p.Target} {
		if in.next[i].IsValid() {
			s.Next, s.Named = in.next[i], in.named[i]
		}
	}
	return p
}

// side is what strategy needs to know of p, as far as other may know it.
func (n *Node) side(now time.Time, p, other *Peer, at netip.AddrPort) strategy.Side {
	s := strategy.Side{
		Observed: n.outside(p.Addr(), at),
		Proven:   p.proven,
		Latest:   p.latest,
		Steady:   p.steady,
		At:       n.namesFor(p).Outside(p.session.Local()),
		RTT:      p.session.RTT(),
	}
	if !apart(s.Observed.Addr(), at.Addr()) {
		s.Behavior, s.Pending = p.known(now)
	}
	if s.Behavior.BlockedRoutes.Answer == natprobe.Yes {
		s.Second = n.second(p)
	}
	if p.behavior == nil && p.latest.IsValid() {
		s.Next = p.latest // seen a moment ago, and nothing has been named since
	}
	for _, a := range named(p, other)[1:] {
		s.Reported = append(s.Reported, a.AddrPort)
	}
	return s
}
