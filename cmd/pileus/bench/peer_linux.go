package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

type peerState uint8

const (
	peerHello   peerState = iota // IHello sent
	peerKeying                   // IIKeying sent
	peerOpen                     // session open, connect sent if wanted
	peerIdle                     // connected, and setPeerInfo acknowledged
	peerClosing                  // Session Close Request sent
	peerClosed
)

// A peer is one simulated client: it opens a session as Flash does, connects
// if asked to, acknowledges everything, answers pings, and repeats what is not
// answered.
type peer struct {
	l       *load
	source  int
	connect bool
	group   flash.Group
	cert    []byte
	tag     [16]byte

	state    peerState
	repeatAt time.Time
	tries    int
	began    time.Time

	keying   *flash.InitiatorKeying
	iikeying []byte // the chunk, for repetition
	keys     *flash.SessionKeys
	heard    bool // something opened under keys
	far      wire.SessionID

	connected  bool         // Connect.Success has arrived
	acked      uint64       // cumulatively, on our control flow
	theirs     [4]receiving // the first server flows; more are not acknowledged
	timestamp  uint16       // the far end's latest, to be echoed
	timestampT time.Time
	hasStamp   bool
}

// receiving is what a peer knows of one of the server's flows.
type receiving struct {
	flow, cum uint64
}

// Every Flash client's first session has this ID; a server must do with it.
var nearID = wire.SessionID{2, 0, 0, 0}

const (
	firstRepeat  = time.Second // of IHello and IIKeying, as rtmfp-cpp
	repeatGrowth = 1500 * time.Millisecond
	dataRepeat   = time.Second // of unacknowledged messages
	controlFlow  = 2
)

// open begins a session of a new peer.
func (l *load) open(source int, g flash.Group, connect bool) {
	p := &peer{l: l, source: source, connect: connect, group: g, began: l.now}
	p.cert = l.keys.certificate(g, source)
	binary.BigEndian.PutUint64(p.tag[:], uint64(source))
	copy(p.tag[8:], l.keys.run[:])
	l.peers[source] = p
	l.opening[p] = struct{}{}
	p.sendHello()
}

func (p *peer) id() flash.PeerID { return sha256.Sum256(p.cert) }

func (p *peer) sendHello() {
	p.l.send(p.source, p.l.hello(p.l.keys.epd, p.tag[:]))
	p.backOff()
}

func (p *peer) backOff() {
	p.repeatAt = p.l.now.Add(firstRepeat + time.Duration(p.tries)*repeatGrowth)
	p.tries++
}

func (p *peer) enter(s peerState) {
	p.state, p.tries = s, 0
	if s == peerIdle || s == peerClosed {
		delete(p.l.opening, p)
	}
}

// repeat sends again what has not been answered in time.
func (p *peer) repeat() {
	switch p.state {
	case peerHello:
		p.sendHello()
	case peerKeying:
		p.sendKeying()
	case peerOpen:
		p.sendData(p.begin())
	case peerClosing:
		p.sendClose()
	case peerIdle, peerClosed:
	}
}

func (p *peer) receive(from unix.Sockaddr, datagram []byte) {
	id, ok := wire.Unscramble(datagram)
	if !ok {
		return
	}
	if id == (wire.SessionID{}) || p.state == peerKeying {
		if chunks, ok := p.l.startup(datagram); ok {
			p.startup(id, from, chunks)
		}
		return
	}
	if id != nearID || p.keys == nil {
		return
	}
	packet, err := p.keys.Opener.Open(p.l.plain[:0], datagram)
	if err != nil {
		return
	}
	h, chunks, err := wire.ParseHeader(packet)
	if err != nil || h.Mode != wire.ModeResponder {
		return
	}
	p.heard = true
	if h.HasTimestamp {
		p.timestamp, p.timestampT, p.hasStamp = h.Timestamp, p.l.now, true
	}
	p.session(chunks)
}

