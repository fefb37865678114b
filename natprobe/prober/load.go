package prober

import (
	"context"
	"net/netip"
	"time"

	"pileus/natprobe/report"
)

const loadPace = 10 * time.Millisecond

// load sends from one socket to all ports at which the server may answer, and sees
// whether its mapping stays. The answers also tell whether payloads are mangled.
func (d *depth) load(ctx context.Context) {
	r := d.runner()
	defer r.close()
	s, err := r.open()
	if err != nil {
		d.note("change under load: " + err.Error())
		return
	}
	asks := make([]*ask, 0, 2*(len(sidePorts)+2))
	for _, addr := range []netip.Addr{d.Server.Addr(), d.other.Addr()} {
		if !addr.IsValid() {
			continue
		}
		ports := append([]uint16{d.Server.Port(), d.other.Port()}, sidePorts...)
		known := map[uint16]bool{0: true}
		for _, port := range ports {
			if known[port] {
				continue
			}
			known[port] = true
			a := r.filled(s, netip.AddrPortFrom(addr, port), sideTries)
			a.due = a.due.Add(time.Duration(len(asks)) * loadPace)
			asks = append(asks, a)
		}
	}
	_ = r.round(ctx, asks...) // an end of ctx leaves what was answered
	d.set(func(out *report.Depth) { out.ALG = alg(asks) })
	if d.Behavior.Mapping.Dependent() {
		return // every destination sees another port anyway
	}
	var l report.Load
	var first netip.AddrPort
	for _, a := range asks {
		if !a.answered {
			continue
		}
		if l.Destinations == 0 {
			first = a.answer.Seen
		}
		if a.answer.Seen == first {
			l.Same++
			if l.Same == l.Destinations+1 {
				l.KeptFor = l.Same
			}
		}
		l.Destinations++
	}
	if l.Destinations > 1 {
		d.set(func(out *report.Depth) { out.Load = &l })
	}
}

// alg compares the addresses in answers; nil if none had two.
func alg(asks []*ask) *report.ALG {
	var found report.ALG
	for _, a := range asks {
		if !a.answered || !a.answer.Plain.IsValid() || !a.answer.Seen.IsValid() {
			continue
		}
		found.Answers++
		if a.answer.Plain != a.answer.Seen {
			found.Mangled++
			found.Plain, found.Seen = a.answer.Plain, a.answer.Seen
		}
	}
	if found.Answers == 0 {
		return nil
	}
	return &found
}
