package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// A load is one socket and the peers that speak through it. Everything runs on
// one goroutine: run moves time and packets, and a measurement is a tick
// function that sends what is due.
type load struct {
	ctx    context.Context
	cfg    Config
	sock   *socket
	server process

	now     time.Time // of this turn of the loop
	spin    bool      // instead of sleeping
	keys    *clientKeys
	opener  *flash.Opener // of startup packets
	sealer  *flash.Sealer
	in, out []byte // datagrams
	plain   []byte // an incoming packet
	answer  []byte // chunks to be sent back

	peers                map[int]*peer      // by source
	opening              map[*peer]struct{} // those with something to repeat
	idlers               []*peer            // those that keep their sessions alive, in turn
	nextIdler            int
	nextRepeat, nextPing time.Time

	// What a measurement wants to see; nil if nothing.
	onReady    func(*peer) // session open, and connected if it is to be
	onRedirect func(tag []byte)
	onStray    func(source int, datagram []byte) // to a source without a peer

	fihellos     int       // received and decrypted
	helloed      time.Time // when a peer last answered an IHello or FIHello
	pings, pongs int
	proven       int // sessions that closed and had been heard under their keys
	bytesOut     int
}

const (
	maxDatagram    = 4096
	repeatInterval = 20 * time.Millisecond // how often repetitions are looked for
	keepalive      = 15 * time.Second      // as Set Keepalive asks for by default
	turnPackets    = 64                    // read before the clock is looked at again
)

var errServerGone = errors.New("the server has exited")

// run turns the loop until tick says that it is done, or for at most limit.
// tick sends what is due at l.now and returns when it wants to be called
// again; it is called after every batch of incoming packets too.
func (l *load) run(limit time.Duration, tick func() (next time.Time, done bool)) error {
	l.now = time.Now()
	end := l.now.Add(limit)
	for {
		next, done := tick()
		if done || !l.now.Before(end) {
			return nil
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
		l.repeat()
		l.ping()
		for _, t := range []time.Time{end, l.nextRepeat, l.nextPing} {
			if t.Before(next) {
				next = t
			}
		}
		if !l.spin {
			l.sock.wait(time.Until(next))
		}
		l.now = time.Now()
		for range turnPackets {
			n, source, from, ok, err := l.sock.receive(l.in)
			if err != nil {
				return fmt.Errorf("receive: %w", err)
			}
			if !ok {
				break
			}
			l.dispatch(source, from, l.in[:n])
		}
		l.now = time.Now()
	}
}

// sleep runs the loop for d with nothing to do but answer.
func (l *load) sleep(d time.Duration) error {
	end := time.Now().Add(d)
	return l.run(d, func() (time.Time, bool) { return end, false })
}

func (l *load) dispatch(source int, from unix.Sockaddr, datagram []byte) {
	if p := l.peers[source]; p != nil {
		p.receive(from, datagram)
	} else if l.onStray != nil {
		l.onStray(source, datagram)
	}
}

func (l *load) ready(p *peer) {
	if l.onReady != nil {
		l.onReady(p)
	}
}

func (l *load) send(source int, datagram []byte) {
	l.bytesOut += len(datagram)
	// A full queue or an exited server shows as answers that do not come.
	_ = l.sock.send(source, datagram)
}

// startup opens a datagram of the startup pseudo-session.
func (l *load) startup(datagram []byte) (chunks []byte, ok bool) {
	packet, err := l.opener.Open(l.plain[:0], datagram)
	if err != nil {
		return nil, false
	}
	h, chunks, err := wire.ParseHeader(packet)
	return chunks, err == nil && h.Mode == wire.ModeStartup
}

// beginStartup begins a startup packet for the caller to append chunks to.
func (l *load) beginStartup() []byte {
	h := wire.Header{Mode: wire.ModeStartup, HasTimestamp: true, Timestamp: l.ticks()}
	return h.Append(l.sealer.Begin(l.out[:0]))
}

// hello returns the datagram of an IHello. It is valid until the next packet is
// built.
func (l *load) hello(epd, tag []byte) []byte {
	b := wire.IHello{EPD: epd, Tag: tag}.Append(l.beginStartup())
	return l.sealer.Finish(b, wire.SessionID{})
}

// ticks is the time in the unit of packet timestamps.
func (l *load) ticks() uint16 { return uint16(l.now.UnixNano() / wire.TimestampTick) }

func (l *load) repeat() {
	if l.now.Before(l.nextRepeat) {
		return
	}
	l.nextRepeat = l.now.Add(repeatInterval)
	for p := range l.opening {
		if !l.now.Before(p.repeatAt) {
			p.repeat()
		}
	}
}

// ping sends the idle peers' keepalives, spread evenly over the interval.
func (l *load) ping() {
	if len(l.idlers) == 0 {
		l.nextPing = l.now.Add(keepalive)
		return
	}
	gap := keepalive / time.Duration(len(l.idlers))
	for !l.now.Before(l.nextPing) {
		if l.nextIdler >= len(l.idlers) {
			l.nextIdler = 0
		}
		l.idlers[l.nextIdler].ping()
		l.nextIdler++
		// After a pause there is nothing to catch up with.
		l.nextPing = later(l.nextPing.Add(gap), l.now.Add(-keepalive/100))
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// A pace says how many events are due by now at so many a second.
type pace struct {
	start     time.Time
	perSecond int
	sent      int
}

func (p *pace) due(now time.Time) int {
	return int(now.Sub(p.start)*time.Duration(p.perSecond)/time.Second) - p.sent
}

func (p *pace) next() time.Time {
	return p.start.Add(time.Duration(p.sent+1) * time.Second / time.Duration(p.perSecond))
}
