package introducer

import (
	"crypto/rand"
	"net/netip"
	"slices"
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp"
	"pileus/rtmfp/wire"
)

const (
	// maxRunning bounds the introductions that are repeated and watched. Above
	// it, each question still gets its one answer, by what is known of the two: that
	// a pair asks again says nothing about it when answers may be late or lost.
	maxRunning = 1 << 12
	// watchFor is how long an introduction is watched for the initiator's next
	// question with the same tag, which others repeat after 1 s.
	watchFor = 2 * time.Second
	// askedWithin is the longest time between two questions of one initiator,
	// the last of which others send after 7.5 and 13 s.
	askedWithin = 6 * time.Second
)

// An introduction is a plan being carried out.
type introduction struct {
	node          *Node
	engine        *rtmfp.Engine
	asker, target *Peer // asker is nil for an anonymous initiator
	local, from   netip.AddrPort
	epd, tag      []byte

	plan     strategy.Plan
	refusal  error // of the relay
	relays   [2]netip.AddrPort
	trial    *trial
	began    time.Time
	until    time.Time // it is watched
	asked    int       // again, with the same tag
	repeats  int
	next     [2]netip.AddrPort // mappings that fresh FIHellos showed: initiator's, target's
	fresh    [2][]byte         // the tags of these FIHellos
	named    [2]int            // addresses named to each side since
	timer    *rtmfp.Timer
	finished bool

	unwatched bool // above maxRunning
}

// introKey names an introduction: an initiator keeps its tag while it repeats.
type introKey struct {
	from netip.AddrPort
	tag  string
}

// carryOut decides how the two shall meet and begins with it. Asked again with
// the same tag, it sends the same again.
func (n *Node) carryOut(e *rtmfp.Engine, asker, target *Peer, h rtmfp.Hello) {
	key := introKey{h.From, string(h.Tag)}
	if in := n.running[key]; in != nil && in.target == target {
		n.stats.AskedAgain++
		in.asked++
		in.until = e.Now().Add(askedWithin)
		target.steady = false
		if asker != nil {
			asker.steady = false
		}
		in.send()
		in.complain()
		return
	}
	if len(n.running) >= maxRunning {
		n.once(e, asker, target, h)
		return
	}
	in := &introduction{
		node: n, engine: e, asker: asker, target: target, local: h.Local, from: h.From,
		epd: append([]byte(nil), h.RawEPD...), tag: append([]byte(nil), h.Tag...), began: e.Now(),
	}
	if s := n.pairs.retried(e.Now(), asker, target, h.Tag); s != nil {
		n.pairs.note(e.Now(), s, strategy.Retried, n.peers)
		n.settle(e.Now(), s.trial, Retried)
	}
	in.join(in.decide())
	in.trial = n.pairs.began(newTrial(e.Now(), asker, target, h.Tag, in.plan.Strategy))
	in.explain()
	if !in.tell() {
		return
	}
	in.aim()
	in.send()
	n.running[key] = in
	in.wait(key)
}

// once introduces two above maxRunning: nothing is repeated, watched or remembered.
func (n *Node) once(e *rtmfp.Engine, asker, target *Peer, h rtmfp.Hello) {
	in := &n.spare
	*in = introduction{
		node: n, engine: e, asker: asker, target: target, local: h.Local, from: h.From,
		epd: h.RawEPD, tag: h.Tag, began: e.Now(), unwatched: true,
	}
	in.join(in.decide())
	in.plan.HoldReplies = false
	if in.tell() {
		n.stats.Unwatched++
		in.send()
	}
	*in = introduction{}
}

// tell counts the plan and tells of it, and reports whether it is to be carried out.
func (in *introduction) tell() bool {
	n, plan, now := in.node, &in.plan, in.engine.Now()
	n.stats.Strategies[plan.Strategy]++
	n.logIntroduction(now, in.asker, in.target, in.from, plan)
	n.emitIntroduced(now, in.asker, in.target, in.from, PlanInfo{plan.Strategy, plan.Sure, plan.Relay.Use, plan.Why})
	if plan.Strategy != strategy.Refuse {
		n.stats.Introduced++
		return true
	}
	if in.asker != nil {
		in.asker.failed(in.target.ID(), string(in.tag), in.failure())
	}
	return false
}

// decide makes the plan of what is known by now, and returns that.
func (in *introduction) decide() strategy.Pair {
	n := in.node
	p := strategy.Pair{
		Initiator: strategy.Side{Observed: n.outside(in.from, in.target.Addr()), Anonymous: true},
		Target:    n.side(in.target, in.asker, in.from),
		Node:      strategy.Node{Main: n.cfg.Names.Outside(in.local), Second: n.second(in.target)},

		RelayAvailable: n.cfg.Relay != nil,
	}
	if !in.unwatched {
		p.Failures = n.pairs.failures(in.engine.Now(), in.asker, in.target)
	}
	if in.asker != nil {
		p.Initiator = n.side(in.asker, in.target, in.target.Addr())
	}
	p.Initiator.Next, p.Initiator.Named = in.next[0], in.named[0]
	p.Target.Next, p.Target.Named = in.next[1], in.named[1]
	in.plan = strategy.Decide(p)
	return p
}

