package introducer

import (
	"net/netip"
	"slices"
	"time"

	"pileus/introducer/strategy"
	"pileus/rtmfp"
	"pileus/rtmfp/wire"
)

const (
	// watchFor is how long an introduction is watched for the initiator's next
	// question with the same tag, which others repeat after 1 s.
	watchFor = 2 * time.Second
	// askedWithin is the longest time between two questions of one initiator,
	// the last of which others send after 7.5 and 13 s.
	askedWithin = 6 * time.Second
)

// once introduces two above Limits.Introductions: each question gets its one answer, by
// what is known of the two, and nothing is held, repeated, watched or remembered. (That a
// pair asks again says nothing about it when answers may be late or lost.)
func (n *Node) once(e *rtmfp.Engine, asker, target *Peer, h rtmfp.Hello) {
	in := &n.spare
	*in = introduction{
		node: n, engine: e, asker: asker, target: target, local: h.Local, from: h.From,
		epd: h.RawEPD, tag: h.Tag, began: e.Now(), unwatched: true,
	}
	p := in.pair()
	p.Rushed = !p.Ripe()
	in.made = strategy.Decide(p)
	in.made.HoldReplies, in.made.Ordered = false, false
	in.join(p)
	in.tell()
	if in.plan.Strategy != strategy.Refuse {
		n.stats.Unwatched++
		in.send()
	}
	*in = introduction{}
}

// tell counts the first plan and tells operators of it, and the initiator if nothing
// comes of it.
func (in *introduction) tell() {
	n, plan, now := in.node, &in.plan, in.engine.Now()
	n.stats.Strategies[plan.Strategy]++
	n.logIntroduction(now, in.asker, in.target, in.from, plan)
	n.emitPlan(PeersIntroduced, now, in.asker, in.target, in.from, planInfo(plan))
	if plan.Strategy != strategy.Refuse {
		n.stats.Introduced++
		return
	}
	in.refused()
}

func (in *introduction) refused() {
	if in.asker != nil {
		in.asker.failed(in.target.ID(), string(in.tag), in.failure())
	}
}

// aim asks the sides whose ports step for their newest mapping, by an FIHello
// with a reply address they have not sent to lately. Of who is being probed it is
// known anyhow; and probing rests while ports are predicted.
func (in *introduction) aim() {
	for i, aim := range []strategy.Aim{strategy.AimInitiator, strategy.AimTarget} {
		p := in.target
		if i == 0 {
			p = in.asker
		}
		if in.plan.Aim&aim == 0 || p == nil {
			continue
		}
		if p.probing != nil {
			p.probing.rest(in.engine.Now())
			continue
		}
		replies := in.node.freshReplies(p)
		if len(replies) == 0 || in.fresh[i] != nil {
			continue
		}
		tag := in.node.await(p, func(_, from netip.AddrPort) { in.aimed(i, from) })
		if tag == nil {
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
	at := n.namesFor(p).Outside(p.session.Local())
	return slices.DeleteFunc(n.vantage(p, slices.Concat(n.cfg.Probes, n.cfg.Routes)), func(a netip.AddrPort) bool { return a == at })
}

// aimed takes a fresh mapping; when all are there, a second wave goes out.
func (in *introduction) aimed(side int, from netip.AddrPort) {
	p := in.target
	if side == 0 {
		p = in.asker
	}
	if in.finished || in.next[side].IsValid() || !p.mapped(from) {
		return
	}
	in.next[side] = from
	for i, tag := range in.fresh {
		if tag != nil && !in.next[i].IsValid() {
			return
		}
	}
	pair := in.pair()
	plan := strategy.Decide(pair)
	if plan.Aim != in.made.Aim {
		return // it is decided anew as such
	}
	in.made = plan
	in.join(pair)
	in.explain()
	in.send()
}

// mapped notes that an answer came from there, and reports whether that can be the
// newest mapping of p. Only at its own IP address: anybody can forge the source of an
// answer, and the next ports there are named to others.
func (p *Peer) mapped(from netip.AddrPort) bool {
	own := from.Addr() == p.Addr().Addr()
	if own {
		p.latest = from
	}
	return own
}

// send names the addresses to both: Redirects first, as every server does.
func (in *introduction) send() {
	if !in.target.session.Open() {
		return
	}
	stop(in.spacing)
	in.queue = 0
	in.redirect()
	replies := in.plan.Replies
	if in.plan.HoldReplies && in.repeats == 0 {
		replies = in.plan.Opening
	}
	in.target.session.ForwardHellos(in.epd, replies, in.tag)
	if in.counts() {
		in.named[1] = len(in.plan.Replies)
	}
}

// redirect sends all Redirects, or the next of those whose order counts.
func (in *introduction) redirect() {
	rest := in.plan.Redirects[in.queue:]
	n := len(rest)
	if in.plan.Ordered {
		n = min(n, 1)
	}
	if n == 0 {
		return
	}
	in.engine.Redirect(in.local, in.from, in.tag, rest[:n])
	in.queue += n
	if in.counts() {
		in.named[0] = in.queue
	}
	if in.queue < len(in.plan.Redirects) {
		in.spacing = in.engine.After(strategy.Spacing, in.redirect)
	}
}

// counts reports whether what is sent comes before a fresh mapping: only these
// addresses have been tried when that arrives; later ones are of the first wave again.
func (in *introduction) counts() bool {
	return in.repeats == 0 && !in.next[0].IsValid() && !in.next[1].IsValid()
}

// wait repeats as the plan says and forgets the introduction in the end.
func (in *introduction) wait() {
	pace := in.plan.Pace
	d, grid := watchFor, watchGrid
	if in.repeats < pace.Times {
		d, grid = pace.Interval, repeatGrid
		if in.repeats == 0 {
			d = pace.First
		}
	}
	stop(in.timer)
	in.timer = in.engine.After(together(in.engine.Now(), d, grid), func() {
		if in.repeats < in.plan.Pace.Times {
			in.repeats++
			in.send()
			in.wait()
			return
		}
		// Its time has run out, and nothing was seen of its having worked.
		if (!in.plan.Sure || in.refusal != nil) && (in.reconsider() || in.finished) {
			return
		}
		in.end()
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
func (in *introduction) end() {
	if left := in.until.Sub(in.engine.Now()); left > 0 {
		in.timer = in.engine.After(together(in.engine.Now(), left, watchGrid), in.end)
		return
	}
	in.finish()
}

func (in *introduction) finish() {
	in.finished = true
	for _, t := range []*rtmfp.Timer{in.timer, in.spacing, in.patience} {
		stop(t)
	}
	for i, p := range []*Peer{in.asker, in.target} {
		if in.fresh[i] != nil {
			in.node.forget(p, in.fresh[i])
		}
	}
	if in.node.running[in.key] == in {
		delete(in.node.running, in.key)
	}
	in.leave()
	if in.decided() {
		in.judge()
	}
}

// judge says what became of an introduction that nobody has told about.
func (in *introduction) judge() {
	outcome := Quiet
	switch {
	case in.trial.settled, in.plan.Strategy == strategy.Refuse:
		return
	case !in.target.session.Open(), in.asker != nil && !in.asker.session.Open():
		outcome = Abandoned
	case in.asked > 0:
		outcome = AskedAgain
	}
	in.node.settle(in.engine.Now(), in.trial, outcome)
}
