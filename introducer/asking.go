package introducer

import (
	"net/netip"

	"pileus/rtmfp/flow"
	"pileus/rtmfp/share"
)

// maxAsked is how many questions whoever decides beside the node is asked at a time. The
// others wait here, where they go round by prefix: so who asks for much has others wait
// for one turn.
const maxAsked = 64

// questionBytes is how much of a client's connect counts as a further question.
const questionBytes = 1 << 10

// asking is the questions to whoever decides beside the node.
type asking struct {
	waiting share.Queue[*inquiry]
	under   int // that are not answered yet
	putting bool
}

// inquiry is a question and who wants to know.
type inquiry struct {
	question Question
	by       *share.Holder
	weight   int
	wanted   func() bool // still
	done     func(Verdict)
}

// ask puts a question, for somebody at addr: done is called once, now or later. False: there
// are too many.
func (n *Node) ask(a *inquiry, addr netip.Addr) bool {
	if a.by.TakeMany(n.ledger, addr, int(SharedQuestions), a.weight) != flow.Granted {
		return false
	}
	n.asking.waiting.Add(addr, a)
	n.put()
	return true
}

// put puts what waits to whoever decides, as many as may be.
func (n *Node) put() {
	x := &n.asking
	if x.putting {
		return // an answer came at once: whoever put the question goes on
	}
	x.putting = true
	defer func() { x.putting = false }()
	for x.under < maxAsked {
		w := x.waiting.Next()
		if w == nil {
			return
		}
		a := w.Value
		if !a.wanted() {
			a.by.GiveMany(int(SharedQuestions), a.weight)
			continue
		}
		x.under++
		answered := func(v Verdict) {
			x.under--
			a.by.GiveMany(int(SharedQuestions), a.weight)
			a.done(v)
			n.put()
		}
		if n.cfg.Ask == nil { // nobody decides any more
			answered(Verdict{Allow: true})
			continue
		}
		n.cfg.Ask(a.question, answered)
	}
}
