package rtmfp

import (
	"net/netip"

	"pileus/rtmfp/wire"
)

// receiveFragment takes a piece of a packet that the far end cut (RFC 7016 3.4).
func (s *Session) receiveFragment(d Datagram, body []byte) {
	if packet := s.engine.reassemble(d, s.id, s.farMode(), body); packet != nil {
		s.receivePacket(d, packet, false)
	}
}

// receiveStartupFragment does the same for strangers. Of the startup chunks only
// an IIKeying is ever too long for one datagram; its cookie stands at its front,
// so the first fragment proves the address before anything is kept, and a later
// one is kept only behind it.
func (e *Engine) receiveStartupFragment(d Datagram, body []byte) {
	f, err := wire.ParsePacketFragment(body)
	if err != nil {
		e.drop(DropMalformed)
		return
	}
	if f.Fragment == 0 && !e.beginsKeying(d.Peer, f.Data) ||
		f.Fragment != 0 && !e.defrag.has(e.fragmentKey(d, wire.SessionID{}, f)) {
		e.drop(DropFragment)
		return
	}
	packet := e.reassemble(d, wire.SessionID{}, wire.ModeStartup, body)
	if packet == nil {
		return
	}
	_, chunks, _ := wire.ParseHeader(packet) // reassembly has seen it
	if typ, body, _, ok := wire.NextChunk(chunks); ok && typ == wire.ChunkIIKeying {
		e.receiveIIKeying(d, body)
		return
	}
	e.drop(DropMalformed)
}

// beginsKeying reports whether a packet that begins so is an IIKeying with a
// cookie of ours for addr.
func (e *Engine) beginsKeying(addr netip.AddrPort, packet []byte) bool {
	h, b, err := wire.ParseHeader(packet)
	if err != nil || h.Mode != wire.ModeStartup || len(b) < wire.ChunkHeaderLen+4 || wire.ChunkType(b[0]) != wire.ChunkIIKeying {
		return false
	}
	n, b, err := wire.ParseVLU(b[wire.ChunkHeaderLen+4:]) // behind the session ID
	if err != nil || n != cookieLen || len(b) < cookieLen {
		return false
	}
	return e.checkCookie(b[:cookieLen], addr) == cookieValid
}

func (e *Engine) fragmentKey(d Datagram, id wire.SessionID, f wire.PacketFragment) defragKey {
	return defragKey{local: d.Local, peer: d.Peer, session: id, packet: f.PacketID}
}

// reassemble returns the whole packet that a fragment completes, or nil.
func (e *Engine) reassemble(d Datagram, id wire.SessionID, mode wire.Mode, body []byte) []byte {
	f, err := wire.ParsePacketFragment(body)
	if err != nil {
		e.drop(DropMalformed)
		return nil
	}
	packet, err := e.defrag.add(e.now, e.fragmentKey(d, id, f), mode, f)
	if err != nil {
		e.drop(DropFragment)
	}
	e.sweepFragments()
	return packet
}

// sweepFragments frees what nobody completes any more.
func (e *Engine) sweepFragments() {
	e.defrag.expire(e.now)
	if at := e.defrag.deadline(); e.sweep == nil && !at.IsZero() {
		e.sweep = e.After(at.Sub(e.now), func() { e.sweep = nil; e.sweepFragments() })
	}
}
