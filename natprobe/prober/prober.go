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
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
)

// Config says whom to ask.
type Config struct {
	Server netip.AddrPort
	// Listen opens a socket on a port of its own choice, on a concrete address.
	// Nil is the address from which this host reaches Server.
	Listen func() (net.PacketConn, error)
}

// Timing of one test: about three seconds where nothing is lost.
const (
	interval = 170 * time.Millisecond // natprobe.MinTries of them span natprobe.MinSpan
	pace     = 20 * time.Millisecond  // between new mappings, which are made in this order
	grace    = 500 * time.Millisecond // for an answer to the last try

	sideTries = 3 // of questions that may have no answer
	sockets   = 5 // to see a rule in the ports of new ones
)

// sidePorts are those at which a node, or other servers, may answer besides.
var sidePorts = []uint16{3479, 1935, 1938, 1939, 1940, 1941, 1942, 1943}

// ErrNoAnswer: the server answered nothing; the report has the attempt.
var ErrNoAnswer = errors.New("the server did not answer")

// Run tests, and reports what it found. With ErrNoAnswer or another error the
// report has what was seen until then.
func Run(ctx context.Context, c Config) (natprobe.Report, error) {
	if c.Listen == nil {
		local, err := route(ctx, c.Server)
		if err != nil {
			return natprobe.Report{}, err
		}
		c.Listen = func() (net.PacketConn, error) {
			var lc net.ListenConfig
			return lc.ListenPacket(ctx, "udp", netip.AddrPortFrom(local, 0).String())
		}
	}
	r := &runner{config: c, inbox: make(chan packet, 64)}
	defer r.close()
	err := r.run(ctx)
	return natprobe.NewReport(r.record, time.Now(), r.notes...), err
}

// route returns the address from which this host reaches server. Nothing is sent.
func route(ctx context.Context, server netip.AddrPort) (netip.Addr, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", server.String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("no route to %v: %w", server, err)
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
	opening, err := r.controlMapping(ctx)
	if err != nil {
		return err
	}
	if !opening.answered {
		return ErrNoAnswer
	}
	r.note(natprobe.KindReported, r.main.local)
	r.seen, r.other = opening.answer.Seen, opening.answer.Other
	if err := r.filterAndHairpin(ctx); err != nil {
		return err
	}
	if err := r.mappings(ctx); err != nil {
		return err
	}
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
	if err != nil || !opening.answered {
		return err
	}
	asks := []*ask{
		r.ask(natprobe.KindHairpin, r.main, opening.answer.Seen, natprobe.MinTries),
		r.ask(natprobe.KindHairpin, r.filter, r.seen, natprobe.MinTries),
	}
	if r.other.IsValid() {
		asks = append(asks, r.filters()...)
	} else {
		r.notes = append(r.notes, "the server names no second address: filtering takes one")
	}
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

// filters asks for answers from addresses that the socket has not sent to.
func (r *runner) filters() []*ask {
	port := r.ask(natprobe.KindFilter, r.filter, r.config.Server, natprobe.MinTries)
	port.request.ChangePort = true
	port.Node = netip.AddrPortFrom(r.config.Server.Addr(), r.other.Port())
	both := r.ask(natprobe.KindFilter, r.filter, r.config.Server, natprobe.MinTries)
	both.request.ChangePort, both.request.ChangeIP = true, true
	both.Node = r.other
	return []*ask{port, both}
}

// mappings asks the server's other addresses or, if it names none, ports that may
// answer too.
func (r *runner) mappings(ctx context.Context) error {
	server := r.config.Server
	if r.other.IsValid() {
		return r.mapping(ctx, natprobe.MinTries,
			netip.AddrPortFrom(server.Addr(), r.other.Port()),
			netip.AddrPortFrom(r.other.Addr(), server.Port()),
			r.other)
	}
	var side []netip.AddrPort
	for _, port := range sidePorts {
		if node := netip.AddrPortFrom(server.Addr(), port); node != server {
			side = append(side, node)
		}
	}
	return r.mapping(ctx, sideTries, side...)
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
	asks := make([]*ask, 0, sockets)
	for i := range sockets {
		s, err := r.open()
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

func transaction() (t binding.Transaction) {
	_, _ = rand.Read(t[:]) // never fails
	return t
}
