package strategy

import (
	"cmp"
	"net/netip"
	"strconv"
	"time"

	"pileus/natprobe"
	"pileus/rtmfp/wire"
)

// givenUp is how many failures in a row make a relay the only address named, whatever
// the classes say.
const givenUp = 3

// route is a way of one address family.
type route struct {
	initiator, target netip.AddrPort
	observed          bool // as the sides' behaviours describe it
	may               meeting
}

// decision is a plan in the making.
type decision struct {
	*Pair
	routes [2]route // IPv6 first
	n      int
	may    meeting // of the best route
	likely meeting // the same, of sides that keep their ports as far as one address can tell
	shared bool    // behind one NAT
	local  bool    // a local address may be named
	over6  bool    // the best route is a proven one
}

// Decide returns the plan for a pair.
func Decide(p Pair) Plan {
	d := newDecision(&p)
	path, clause := d.may.path(), ""
	if d.local && path != PathDirect {
		path = PathUnsure
	}
	var plan Plan
	plan.Strategy, plan.Aim = d.strategy()
	plan.Sure = path != PathUnsure && (path != PathDirect || !d.may.has(predicted)) && p.Failures == 0 && p.Again == 0
	relay, refusal := p.relay()
	wanted := path == PathRelay || !plan.Sure && refusal == "" && d.avoidsDirect(path)
	switch {
	case path == PathNone:
		clause = "; they try all the same"
	case wanted && p.RelayAvailable && refusal != "":
		return Plan{Strategy: Refuse, Sure: plan.Sure, Why: d.why() + refusal}
	case wanted && p.RelayAvailable:
		relay.Use = RelayOnly
		return Plan{Strategy: Relay, Sure: plan.Sure, Relay: relay, Pace: p.pace(1, false), Why: d.why() + "; a relay carries it"}
	case path == PathRelay:
		plan.NeedsRelay = true
		clause = "; it needs a relay, and " + cmp.Or(p.NoRelay, "there is none") + "; they try all the same"
	case !plan.Sure && p.RelayAvailable && refusal == "" && (p.Initiator.Pending|p.Target.Pending)&natprobe.PendingReach == 0:
		relay.Use = RelayBeside
		plan.Relay, clause = relay, "; a relay stands by"
	}
	d.name(&plan)
	plan.Relay.Hold = 0
	if plan.Relay.Use == RelayBeside {
		plan.Relay.Hold = p.relayHold()
		if plan.Ordered {
			plan.Relay.Hold += time.Duration(len(plan.Redirects)) * Spacing
		}
	}
	plan.Pace = p.pace(max(len(plan.Redirects), len(plan.Replies)), plan.Ordered)
	d.hold(&plan)
	plan.Why = d.why() + clause
	return plan
}

func newDecision(p *Pair) *decision {
	if p.Initiator.Anonymous {
		p.Initiator = Side{Observed: p.Initiator.Observed, At: p.Initiator.At, Second: p.Initiator.Second, Anonymous: true}
	}
	d := &decision{Pair: p}
	d.find()
	return d
}

// avoidsDirect reports whether a pair that is not sure to need a relay hears of
// nothing else.
func (d *decision) avoidsDirect(path Path) bool {
	return d.Failures >= givenUp || d.trap() && !d.local || d.Rushed && path == PathUnsure && d.irrevocable()
}

// irrevocable reports whether direct addresses cost what nothing brings back, should
// the worst be true of what is not known yet: an initiator may take a one-way RHello,
// and holds on to it; and an address that is named to or for a side whose port steps
// takes the port that was predicted.
func (d *decision) irrevocable() bool {
	i, t := &d.Initiator, &d.Target
	return !i.keepsPort() && !i.Behavior.Filtering.Restricted() || i.maySteps() || t.maySteps()
}

// hold spares an initiator a round trip that takes packets from anybody, but
// answers from ports of their own: the RHello to its session's address brings a
// cookie for that, and the IIKeying, from another port, is sent back for a new
// one. Its own IHello does better; what the target's filter needs is but a packet
// towards it. (Where the target's port changes too, no cookie fits anyhow.)
func (d *decision) hold(plan *Plan) {
	plain := plan.Strategy == Public || plan.Strategy == Punch
	if !plan.Sure || !plain || d.over6 || plan.Pace.Times == 0 ||
		!d.Initiator.swallows() || d.Initiator.Behavior.Filtering != natprobe.EIF || d.Target.Behavior.Mapping.Dependent() {
		return
	}
	plan.HoldReplies = true
	if d.Target.Behavior.Filtering != natprobe.EIF {
		plan.Opening = []wire.Address{{AddrPort: netip.AddrPortFrom(d.Initiator.Observed.Addr(), discardPort), Origin: wire.OriginObserved}}
	}
}

// discardPort is one that no NAT gives to its clients.
const discardPort = 9

// find sets what there is to say of the ways between the two.
func (d *decision) find() {
	d.shared = d.behindOneNAT()
	d.local = hasLocal(d.Initiator.Reported) || hasLocal(d.Target.Reported)
	for _, is6 := range []bool{true, false} {
		i, seenI := d.Initiator.family(is6)
		t, seenT := d.Target.family(is6)
		if !i.IsValid() || !t.IsValid() {
			continue
		}
		r := route{i, t, seenI && seenT, meetings(d.Initiator.kinds(seenI), d.Target.kinds(seenT))}
		if d.shared && r.observed {
			r.may = d.turned(r.may)
		}
		d.routes[d.n] = r
		d.n++
		if d.may == 0 || rank(r.may) > rank(d.may) {
			d.may, d.over6 = r.may, is6 && !r.observed
			d.likely = r.may & meetings(d.Initiator.likely(seenI), d.Target.likely(seenT))
		}
	}
}

