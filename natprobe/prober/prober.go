// Package prober asks an RFC 5780 server, or a node, what the NAT in front of
// this host does.
package prober

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/report"
	"pileus/rtmfp/udp"
)

// Config says whom to ask.
type Config struct {
	Server netip.AddrPort
	// Others are further addresses and ports at which the same server may answer: the
	// best that does is asked.
	Others []netip.AddrPort
	// Listen opens a socket on a port of its own choice, on a concrete address.
	// Nil is the address from which this host reaches Server.
	Listen func() (net.PacketConn, error)
	// ListenAt opens one on a given port. Nil: contiguity is not tested.
	ListenAt func(port uint16) (net.PacketConn, error)

	// Further are other servers. They are asked from the same socket, so that two
	// servers with one address each tell the mapping as one with two does.
	Further []netip.AddrPort

	// RTT is what is known of the way, from Found; zero: nothing.
	RTT time.Duration
	// Refused asks whether somebody on the way to an address refuses packets, and who.
	// Nil is [Refused], where Listen is nil, too.
	Refused func(ctx context.Context, to netip.AddrPort) (by netip.Addr, text string)

	// Phase, if not nil, is told what is being tested; Trace is told each packet.
	// Both are called on one goroutine.
	Phase func(string)
	Trace func(report.Event)
}

// Timing of one test: about three seconds where nothing is lost.
const (
	interval = 170 * time.Millisecond // natprobe.MinTries of them span natprobe.MinSpan
	pace     = 20 * time.Millisecond  // between new mappings, which are made in this order
	grace    = 500 * time.Millisecond // for an answer to the last try

	sideTries = 3 // of questions that may have no answer
	sockets   = 8 // to see a rule in the ports of new ones
	// moreSockets show a rule that the first do not, or how far the ports reach where
	// there is none: to a fiftieth, and not more than a carrier's smallest block of ports
	// has room for beside others.
	moreSockets = 48
	further     = 4 // other servers asked
)

// sidePorts are those at which a node, or other servers, may answer besides.
var sidePorts = []uint16{3479, 1935, 1938, 1939, 1940, 1941, 1942, 1943}

// ErrNoAnswer: the server answered nothing; the report has the attempt.
var ErrNoAnswer = errors.New("the server did not answer")

// Run asks one server, and reports what it found. With ErrNoAnswer or another
// error the report has what was seen until then.
func Run(ctx context.Context, c Config) (report.Report, error) {
	run, err := Ask(ctx, c)
	return report.New(report.Record{Runs: []report.Run{run}}, time.Now(), nil), err
}

// Ask is Run without a conclusion.
func Ask(ctx context.Context, c Config) (report.Run, error) {
	found, err := Find(ctx, c)
	if err != nil {
		return found.Run, err
	}
	return found.Ask(ctx, c)
}

// Ask asks the server where it was found to answer. c is as for Find.
func (f Found) Ask(ctx context.Context, c Config) (report.Run, error) {
	c.Server, c.RTT = f.Run.Server, f.Run.RTT
	if c.Listen == nil {
		if err := c.listen(ctx); err != nil {
			return f.Run, err
		}
	}
	r := newRunner(c)
	defer r.close()
	err := r.run(ctx)
	run := f.Run
	run.Observations, run.Interrupted = r.record, ctx.Err() != nil
	run.Notes, run.Heard = append(run.Notes, r.notes...), append(run.Heard, r.heard...)
	return run, err
}

func newRunner(c Config) *runner { return &runner{config: c, inbox: make(chan packet, 64)} }

// listen sets where sockets are opened: the address from which this host reaches
// the server.
func (c *Config) listen(ctx context.Context) error {
	local, err := Route(ctx, c.Server)
	if err != nil {
		return err
	}
	c.ListenAt = func(port uint16) (net.PacketConn, error) {
		var lc net.ListenConfig
		return lc.ListenPacket(ctx, "udp", netip.AddrPortFrom(local, port).String())
	}
	c.Listen = func() (net.PacketConn, error) { return c.ListenAt(0) }
	return nil
}

func (r *runner) phase(text string) {
	if r.config.Phase != nil {
		r.config.Phase(text)
	}
}

