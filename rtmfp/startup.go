package rtmfp

import (
	"crypto/aes"
	"net/netip"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// receiveStartup takes a datagram with session ID 0: a packet between strangers,
// under the key that everybody knows. It keeps nothing.
func (e *Engine) receiveStartup(d Datagram) {
	packet, err := e.opener.Open(e.plain[:], d.Data)
	if err != nil {
		e.dropError(err)
		return
	}
	h, chunks, err := wire.ParseHeader(packet)
	if err != nil || h.Mode != wire.ModeStartup {
		e.drop(DropMode)
		return
	}
	if e.tap != nil {
		e.tap.chunks(chunks)
	}
	// The first chunk decides. A packet full of IHellos would else bring many
	// times its size in answers.
	typ, body, _, ok := wire.NextChunk(chunks)
	if !ok {
		e.drop(DropMalformed)
		return
	}
	switch typ {
	case wire.ChunkIHello:
		e.receiveIHello(d, body)
	case wire.ChunkRHello:
		e.receiveRHello(d, body)
	case wire.ChunkRedirect:
		e.receiveRedirect(d, body)
	case wire.ChunkIIKeying:
		e.receiveIIKeying(d, body)
	case wire.ChunkPacketFragment:
		e.receiveStartupFragment(d, body)
	default:
		e.drop(DropMalformed)
	}
}

// receiveIHello answers without keeping anything (RFC 7016 3.5.1.1.2).
func (e *Engine) receiveIHello(d Datagram, body []byte) {
	c, err := wire.ParseIHello(body)
	if err != nil || len(c.Tag) > maxTag {
		e.drop(DropMalformed)
		return
	}
	if e.cfg.Silent != nil && e.cfg.Silent(d.Local) {
		e.drop(DropState)
		return
	}
	epd, err := flash.ParseEPD(c.EPD)
	if err != nil {
		e.drop(DropMalformed)
		return
	}
	if !e.cfg.Identity.Certificate().SelectedBy(epd) {
		if e.foreignStartup(d, wire.ChunkIHello, body) {
			return
		}
		e.stats.ForeignHellos++
		e.cfg.Handler.Hello(e, Hello{
			EPD: epd, RawEPD: c.EPD, Tag: c.Tag, Local: d.Local, From: d.Peer, Size: len(d.Data),
		})
		return
	}
	if e.amplifies(d, c.Tag) && !e.shortHellos.Allow(e.now, d.Peer.Addr()) {
		e.drop(DropRate)
		return
	}
	e.stats.Hellos++
	e.sendRHello(d.Local, d.Peer, c.Tag)
}

// amplifies reports whether the answer to an IHello is more than three times its size, on
// the network: a source that is not the sender's own gets so much more than it costs.
func (e *Engine) amplifies(d Datagram, tag []byte) bool {
	headers := 20 + 8
	if d.Peer.Addr().Is6() {
		headers = 40 + 8
	}
	plain := 2 + 3 + wire.ChunkHeaderLen + 1 + len(tag) + 1 + cookieLen + len(e.cfg.Identity.Certificate().Raw())
	answer := 4 + (plain+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize
	return answer+headers > 3*(len(d.Data)+headers)
}

func (e *Engine) sendRHello(local, to netip.AddrPort, tag []byte) {
	var cookie [cookieLen]byte
	e.startup(local, to, wire.SessionID{}, wire.RHello{
		Tag: tag, Cookie: e.cookies.append(cookie[:0], e.now, to), Certificate: e.cfg.Identity.Certificate().Raw(),
	})
}

// Redirect answers an IHello with addresses to try instead (RFC 7016 3.5.1.4).
// Name peers and relays with OriginReported or OriginObserved: some clients take
// the others for "gone" and "another introducer". No address is an Implied
// Redirect, to the very socket this comes from.
func (e *Engine) Redirect(local, to netip.AddrPort, tag []byte, addrs []wire.Address) {
	e.startup(local, to, wire.SessionID{}, redirect{tag, addrs})
}

type redirect struct {
	tag   []byte
	addrs []wire.Address
}

func (r redirect) Append(b []byte) []byte { return wire.AppendRedirect(b, r.tag, r.addrs) }

// startup sends one chunk in a packet under the Default Session Key.
func (e *Engine) startup(local, to netip.AddrPort, id wire.SessionID, c interface{ Append([]byte) []byte }) {
	b := e.sealer.Begin(e.buffer())
	b = wire.Header{Mode: wire.ModeStartup, HasTimestamp: true, Timestamp: e.stamp()}.Append(b)
	start := len(b)
	b = c.Append(b)
	typ, _, _, _ := wire.NextChunk(b[start:])
	data := e.sealer.Finish(b, id) // encrypts in place
	if e.tap != nil {
		e.tap.sending(e.now, local, to, len(data), typ)
	}
	e.emit(Datagram{Local: local, Peer: to, Data: data})
}

// stamp is the current timestamp, in ticks (RFC 7016 2.2.4). The engine's epoch
// is its start, so stamps tell nothing about the host's clock.
func (e *Engine) stamp() uint16 {
	return uint16(e.now.Sub(e.epoch) / (wire.TimestampTick * time.Nanosecond))
}
