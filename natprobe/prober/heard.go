package prober

import (
	"fmt"
	"net/netip"
	"slices"

	"pileus/natprobe/binding"
	"pileus/natprobe/report"
)

// maxHeard bounds what is kept of packets that answer nothing, each by who sent it and
// what it is: anybody may send.
const maxHeard = 16

// hear notes a packet that answers no question, or not as it should.
func (r *runner) hear(p packet, kind report.HeardKind, text string) {
	h := report.Heard{Kind: kind, From: p.from, Text: text, Count: 1}
	i := slices.IndexFunc(r.heard, func(o report.Heard) bool { return o.From == h.From && o.Text == h.Text })
	switch {
	case i >= 0:
		r.heard[i].Count++
	case len(r.heard) < maxHeard:
		r.heard = append(r.heard, h)
	}
}

// hearAnswer is hear for what came to a question.
func (r *runner) hearAnswer(a *ask, p packet, text string) {
	if p.from != a.to {
		text += fmt.Sprintf(", when %v was asked", a.to)
	}
	r.hear(p, report.HeardSTUN, text)
}

// hearStranger is for STUN of a transaction that nobody here began.
func (r *runner) hearStranger(p packet) {
	switch text := binding.Describe(p.data); {
	case !binding.IsMessage(p.data):
		r.hear(p, report.HeardOther, fmt.Sprintf("%d bytes that are no STUN", len(p.data)))
	case text == "Binding request":
		r.hear(p, report.HeardSTUN, "a Binding request of its own")
	default:
		r.hear(p, report.HeardSTUN, "an answer to another question: "+text)
	}
}

// elsewhere says that an answer has not the source that it should have.
func elsewhere(from, asked netip.AddrPort) string {
	if from.Addr() == asked.Addr() {
		return "an answer from another port"
	}
	return "an answer from another address"
}

// oddities says what a server's answers are, in lines for people.
func oddities(a binding.Answer) []string {
	notes := make([]string, 0, len(a.Odd))
	for _, o := range a.Odd {
		notes = append(notes, map[binding.Oddity]string{
			binding.WithoutCookie:    "its answers do not give the magic cookie back: many clients take them for no STUN",
			binding.PlainOnly:        "its answers have MAPPED-ADDRESS alone (RFC 3489): who rewrites addresses in payloads would not be noticed",
			binding.CutOff:           "its answers are cut off, or tell a wrong length: many clients throw them away",
			binding.Trailing:         "its answers are longer than they say: many clients throw them away",
			binding.WrongFingerprint: "the FINGERPRINT of its answers is wrong: they are changed on their way, or it counts wrongly",
			binding.UnknownRequired:  "its answers have attributes that clients must know and do not: those of RFC 8489 throw the answers away",
			binding.NoAddress:        "its answers have attributes for addresses without an address in them",
		}[o])
	}
	return notes
}
