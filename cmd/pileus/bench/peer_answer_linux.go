package bench

import (
	"time"

	"golang.org/x/sys/unix"

	"pileus/rtmfp/wire"
)

// epd selects this peer alone.
func (p *peer) epd() []byte {
	id := p.id()
	return wire.AppendOption(p.l.answer[:0], 0x0f, id[:])
}

// answerHello answers an IHello for this peer, or one that was forwarded to it,
// as every Flash client does. A server that asks in order to know the client's
// NAT would take silence for a network that blocks. Nobody goes on from here: the
// cookie is an empty one.
func (p *peer) answerHello(to *unix.SockaddrInet4, tag []byte) {
	var cookie [64]byte
	b := wire.RHello{Tag: tag, Cookie: cookie[:], Certificate: p.cert}.Append(p.l.beginStartup())
	b = p.l.sealer.Finish(b, wire.SessionID{})
	p.l.bytesOut += len(b)
	_ = p.l.sock.sendTo(p.source, to, b)
	p.l.helloed = p.l.now
}

const (
	// askedOut is a silence after which a server has no more questions about the
	// networks of its clients, and maxAsking how long it may have some.
	askedOut  = 3 * time.Second
	maxAsking = 3 * time.Minute
)

// awaitQuestions returns when the server asks its clients no more, so that what it
// does next is measured alone.
func (l *load) awaitQuestions() error {
	for end := l.now.Add(maxAsking); l.now.Before(end); {
		if err := l.sleep(settle); err != nil || l.now.Sub(l.helloed) > askedOut {
			return err
		}
	}
	return nil
}
