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
	config Config
	main   *socket
	filter *socket
	seen   netip.AddrPort // of main, by the server
	other  netip.AddrPort // the server's
	// otherPort is the server's other port, 0 if it has none, where other may not be.
	otherPort uint16
	sockets   []*socket
	inbox     chan packet
	added     []*ask // to the round that goes on
	readers   sync.WaitGroup
	done      chan struct{}

	record []natprobe.Observation
	notes  []string
	heard  []report.Heard // at most maxHeard
	asked  map[base]bool  // every question of the run, so that late answers are known

	latest       time.Time // when a packet was sent
	sent, unsent int       // packets that left this host, and that it did not let leave
	sendError    error     // why, the latest
}

// base is what the transactions of all tries of a question have in common. Each has one
// of its own, in the last byte, so that an answer tells which try it is to.
type base [len(binding.Transaction{}) - 1]byte

func baseOf(t binding.Transaction) base { return base(t[:len(base{})]) }

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

	sent     []time.Time // when each try was
	finished bool
	answered bool
	refused  bool // the server said no, or answered from elsewhere
	answer   binding.Answer
	bytes    int           // of the answer
	rtt      time.Duration // of the try that was answered
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
	a := &ask{
		Observation: natprobe.Observation{Kind: kind, Via: natprobe.ViaBinding, Node: to},
		on:          on, to: to, limit: tries, due: time.Now(),
		request: binding.Request{Transaction: transaction()},
	}
	if r.asked == nil {
		r.asked = make(map[base]bool)
	}
	r.asked[baseOf(a.request.Transaction)] = true
	return a
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
		// What has come is read first: nothing is asked again that is answered.
		if r.receiveWaiting(asks); over() {
			return nil
		}
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

// receiveWaiting takes what has come by now; not more, for others may send without end.
func (r *runner) receiveWaiting(asks []*ask) {
	for range cap(r.inbox) {
		select {
		case p := <-r.inbox:
			r.receive(asks, p)
		default:
			return
		}
	}
}

// send sends what is due, and returns when the next is; zero if nothing is left.
func (r *runner) send(asks []*ask) (next time.Time) {
	now := time.Now()
	for _, a := range asks {
		if !a.finished && !a.due.After(now) {
			r.sendOne(a, r.moment())
		}
		if !a.finished && (next.IsZero() || a.due.Before(next)) {
			next = a.due
		}
	}
	return next
}

// moment is the time, and never the same twice: in which order packets were sent, and so
// mappings made, is told by nothing else. A machine that is busy has many due at once.
func (r *runner) moment() time.Time {
	now := time.Now()
	if !now.After(r.latest) {
		now = r.latest.Add(time.Nanosecond)
	}
	r.latest = now
	return now
}

func (r *runner) sendOne(a *ask, now time.Time) {
	if a.Tries == a.limit {
		a.finished = true
		return
	}
	if a.Tries == 0 {
		a.Since = now
	}
	request := a.request
	request.Transaction[len(base{})] += byte(a.Tries)
	a.Tries++
	a.At = now
	a.sent = append(a.sent, now)
	a.due = now.Add(cmp.Or(a.every, interval))
	if a.Tries == a.limit {
		a.due = now.Add(cmp.Or(a.grace, r.grace()))
	}
	data := request.Append(nil)
	// A failure to send counts like a loss: the next try may do better.
	if _, err := a.on.conn.WriteTo(data, net.UDPAddrFromAddrPort(a.to)); err != nil {
		r.unsent++
		r.sendError = err
	} else {
		r.sent++
	}
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

// grace is how long an answer to a last try may take: longer where the way is slow.
func (r *runner) grace() time.Duration { return max(grace, r.config.RTT*3/2) }

func (r *runner) receive(asks []*ask, p packet) {
	bytes := len(p.data)
	p.data = binding.Trimmed(p.data)
	r.trace(report.Event{At: p.at, Local: p.on.local, Peer: p.from, Bytes: bytes, Text: binding.Describe(p.data)})
	if !binding.IsAnswer(p.data) {
		r.hear(p, report.HeardOther, binding.Describe(p.data))
		return
	}
	t := binding.TransactionOf(p.data)
	if !r.asked[baseOf(t)] {
		r.hearStranger(p)
		return
	}
	for _, a := range asks {
		try, ok := a.tryOf(t)
		switch {
		case a.finished || !ok:
		case a.Kind == natprobe.KindHairpin:
			if p.on != a.on {
				a.hit(p, try, p.from)
			}
		case p.on == a.on && a.answers == nil, p.on == a.answers:
			r.answer(a, try, p, bytes)
		}
	}
}

// tryOf tells which try a transaction is of.
func (a *ask) tryOf(t binding.Transaction) (int, bool) {
	own := a.request.Transaction
	try := int(t[len(base{})] - own[len(base{})])
	return try, baseOf(t) == baseOf(own) && try < len(a.sent)
}

// plain reports whether the question is one that every server answers.
func (a *ask) plain() bool {
	q := a.request
	return !q.ChangeIP && !q.ChangePort && q.ResponsePort == 0 && q.Padding == 0 && q.Trailing == 0
}

// answer takes what came to a question.
func (r *runner) answer(a *ask, try int, p packet, bytes int) {
	answer, err := binding.ParseAnswer(p.data)
	switch {
	case err != nil:
		r.hearAnswer(a, p, binding.Describe(p.data))
	case p.from != a.Node && p.from != a.to:
		r.hearAnswer(a, p, elsewhere(p.from, a.to))
	case p.from != a.Node: // asked to answer from elsewhere, it did not
		a.refused, a.finished = true, true
	case answer.Code != 0:
		a.answer, a.refused, a.finished = answer, true, true
		if a.plain() {
			r.hearAnswer(a, p, binding.DescribeCode(answer.Code))
		}
	case answer.Seen.Addr().Is6() && a.to.Addr().Is4():
		r.hearAnswer(a, p, fmt.Sprintf("Binding success: seen as %v, which is no address of IPv4", answer.Seen))
	default:
		a.answer, a.answered, a.bytes = answer, true, bytes
		a.hit(p, try, answer.Seen)
	}
}

// hit notes an answer. Tries that were sent after the one that is answered could not
// have been answered yet: they say nothing about loss.
func (a *ask) hit(p packet, try int, seen netip.AddrPort) {
	a.Hits, a.Tries, a.At, a.Seen, a.finished = 1, try+1, p.at, seen, true
	a.rtt = p.at.Sub(a.sent[try])
}

func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := udp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
