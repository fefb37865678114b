package rtmfp

import (
	"net/netip"

	"pileus/rtmfp/flow"
	"pileus/rtmfp/wire"
)

// receive takes a datagram with this session's ID.
func (s *Session) receive(d Datagram) {
	e := s.engine
	if s.state == stateKeyingSent {
		s.receiveOpening(d)
		return
	}
	packet, err := s.keys.Opener.Open(e.plain[:], d.Data)
	if err != nil {
		if !e.foreignPacket(d) {
			e.dropError(err)
		}
		return
	}
	s.received += uint64(len(d.Data))
	s.receivePacket(d, packet, true)
}

// receivePacket takes a verified packet. Only what is in chunks is trusted, not
// where it came from: anyone can send a recorded packet on.
func (s *Session) receivePacket(d Datagram, packet []byte, fragments bool) {
	e := s.engine
	h, chunks, err := wire.ParseHeader(packet)
	if err != nil {
		e.drop(DropMalformed)
		return
	}
	if want := s.farMode(); h.Mode != want {
		e.drop(DropMode)
		return
	}
	if e.tap != nil {
		e.tap.chunks(chunks)
	}
	s.alive.hear(e.now)
	if !s.proven && s.state == stateOpen {
		if s.prove(); s.state == stateClosed {
			return
		}
	}
	if s.state == stateOpen {
		if s.timing.header(e.now, e.stamp(), h) {
			s.mux.SetRTT(s.timing.srtt, s.timing.erto)
		}
	}
	for {
		typ, body, rest, ok := wire.NextChunk(chunks)
		if !ok {
			break
		}
		if typ != wire.ChunkPacketFragment {
			s.receiveChunk(d, typ, body)
		} else if fragments && s.state == stateOpen {
			s.receiveFragment(d, body)
		}
		if s.state == stateClosed {
			return
		}
		chunks = rest
	}
	if s.state != stateOpen {
		return
	}
	s.mux.ReceiveEnd(flow.PacketInfo{
		TimeCritical: h.TimeCritical, TimeCriticalReverse: h.TimeCriticalReverse, ECN: d.TOS & 3,
	})
	if d.Peer != s.addr {
		s.checkMobility(d)
	}
	s.wake()
}

func (s *Session) farMode() wire.Mode {
	if s.initiator {
		return wire.ModeResponder
	}
	return wire.ModeInitiator
}

func (s *Session) nearMode() wire.Mode {
	if s.initiator {
		return wire.ModeInitiator
	}
	return wire.ModeResponder
}

func (s *Session) receiveChunk(d Datagram, typ wire.ChunkType, body []byte) {
	switch typ {
	case wire.ChunkCloseRequest:
		s.receiveCloseRequest()
		return
	case wire.ChunkCloseAck:
		s.end(ErrFarClosed)
		return
	default:
	}
	if s.state != stateOpen {
		return
	}
	switch typ {
	case wire.ChunkPing:
		s.receivePing(d, body)
	case wire.ChunkPingReply:
		s.receivePingReply(d, body)
	case wire.ChunkFIHello:
		s.receiveFIHello(body)
	default:
		// "Unknown chunks are skipped": so are those of no meaning here.
		s.mux.ReceiveChunk(typ, body)
	}
}

// A packet under construction.
type packet struct {
	s     *Session
	b     []byte
	start int // where the packet begins, with h
	h     wire.Header
	ts    sentEcho
}

// begin starts a packet. The chunks then go behind p.b.
func (s *Session) begin() packet {
	e := s.engine
	p := packet{s: s, b: s.keys.Sealer.Begin(e.buffer())}
	p.start = len(p.b)
	p.h = wire.Header{Mode: s.nearMode(), TimeCriticalReverse: s.mux.TimeCriticalReverse()}
	p.ts = s.timing.stamp(e.now, e.stamp(), &p.h)
	p.b = p.h.Append(p.b)
	return p
}

// limit is the length that p.b may reach.
func (p *packet) limit() int { return p.start + p.s.keys.Sealer.Room(MaxDatagram) }

// send seals the packet and sends it to DESTADDR, or to another address.
func (p *packet) send(tos uint8, to, local netip.AddrPort) {
	p.s.timing.commit(p.ts)
	var record *PacketRecord
	if p.s.timeline != nil {
		record = p.s.timeline.sending(p.s.engine.now, local, to, p.b[p.start:])
	}
	data := p.s.keys.Sealer.Finish(p.b, p.s.farID)
	if record != nil {
		record.Size = len(data)
	}
	p.s.sent += uint64(len(data))
	p.s.engine.emit(Datagram{Local: local, Peer: to, TOS: tos, Data: data})
}

// discard gives the buffer of a packet back that has nothing to say.
func (p *packet) discard() {
	p.s.engine.free = append(p.s.engine.free, p.b[:0])
}

// sendFlows sends one packet of what the flows have, and reports whether it did.
func (s *Session) sendFlows() bool {
	p := s.begin()
	before := len(p.b)
	out, info := s.mux.Fill(p.b, p.limit())
	if len(out) == before {
		p.discard()
		return false
	}
	p.b = out
	if info.TimeCritical {
		p.h.TimeCritical = true
		p.h.Append(p.b[:p.start]) // over what begin wrote
	}
	var tos uint8
	if info.ECT {
		tos = ect0
	}
	p.send(tos, s.addr, s.local)
	return true
}

const ect0 = 2 // RFC 3168 section 5

// sendChunk sends one chunk at once in a packet of its own.
func (s *Session) sendChunk(c func(b []byte) []byte) { s.sendChunkTo(c, s.addr, s.local) }

func (s *Session) sendChunkTo(c func(b []byte) []byte, to, local netip.AddrPort) {
	p := s.begin()
	p.b = c(p.b)
	p.send(0, to, local)
}