// Route returns the address from which this host reaches server. Nothing is sent.
func Route(ctx context.Context, server netip.AddrPort) (netip.Addr, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", server.String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("no route to %v: %s", server, plain(err))
	}
	defer conn.Close()
	return addrPort(conn.LocalAddr()).Addr(), nil
}

func (r *runner) run(ctx context.Context) error {
	// Filters and mappings are measured on sockets of their own: a NAT may treat
	// the flow to where an unsolicited packet came from differently.
	if err := r.openBoth(); err != nil {
		return err
	}
	r.phase("whether the server answers")
	opening, err := r.controlMapping(ctx)
	if err != nil {
		return err
	}
	if !opening.answered {
		return ErrNoAnswer
	}
	r.note(natprobe.KindReported, r.main.local)
	r.seen, r.other = opening.answer.Seen, r.usable(opening.answer.Other)
	r.phase("filtering and hairpin")
	if err := r.filterAndHairpin(ctx); err != nil {
		return err
	}
	r.phase("mapping")
	if err := r.mappings(ctx); err != nil {
		return err
	}
	r.phase("ports of new sockets")
	if err := r.newSockets(ctx); err != nil {
		return err
	}
	_, err = r.controlMapping(ctx)
	return err
}

func (r *runner) openBoth() (err error) {
	if r.main, err = r.open(); err == nil {
		r.filter, err = r.open()
	}
	return err
}

// controlMapping asks the server's own address from the main socket.
func (r *runner) controlMapping(ctx context.Context) (*ask, error) {
	a := r.ask(natprobe.KindControlMapping, r.main, r.config.Server, natprobe.MinTries)
	err := r.round(ctx, a)
	r.keep(a)
	if a.answered {
		r.note(natprobe.KindObserved, a.answer.Seen)
	}
	return a, err
}

// controlFilter asks it from the socket that filters are measured on.
func (r *runner) controlFilter(ctx context.Context) (*ask, error) {
	a := r.ask(natprobe.KindControlFilter, r.filter, r.config.Server, natprobe.MinTries)
	err := r.round(ctx, a)
	r.keep(a)
	return a, err
}

// note records what is no count of tries.
func (r *runner) note(kind natprobe.Kind, seen netip.AddrPort) {
	r.record = append(r.record, natprobe.Observation{
		Kind: kind, Via: natprobe.ViaBinding, At: time.Now(), Node: r.config.Server, Seen: seen,
	})
}

func (r *runner) filterAndHairpin(ctx context.Context) error {
	opening, err := r.controlFilter(ctx)
	if err == nil && !opening.answered {
		// The server answers, as is known: on a busy machine the packets may come late, and
		// without this one nothing would be found out of filtering and hairpin.
		opening, err = r.controlFilter(ctx)
	}
	if err != nil || !opening.answered {
		return err
	}
	asks := []*ask{
		r.ask(natprobe.KindHairpin, r.main, opening.answer.Seen, natprobe.MinTries),
		r.ask(natprobe.KindHairpin, r.filter, r.seen, natprobe.MinTries),
	}
	asks = append(asks, r.filters()...)
	if err := r.round(ctx, asks...); err != nil {
		return err
	}
	for _, a := range asks {
		if a.refused {
			r.notes = append(r.notes, fmt.Sprintf("the server does not answer from %v when asked to", a.Node))
			continue
		}
		r.keep(a)
	}
	_, err = r.controlFilter(ctx)
	return err
}

// usable returns the second address that the server names, if it is one; else it
// notes what cannot be known without.
func (r *runner) usable(other netip.AddrPort) netip.AddrPort {
	server := r.config.Server
	why := ""
	switch {
	case !other.IsValid():
		why = "the server names no second address"
	case other.Addr() == server.Addr():
		why = "the server names its own address as its second one"
	case other.Port() == server.Port():
		why = fmt.Sprintf("the server's second address, %v, has no other port", other)
	case other.Addr().Is4() != server.Addr().Is4():
		why = fmt.Sprintf("the server's second address, %v, is of another family", other)
	case local(other.Addr()) && !local(server.Addr()):
		why = fmt.Sprintf("the server calls itself %v, where nobody reaches it: it is configured wrongly", other)
	default:
		return other
	}
	if other.IsValid() && other.Port() != server.Port() {
		r.otherPort = other.Port() // it may have that, whatever it takes for its addresses
	}
	r.notes = append(r.notes, why)
	return netip.AddrPort{}
}

