package prober

import (
	"context"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/report"
	"pileus/rtmfp/udp"
)

const (
	// fragmented is a request that no interface with the usual MTU sends in one
	// piece, and for which servers have room, in bytes of UDP payload; returned the
	// most padding that fits into one packet, so that the answer, which repeats it
	// behind more attributes, fits into none.
	fragmented = 1500
	returned   = 1436

	usualMTU = 1500
)

// fragments asks with packets in pieces, and for such answers (RFC 5780 section
// 4.4: PADDING). Silence counts only if a short request is answered after it.
func (d *depth) fragments(ctx context.Context) {
	if d.MTU > usualMTU {
		d.note("fragments: this host's interface sends packets of that length in one piece")
		return
	}
	r := d.runner()
	defer r.close()
	s, err := r.open()
	if err == nil {
		err = fragmentation(s.conn, udp.MayFragment)
	}
	if err != nil {
		d.note("fragments: " + err.Error())
		return
	}
	out := r.filled(s, d.target, natprobe.MinTries)
	out.request.Size = fragmented
	in := r.ask(natprobe.KindMapping, s, d.target, natprobe.MinTries)
	in.request.Padding = returned
	if r.round(ctx, out, in) != nil {
		return
	}
	control := r.filled(s, d.target, natprobe.MinTries)
	if r.round(ctx, control) != nil || !control.answered {
		return
	}
	f := report.Fragments{Out: finding(out), In: finding(in)}
	f.Out.Answer, f.In.Answer = natprobe.No, natprobe.No
	if out.answered || out.refused {
		f.Out.Answer, f.Out.Hits = natprobe.Yes, 1
	}
	switch {
	case in.refused, in.answered && in.bytes+d.headerLen() <= usualMTU:
		f.In = natprobe.Finding{} // the server does not repeat padding
	case in.answered:
		f.In.Answer = natprobe.Yes
	case !d.silenceTells(ctx, r, s):
		f.In.Answer = natprobe.Unknown
	}
	d.set(func(o *report.Depth) { o.Fragments = &f })
}

// silenceTells reports whether an answer in pieces that did not come was lost: the
// server repeats padding where the answer fits into one packet, and a request of that
// length arrives where the answer is short. It may be the request that is cut on its
// way, and does not arrive.
func (d *depth) silenceTells(ctx context.Context, r *runner, s *socket) bool {
	const some = 512
	short := r.ask(natprobe.KindMapping, s, d.target, natprobe.MinTries)
	short.request.Padding = some
	long := r.filled(s, d.target, natprobe.MinTries)
	long.request.Size = binding.MinSize + returned
	return r.round(ctx, short, long) == nil && short.answered && short.bytes > some && (long.answered || long.refused)
}