// side is what strategy needs to know of p, as far as other may know it.
func (n *Node) side(p, other *Peer, at netip.AddrPort) strategy.Side {
	s := strategy.Side{
		Observed: n.outside(p.Addr(), at),
		Proven:   p.proven,
		Latest:   p.latest,
		Steady:   p.steady,
		At:       n.cfg.Names.Outside(p.session.Local()),
		RTT:      p.session.RTT(),
	}
	if p.behavior != nil {
		s.Behavior = *p.behavior
	}
	for _, a := range named(p, other)[1:] {
		s.Reported = append(s.Reported, a.AddrPort)
	}
	return s
}

// aim asks the sides whose ports step for their newest mapping, by an FIHello
// with a reply address they have not sent to lately.
func (in *introduction) aim() {
	for i, aim := range []strategy.Aim{strategy.AimInitiator, strategy.AimTarget} {
		p := in.target
		if i == 0 {
			p = in.asker
		}
		if in.plan.Aim&aim == 0 || p == nil {
			continue
		}
		replies := in.node.freshReplies(p)
		if len(replies) == 0 {
			continue
		}
		tag := make([]byte, 16)
		_, _ = rand.Read(tag) // never fails
		if in.engine.Await(tag, func(_, from netip.AddrPort) { in.aimed(i, from) }) != nil {
			continue
		}
		in.fresh[i] = tag
		p.reply--
		if p.reply < 0 || p.reply >= len(replies) {
			p.reply = len(replies) - 1
		}
		reply := wire.Address{AddrPort: replies[p.reply], Origin: wire.OriginObserved}
		p.session.ForwardHello(p.session.Far().EPD().Append(nil), reply, tag)
	}
}

// freshReplies are reply addresses to which p has sent nothing lately, or longest
// ago, from the last on. Of a single address, classification has used each port
// that it may; the routes are left, which only a narrow firewall makes it try.
func (n *Node) freshReplies(p *Peer) []netip.AddrPort {
	local := p.session.Local()
	at := n.cfg.Names.Outside(local)
	return slices.DeleteFunc(n.vantage(local, slices.Concat(n.cfg.Probes, n.cfg.Routes)), func(a netip.AddrPort) bool { return a == at })
}

// aimed takes a fresh mapping; when all are there, a second wave goes out.
func (in *introduction) aimed(side int, from netip.AddrPort) {
	if in.finished || in.next[side].IsValid() {
		return
	}
	in.next[side] = from
	if side == 0 {
		in.asker.latest = from
	} else {
		in.target.latest = from
	}
	for i, tag := range in.fresh {
		if tag != nil && !in.next[i].IsValid() {
			return
		}
	}
	in.join(in.decide())
	in.explain()
	in.send()
}

// send names the addresses to both: Redirects first, as every server does.
func (in *introduction) send() {
	if !in.target.session.Open() {
		return
	}
	if in.plan.OnePerRedirect {
		for _, a := range in.plan.Redirects {
			in.engine.Redirect(in.local, in.from, in.tag, []wire.Address{a})
		}
	} else if len(in.plan.Redirects) > 0 {
		in.engine.Redirect(in.local, in.from, in.tag, in.plan.Redirects)
	}
	replies := in.plan.Replies
	if in.plan.HoldReplies && in.repeats == 0 {
		replies = in.plan.Opening
	}
	in.target.session.ForwardHellos(in.epd, replies, in.tag)
	// Only the first wave's addresses have been tried when a fresh mapping
	// arrives; later ones are of that wave again.
	if in.repeats == 0 && !in.next[0].IsValid() && !in.next[1].IsValid() {
		in.named = [2]int{len(in.plan.Redirects), len(in.plan.Replies)}
	}
}

// wait repeats as the plan says and forgets the introduction in the end.
func (in *introduction) wait(key introKey) {
	pace := in.plan.Pace
	d, grid := watchFor, watchGrid
	if in.repeats < pace.Times {
		d, grid = pace.Interval, repeatGrid
		if in.repeats == 0 {
			d = pace.First
		}
	}
	in.timer = in.engine.After(together(in.engine.Now(), d, grid), func() {
		if in.repeats < in.plan.Pace.Times {
			in.repeats++
			in.send()
			in.wait(key)
			return
		}
		in.end(key)
	})
}

const (
	// repeatGrid is what repeats fall on: those of many introductions then leave by
	// one system call, and the engine wakes once for them.
	repeatGrid = 10 * time.Millisecond
	// watchGrid is the same for their ends, for which nobody waits.
	watchGrid = 100 * time.Millisecond
)

// together is d, made longer so that it ends on the grid.
func together(now time.Time, d, grid time.Duration) time.Duration {
	if past := time.Duration(now.Add(d).UnixNano()) % grid; past > 0 {
		d += grid - past
	}
	return d
}

// end finishes what was not asked for again meanwhile.
func (in *introduction) end(key introKey) {
	if left := in.until.Sub(in.engine.Now()); left > 0 {
		in.timer = in.engine.After(together(in.engine.Now(), left, watchGrid), func() { in.end(key) })
		return
	}
	in.finish(key)
}

func (in *introduction) finish(key introKey) {
	in.finished = true
	in.timer.Stop()
	for _, tag := range in.fresh {
		in.engine.Forget(tag)
	}
	delete(in.node.running, key)
	in.judge()
}

// judge says what became of an introduction that nobody has told about.
func (in *introduction) judge() {
	outcome := Quiet
	switch {
	case in.trial.settled:
		return
	case !in.target.session.Open(), in.asker != nil && !in.asker.session.Open():
		outcome = Abandoned
	case in.asked > 0:
		outcome = AskedAgain
	}
	in.node.settle(in.engine.Now(), in.trial, outcome)
}