// local reports whether an address means nothing elsewhere.
func local(a netip.Addr) bool {
	return udp.IsPrivate(a) || a.IsLoopback() || a.IsLinkLocalUnicast()
}

// filters asks for answers from addresses that the socket has not sent to.
func (r *runner) filters() []*ask {
	if r.other.IsValid() {
		r.otherPort = r.other.Port()
	}
	if r.otherPort == 0 {
		return nil
	}
	port := r.ask(natprobe.KindFilter, r.filter, r.config.Server, natprobe.MinTries)
	port.request.ChangePort = true
	port.Node = netip.AddrPortFrom(r.config.Server.Addr(), r.otherPort)
	if !r.other.IsValid() {
		return []*ask{port}
	}
	both := r.ask(natprobe.KindFilter, r.filter, r.config.Server, natprobe.MinTries)
	both.request.ChangePort, both.request.ChangeIP = true, true
	both.Node = r.other
	return []*ask{port, both}
}

// mappings asks the server's other addresses or, if it names none, ports that may
// answer too.
func (r *runner) mappings(ctx context.Context) error {
	server := r.config.Server
	others := r.furtherServers()
	if r.other.IsValid() {
		return r.mapping(ctx, natprobe.MinTries, append([]netip.AddrPort{
			netip.AddrPortFrom(server.Addr(), r.other.Port()),
			netip.AddrPortFrom(r.other.Addr(), server.Port()),
			r.other,
		}, others...)...)
	}
	side := others
	for _, port := range append([]uint16{r.otherPort}, sidePorts...) {
		if node := netip.AddrPortFrom(server.Addr(), port); port != 0 && node != server && !slices.Contains(side, node) {
			side = append(side, node)
		}
	}
	return r.mapping(ctx, sideTries, side...)
}

// furtherServers are those of the first one's family, and not that one.
func (r *runner) furtherServers() []netip.AddrPort {
	var others []netip.AddrPort
	for _, o := range r.config.Further {
		if o.Addr() != r.config.Server.Addr() && o.Addr().Is4() == r.config.Server.Addr().Is4() && len(others) < further {
			others = append(others, o)
		}
	}
	return others
}

func (r *runner) mapping(ctx context.Context, tries int, nodes ...netip.AddrPort) error {
	asks := make([]*ask, 0, len(nodes))
	for i, node := range nodes {
		a := r.ask(natprobe.KindMapping, r.main, node, tries)
		a.due = a.due.Add(time.Duration(i) * pace)
		asks = append(asks, a)
	}
	err := r.round(ctx, asks...)
	r.keep(asks...)
	return err
}

// newSockets sees which ports further sockets get.
func (r *runner) newSockets(ctx context.Context) error {
	if err := r.socketsBeside(ctx, sockets); err != nil {
		return err
	}
	switch natprobe.Classify(r.record, time.Now()).Allocation {
	case natprobe.Random, natprobe.Ranged, natprobe.AllocationUnknown:
		return r.socketsBeside(ctx, moreSockets)
	default:
		return nil
	}
}

func (r *runner) socketsBeside(ctx context.Context, n int) error {
	asks := make([]*ask, 0, n)
	for i := range n {
		s, err := r.openBeside(asks)
		if err != nil {
			return err
		}
		a := r.ask(natprobe.KindSocket, s, r.config.Server, natprobe.MinTries)
		a.Local = s.local
		a.due = a.due.Add(time.Duration(i) * pace)
		asks = append(asks, a)
	}
	err := r.round(ctx, asks...)
	r.keep(asks...)
	return err
}

// openBeside opens a socket; every second one on the port after the last one's, if
// that is free.
func (r *runner) openBeside(before []*ask) (*socket, error) {
	if n := len(before); n%2 == 1 && r.config.ListenAt != nil {
		if port := before[n-1].Local.Port(); port < 0xffff {
			if conn, err := r.config.ListenAt(port + 1); err == nil {
				return r.use(conn), nil
			}
		}
	}
	return r.open()
}

func transaction() (t binding.Transaction) {
	_, _ = rand.Read(t[:]) // never fails
	return t
}
