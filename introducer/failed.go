package introducer

import (
	"slices"
	"time"

	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
)

// StatusFailed is the event that tells an initiator that wants to know that an
// introduction has not brought it to its target.
const StatusFailed = "Pileus.Introduction.Failed"

const (
	// overdue is how long after an introduction an initiator that still asks has
	// not met its target: two of a client's repeats may have been lost. Where
	// only a relay would do and there is none, one repeat says it.
	overdue      = 3 * time.Second
	overdueRelay = 900 * time.Millisecond

	// maxTold bounds the introductions of one peer that are remembered as told
	// about: each is asked for several times and told about once.
	maxTold = 32
)

// failure is why an introduction fails, in one word for programs, and what is to
// be said and done about it.
type failure struct{ reason, text, advice string }

var (
	failUnknown = failure{
		"unknown-peer", "No such peer is connected to this node.",
		"A peer has another ID after each connect. Look it up by name, or try again when it is back.",
	}
	failLimited = failure{
		"limited", "Too many introductions in a short time, or under way at once.",
		"Wait 15 seconds; look for fewer peers at a time.",
	}
	failDenied = failure{
		"denied", "The rules of this node do not let these two meet.",
		"Ask its operator.",
	}
)

// rpcNotify: introduction.notify(true) → true. From then on the events
// StatusFailed tell this peer, as an initiator, why introductions fail.
func (n *Node) rpcNotify(p *Peer, args call) (amf.Value, *callError) {
	on, ok := args.At(0).(amf.Boolean)
	if !ok {
		return nil, badArguments("introduction.notify takes true or false")
	}
	p.notify = bool(on)
	return on, nil
}

// failed tells p about an introduction, once. Only who holds a session in the
// tenant gets here: strangers get silence.
func (n *Node) failed(p *Peer, h rtmfp.Hello, f failure) {
	if p == nil {
		return
	}
	p.failed(h.EPD.Fingerprint, string(h.Tag), f)
}

func (p *Peer) failed(target flash.PeerID, tag string, f failure) {
	if !p.notify || slices.Contains(p.told, tag) {
		return
	}
	if len(p.told) >= maxTold {
		p.told = slices.Delete(p.told, 0, 1)
	}
	p.told = append(p.told, tag)
	// A client whose queue is full is not told.
	_ = p.conn.Status("error", StatusFailed, f.text,
		amf.Member{Name: "reason", Value: amf.String(f.reason)},
		amf.Member{Name: "advice", Value: amf.String(f.advice)},
		amf.Member{Name: "peer", Value: amf.String(target.String())})
}

// complain tells the initiator that still asks, when that means something.
func (in *introduction) complain() {
	if in.asker == nil || !in.asker.notify {
		return
	}
	after := in.engine.Now().Sub(in.began)
	if after >= overdue || in.plan.NeedsRelay && after >= overdueRelay {
		in.asker.failed(in.target.ID(), string(in.tag), in.failure())
	}
}

func (in *introduction) failure() failure {
	f := failure{reason: "no-answer", text: "The peers have not met so far: " + in.plan.Why + "."}
	switch {
	case in.plan.Strategy == strategy.Refuse:
		f.reason = "refused"
		f.advice = "No relay of this node reaches both. Let UDP out to more ports and addresses, or ask its operator for a second address."
	case in.plan.NeedsRelay && in.refusal != nil:
		f.reason = "relay-refused"
		f.advice = "Try again later; its operator can raise the relay's limits."
	case in.plan.NeedsRelay:
		f.reason = "relay-needed"
		f.advice = "One of the two has to use another network, or this node needs a relay."
	case in.target.class() == natprobe.Silent:
		f.advice = "The peer answers no introductions: peer-to-peer is switched off in it, or its firewall drops the packets."
	case in.asker.class() == natprobe.Blocked || in.target.class() == natprobe.Blocked:
		f.advice = "A firewall lets UDP out to some ports or addresses only. Let it out to all, or use another network."
	case in.asker.class() == natprobe.ClassUnknown || in.target.class() == natprobe.ClassUnknown:
		f.advice = "What their NATs do is not known yet. Try again in some seconds."
	default:
		f.advice = "Packets may have been lost, or a NAT is short of ports. Try again; if it stays, one of the two should use another network."
	}
	return f
}
