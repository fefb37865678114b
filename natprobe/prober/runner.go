package prober

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/report"
)

// runner owns the sockets of one test. All but the readers is one goroutine.
type runner struct {
	config  Config
	main    *socket
	filter  *socket
	seen    netip.AddrPort // of main, by the server
	other   netip.AddrPort // the server's
	sockets []*socket
	inbox   chan packet
	added   []*ask // to the round that goes on
	readers sync.WaitGroup
	done    chan struct{}

	record []natprobe.Observation
	notes  []string
}

type socket struct {
	conn  net.PacketConn
	local netip.AddrPort
}

type packet struct {
	on   *socket
	from netip.AddrPort
	at   time.Time
	data []byte
}

// ask is one question, repeated until it is answered or out of tries.
type ask struct {
	natprobe.Observation // Node: where an answer must come from
	on                   *socket
	to                   netip.AddrPort
	answers              *socket // where the answer comes; nil: on
	request              binding.Request
	limit                int
	every                time.Duration // between tries; 0: interval
	grace                time.Duration // for an answer to the last one; 0: grace
	due                  time.Time

	finished bool
	answered bool
	refused  bool // the server said no, or answered from elsewhere
	answer   binding.Answer
	bytes    int // of the answer
}

func (r *runner) open() (*socket, error) {
	conn, err := r.config.Listen()
	if err != nil {
		return nil, err
	}
	return r.use(conn), nil
}

// use reads a socket until the end of the run.
func (r *runner) use(conn net.PacketConn) *socket {
	if r.done == nil {
		r.done = make(chan struct{})
	}
	s := &socket{conn: conn, local: addrPort(conn.LocalAddr())}
	r.sockets = append(r.sockets, s)
	r.readers.Go(func() { r.read(s) })
	return s
}

func (r *runner) read(s *socket) {
	buf := make([]byte, 2048)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil && n == 0 {
			if closed(r.done) {
				return
			}
			// An ICMP error of an earlier packet on some systems; the pause keeps
			// a socket that only fails from spinning.
			select {
			case <-r.done:
				return
			case <-time.After(pace):
			}
			continue
		}
		p := packet{on: s, from: addrPort(from), at: time.Now(), data: append([]byte(nil), buf[:n]...)}
		select {
		case r.inbox <- p:
		case <-r.done:
			return
		}
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (r *runner) close() {
	if r.done != nil {
		close(r.done)
	}
	for _, s := range r.sockets {
		_ = s.conn.Close()
	}
	r.readers.Wait()
}

func (r *runner) ask(kind natprobe.Kind, on *socket, to netip.AddrPort, tries int) *ask {
	return &ask{
		Observation: natprobe.Observation{Kind: kind, Via: natprobe.ViaBinding, Node: to},
		on:          on, to: to, limit: tries, due: time.Now(),
		request: binding.Request{Transaction: transaction()},
	}
}

// keep records what was asked.
func (r *runner) keep(asks ...*ask) {
	for _, a := range asks {
		o := a.Observation
		if o.Kind == natprobe.KindFilter || o.Kind == natprobe.KindControlFilter {
			o.Seen = netip.AddrPort{} // of another socket than the one whose mapping is measured
		}
		if o.Tries > 0 {
			r.record = append(r.record, o)
		}
	}
}

// round asks until each is answered or has waited long enough after its last try.
func (r *runner) round(ctx context.Context, asks ...*ask) error {
	return r.roundUntil(ctx, func() bool { return false }, asks...)
}

// roundUntil is a round that ends early once over says so, which is asked after
// each packet.
func (r *runner) roundUntil(ctx context.Context, over func() bool, asks ...*ask) error {
	for !over() {
		asks, r.added = append(asks, r.added...), nil
		next := r.send(asks)
		if next.IsZero() {
			return nil
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case p := <-r.inbox:
			r.receive(asks, p)
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
	return nil
}

// send sends what is due, and returns when the next is; zero if nothing is left.
func (r *runner) send(asks []*ask) (next time.Time) {
	now := time.Now()
	for _, a := range asks {
		if !a.finished && !a.due.After(now) {
			r.sendOne(a, now)
		}
		if !a.finished && (next.IsZero() || a.due.Before(next)) {
			next = a.due
		}
	}
	return next
}

func (r *runner) sendOne(a *ask, now time.Time) {
	if a.Tries == a.limit {
		a.finished = true
		return
	}
	if a.Tries == 0 {
		a.Since = now
	}
	a.Tries++
	a.At = now
	a.due = now.Add(cmp.Or(a.every, interval))
	if a.Tries == a.limit {
		a.due = now.Add(cmp.Or(a.grace, grace))
	}
	// A failure to send counts like a loss: the next try may do better.
	data := a.request.Append(nil)
	_, _ = a.on.conn.WriteTo(data, net.UDPAddrFromAddrPort(a.to))
	r.trace(report.Event{At: now, Local: a.on.local, Peer: a.to, Sent: true, Bytes: len(data), Text: a.purpose()})
}

func (r *runner) trace(e report.Event) {
	if r.config.Trace != nil {
		r.config.Trace(e)
	}
}

// purpose says in words what a try is for.
func (a *ask) purpose() string {
	text := map[natprobe.Kind]string{
		natprobe.KindControlFilter:  "Binding: is the server there?",
		natprobe.KindControlMapping: "Binding: where am I seen?",
		natprobe.KindMapping:        "Binding: where does this address see me?",
		natprobe.KindSocket:         "Binding: where is a new socket seen?",
		natprobe.KindHairpin:        "Binding to the other socket's public address: does it come back?",
		natprobe.KindFilter:         "Binding, CHANGE-REQUEST port: answer from " + a.Node.String(),
	}[a.Kind]
	if a.request.ChangeIP {
		text = "Binding, CHANGE-REQUEST address and port: answer from " + a.Node.String()
	}
	return text + nth(a.Tries-1)
}

// nth names a try that is not the first.
func nth(before int) string {
	if before < 1 {
		return ""
	}
	return fmt.Sprintf(" (try %d)", before+1)
}

func (r *runner) receive(asks []*ask, p packet) {
	bytes := len(p.data)
	if p.data = binding.Trimmed(p.data); !binding.IsMessage(p.data) {
		return
	}
	r.trace(report.Event{At: p.at, Local: p.on.local, Peer: p.from, Bytes: bytes, Text: binding.Describe(p.data)})
	for _, a := range asks {
		switch {
		case a.finished || a.Tries == 0 || binding.TransactionOf(p.data) != a.request.Transaction:
		case a.Kind == natprobe.KindHairpin:
			if p.on != a.on {
				a.hit(p, p.from)
			}
		case p.on == a.on && a.answers == nil, p.on == a.answers:
			a.receive(p, bytes)
		}
	}
}

func (a *ask) receive(p packet, bytes int) {
	answer, err := binding.ParseAnswer(p.data)
	switch {
	case err != nil || p.from != a.Node && p.from != a.to:
	case answer.Code != 0 || p.from != a.Node: // asked to answer from elsewhere, it did not
		a.refused, a.finished = true, true
	default:
		a.answer, a.answered, a.bytes = answer, true, bytes
		a.hit(p, answer.Seen)
	}
}

func (a *ask) hit(p packet, seen netip.AddrPort) {
	a.Hits, a.At, a.Seen, a.finished = 1, p.at, seen, true
}

func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := udp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