func (p *peer) startup(id wire.SessionID, from unix.Sockaddr, chunks []byte) {
	for {
		typ, body, rest, ok := wire.NextChunk(chunks)
		if !ok {
			return
		}
		switch {
		case typ == wire.ChunkRHello && p.state == peerHello:
			if c, err := wire.ParseRHello(body); err == nil && bytes.Equal(c.Tag, p.tag[:]) {
				p.rhello(c)
			}
		case typ == wire.ChunkRIKeying && p.state == peerKeying && id == nearID:
			if c, err := wire.ParseRIKeying(body); err == nil {
				p.rikeying(c)
			}
		case typ == wire.ChunkIHello:
			if to, ok := from.(*unix.SockaddrInet4); ok {
				if c, err := wire.ParseIHello(body); err == nil && bytes.Equal(c.EPD, p.epd()) {
					p.answerHello(to, c.Tag)
				}
			}
		case typ == wire.ChunkRedirect && p.l.onRedirect != nil:
			if c, err := wire.ParseRedirect(body); err == nil {
				p.l.onRedirect(c.Tag)
			}
		}
		chunks = rest
	}
}

func (p *peer) rhello(c wire.RHello) {
	keying, err := p.l.keys.begin(p.group, p.cert, c.Certificate)
	if err != nil {
		return
	}
	p.keying = keying
	p.iikeying = wire.IIKeying{
		SessionID:   nearID,
		Cookie:      c.Cookie,
		Certificate: p.cert,
		Component:   keying.Component(),
		Signature:   []byte{'X'},
	}.Append(nil)
	p.enter(peerKeying)
	p.sendKeying()
}

func (p *peer) sendKeying() {
	b := append(p.l.beginStartup(), p.iikeying...)
	p.l.send(p.source, p.l.sealer.Finish(b, wire.SessionID{}))
	p.backOff()
}

func (p *peer) rikeying(c wire.RIKeying) {
	keys, err := p.keying.Finish(c.Component)
	if err != nil {
		return
	}
	p.keys, p.far = keys, c.SessionID
	p.keying, p.iikeying = nil, nil
	p.enter(peerOpen)
	if !p.connect {
		p.enter(peerIdle)
		p.l.ready(p)
		return
	}
	p.sendData(p.begin())
}

// begin begins a packet of the session.
func (p *peer) begin() []byte {
	h := wire.Header{Mode: wire.ModeInitiator, HasTimestamp: true, Timestamp: p.l.ticks()}
	if p.hasStamp {
		// The echo counts the time since the timestamp came (section 3.5.2.2).
		h.HasEcho = true
		h.Echo = p.timestamp + uint16(p.l.now.Sub(p.timestampT).Nanoseconds()/wire.TimestampTick)
		p.hasStamp = false
	}
	return h.Append(p.keys.Sealer.Begin(p.l.out[:0]))
}

func (p *peer) finish(b []byte) {
	p.l.send(p.source, p.keys.Sealer.Finish(b, p.far))
}

// sendData completes a packet with the messages that wait for an
// acknowledgement: connect, and after its success setPeerInfo.
func (p *peer) sendData(b []byte) {
	c := wire.UserData{Flow: controlFlow, Seq: p.acked + 1, FSNOffset: 1}
	switch {
	case p.acked == 0:
		c.HasOptions, c.Options, c.Data = true, controlMetadata, p.l.keys.connect
		b = c.Append(b)
	case p.connected && p.acked == 1:
		c.Data = setPeerInfo
		b = c.Append(b)
	}
	p.finish(b)
	p.repeatAt = p.l.now.Add(dataRepeat)
}

func (p *peer) ping() {
	if p.state == peerIdle {
		p.l.pings++
		p.finish(wire.Ping{}.Append(p.begin()))
	}
}

func (p *peer) close() {
	if p.state == peerOpen || p.state == peerIdle {
		p.enter(peerClosing)
		p.l.opening[p] = struct{}{}
		p.sendClose()
	} else if p.state < peerClosing {
		p.enter(peerClosed)
	}
}

func (p *peer) sendClose() {
	// A server that does not know the request knows the ping before it.
	p.finish(wire.AppendCloseRequest(wire.Ping{}.Append(p.begin())))
	p.repeatAt = p.l.now.Add(dataRepeat)
}
