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
	if !e.MayAnswer(d.Peer, len(d.Data), e.RHelloLen(c.Tag, e.cfg.Identity.Certificate())) {
		e.drop(DropRate)
		return
	}
	e.stats.Hellos++
	e.sendRHello(d.Local, d.Peer, c.Tag)
}

// MayAnswer reports whether a stranger may be sent datagrams of these lengths for one of
// asked bytes. At most three times its size, on the network, may always be; of more each
// prefix (/24 or /56) has a ration, since the source may not be the sender's own: it would
// get so much more than that costs.
func (e *Engine) MayAnswer(to netip.AddrPort, asked int, answers ...int) bool {
	return !Amplifies(to, asked, answers...) || e.shortHellos.Allow(e.now, to.Addr())
}

// Amplifies reports whether datagrams of these lengths are more than three times one of
// asked bytes, on the network.
func Amplifies(to netip.AddrPort, asked int, answers ...int) bool {
	headers := 20 + 8
	if to.Addr().Is6() {
		headers = 40 + 8
	}
	sum := 0
	for _, n := range answers {
		sum += n + headers
	}
	return sum > 3*(asked+headers)
}

// RHelloLen is the length of the datagram in which an endpoint with that certificate answers
// an IHello with that tag.
func (*Engine) RHelloLen(tag []byte, c flash.Certificate) int {
	return startupLen(wire.ChunkHeaderLen + 1 + len(tag) + 1 + cookieLen + len(c.Raw()))
}

// RedirectLen is the length of the datagram in which Redirect names addresses.
func (*Engine) RedirectLen(tag []byte, addrs []wire.Address) int {
	n := wire.ChunkHeaderLen + 1 + len(tag)
	for _, a := range addrs {
		n += a.Len()
	}
	return startupLen(n)
}

// startupLen is the length of a datagram with a chunk of n bytes.
func startupLen(n int) int {
	const checksum, header = 2, 3
	return 4 + (checksum+header+n+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize
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