// rank orders what may become of a route.
func rank(m meeting) int {
	switch m.path() {
	case PathDirect:
		return 2
	case PathUnsure:
		return 1
	default:
		return 0
	}
}

// turned is m for packets that the NAT of both has to turn around. Two that share
// it also share its ports: nobody can say which is whose next.
func (d *decision) turned(m meeting) meeting {
	if m.has(predicted) {
		m = m&^predicted | apart
	}
	switch d.hairpin() {
	case natprobe.Yes:
		return m
	case natprobe.No:
		return m&^direct | noHairpin
	default:
		return m | noHairpin
	}
}

// trap reports whether an initiator may well hear of the target without ever being
// heard: it would hold on to that address, though the relay's works.
func (d *decision) trap() bool {
	return d.likely.has(oneWay) && (d.Initiator.swallows() || d.Target.swallows())
}

// swallows reports whether it is known to take packets from ports that it did not
// write to, but to answer from ports that nobody knows.
func (s *Side) swallows() bool {
	b := &s.Behavior
	return b.Mapping.Dependent() && (b.Filtering == natprobe.EIF || b.Filtering == natprobe.ADF && s.maySteps())
}

// relay is where a relay would meet the two, or why it cannot.
func (p *Pair) relay() (r Joining, refusal string) {
	r.Rebind = !p.Initiator.Anonymous
	if p.Target.Behavior.AnswersIntroductions.Answer == natprobe.No {
		return r, "; a relay would not be answered either"
	}
	if i := &p.Initiator; i.Behavior.BlockedRoutes.Answer == natprobe.Yes {
		r.Initiator = i.elsewhere()
		if i.At.IsValid() {
			r.Initiator = append(r.Initiator, i.At)
		}
	}
	t := &p.Target
	if t.Behavior.BlockedRoutes.Answer != natprobe.Yes {
		return r, ""
	}
	// Where it has its session, an endpoint takes no other far end.
	if r.Target = t.elsewhere(); len(r.Target) > 0 {
		return r, ""
	}
	return r, "; this node has no second address that the target reaches, so no relay can join them"
}

// elsewhere is where else than at its session's address the side reaches the node; as
// long as nobody knows, supposedly at the second one.
func (s *Side) elsewhere() (list []netip.AddrPort) {
	reachable := s.Behavior.Reachable
	if len(reachable) == 0 {
		reachable = []netip.AddrPort{s.Second}
	}
	for _, a := range reachable {
		if a.IsValid() && a != s.At {
			list = append(list, a)
		}
	}
	return list
}

// strategy is how two meet that are told of direct addresses.
func (d *decision) strategy() (Strategy, Aim) {
	aim := d.aim()
	switch {
	case d.local && (d.shared || !d.may.has(direct)):
		return Lan, 0
	case aim != 0:
		return Predict, aim
	case d.may.only(openTarget | openInitiator):
		return Public, 0
	}
	return Punch, 0
}

// name puts the addresses into the plan.
func (d *decision) name(plan *Plan) {
	redirects, replies := newList(d.limit()), newList(d.limit())
	if plan.Strategy == Lan {
		// The public address may lead back, around a corner, or nowhere.
		redirects.reported(d.Target.Reported)
		replies.reported(d.Initiator.Reported)
	}
	for i := range d.routes[:d.n] {
		r := &d.routes[i]
		switch {
		case r.observed && plan.Aim != 0:
			d.predict(plan.Aim, &redirects, &replies)
		case d.named(r):
			redirects.add(r.target, wire.OriginObserved)
			replies.add(r.initiator, wire.OriginObserved)
		}
	}
	redirects.reported(d.Target.Reported)
	replies.reported(d.Initiator.Reported)
	if plan.Relay.Use == RelayNone { // then anything is better than nothing
		if len(redirects.addrs) == 0 {
			redirects.add(d.Target.Observed, wire.OriginObserved)
		}
		if len(replies.addrs) == 0 {
			replies.add(d.Initiator.Observed, wire.OriginObserved)
		}
	}
	plan.Redirects, plan.Replies = redirects.addrs, replies.addrs
	plan.Ordered = plan.Strategy == Lan || plan.Aim&AimInitiator != 0 || mixed(plan.Redirects)
}

// named reports whether the addresses of r belong into a plan that names direct
// ones.
func (d *decision) named(r *route) bool {
	switch {
	case r.may.only(predicted): // and nothing is predicted
		return false
	case r.may.path() == PathDirect:
		return true
	case d.may.path() == PathDirect:
		return d.Failures > 0 && r.may.has(direct)
	case r.may.has(direct):
		return !d.RelayAvailable || !d.trap()
	}
	return !d.RelayAvailable && r.may != noHairpin
}

// mixed reports whether addrs begins with one family and goes on with the other.
func mixed(addrs []wire.Address) bool {
	for _, a := range addrs {
		if a.AddrPort.Addr().Is4() != addrs[0].AddrPort.Addr().Is4() {
			return true
		}
	}
	return false
}

// why is the reason, as far as it does not speak of the relay.
func (d *decision) why() string {
	why := d.may.why()
	if d.over6 {
		why = "over IPv6, " + why
	}
	switch {
	case d.shared && d.local:
		why = "both are behind one NAT, so their local addresses come first; beyond, " + why
	case d.local:
		why = "they report one local network, whose addresses are tried too; beyond, " + why
	}
	if d.Initiator.Anonymous {
		why += "; the initiator has no session here, so nothing is known of it"
	}
	if d.Failures > 0 {
		why += "; it failed lately"
	}
	if d.Failures > 1 {
		why += ", " + strconv.Itoa(d.Failures) + " times in a row"
	}
	return why
}
