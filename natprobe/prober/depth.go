package prober

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/report"
	"pileus/rtmfp/udp"
)

// DepthConfig says what to measure beside mapping and filtering, with a server
// that answered Ask.
type DepthConfig struct {
	Config
	Run      report.Run        // what Ask found
	Behavior natprobe.Behavior // as classified

	MTU int // of this host's interface; 0: not known

	// Lifetime is how long to wait at most for a mapping to end; 0: do not.
	Lifetime time.Duration

	// Translated: packets are made anew on their way (NAT64), so that nothing is to be
	// learned of them as such.
	Translated bool

	// OpenTOS opens a socket that carries TOS bytes. Nil: marks are not tested.
	OpenTOS func() (*udp.Conn, error)
}

// fillTo keeps answers below twice the length of their requests, which is where
// servers that guard against reflection begin to ration: bytes of STUN.
const fillTo = 48

// depth measures several things at the same time.
type depth struct {
	DepthConfig
	other netip.AddrPort // the server's second address; zero: none
	// target is where the server is asked about packets as such: a port that knows
	// PATH-TEST, if one does.
	target netip.AddrPort

	mu    sync.Mutex // of what follows, and of calls to Phase and Trace
	out   report.Depth
	notes []string
}

// Measure measures what it can until ctx ends, and returns that.
func Measure(ctx context.Context, c DepthConfig) (report.Depth, []string) {
	d := &depth{DepthConfig: c}
	if d.Listen == nil {
		if err := d.listen(ctx); err != nil {
			return report.Depth{}, []string{err.Error()}
		}
	}
	for _, o := range c.Run.Observations {
		if o.Kind == natprobe.KindMapping && o.Hits > 0 && o.Node.Addr() != c.Server.Addr() && o.Node.Port() != c.Server.Port() {
			d.other = o.Node
		}
	}
	d.target = d.helpful(ctx)
	all := []func(context.Context){d.load, d.mtu, d.fragments, d.marks, d.lifetime}
	if d.Translated {
		all = []func(context.Context){d.load, d.lifetime}
		d.note("path MTU, fragments and marks: not measured through a NAT64, which makes packets anew")
	}
	var tests sync.WaitGroup
	for _, test := range all {
		tests.Go(func() { test(ctx) })
	}
	tests.Wait()
	return d.out, d.notes
}

// helpful finds a port of the server that knows PATH-TEST: where a node has TURN as
// well, its first STUN port does not.
func (d *depth) helpful(ctx context.Context) netip.AddrPort {
	r := d.runner()
	defer r.close()
	s, err := r.open()
	if err != nil {
		return d.Server
	}
	var asks []*ask
	for _, port := range []uint16{d.Server.Port(), d.other.Port(), sidePorts[0], NodePort} {
		if port != 0 {
			a := r.filled(s, netip.AddrPortFrom(d.Server.Addr(), port), sideTries)
			a.request.Path = &binding.PathTest{}
			asks = append(asks, a)
		}
	}
	if r.round(ctx, asks...) == nil {
		for _, a := range asks {
			if a.answered && a.answer.Path != nil {
				return a.to
			}
		}
	}
	return d.Server
}

// runner makes one for a test of its own: tests share nothing but callbacks.
func (d *depth) runner() *runner {
	c := d.Config
	c.Phase, c.RTT = nil, d.Run.RTT
	c.Trace = d.event
	return newRunner(c)
}

func (d *depth) set(f func(*report.Depth)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.out)
}

func (d *depth) note(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, text)
}

func (d *depth) tell(phase string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Phase != nil {
		d.Phase(phase)
	}
}

// filled is an ask of kind whose answer no server takes for a reflection.
func (r *runner) filled(on *socket, to netip.AddrPort, tries int) *ask {
	a := r.ask(natprobe.KindMapping, on, to, tries)
	a.request.Size = fillTo
	return a
}

// finding counts tries and answers.
func finding(a *ask) natprobe.Finding {
	return natprobe.Finding{Hits: a.Hits, Tries: a.Tries, At: a.At}
}
