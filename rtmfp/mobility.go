package rtmfp

import (
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"

	"pileus/rtmfp/wire"
)

// mobilityState is MOB_TX_TS and MOB_RX_TS of RFC 7016 3.5.4.2, in time since
// the engine's epoch; 0 is negative infinity.
type mobilityState struct{ tx, rx time.Duration }

// A mobility ping's message is mark[1] stamp[8] mac[16].
const (
	mobilityMark = 'M'
	mobilityLen  = 1 + 8 + 16
)

// checkMobility asks the source of a verified packet that is not DESTADDR to
// prove itself. Until it does, nothing moves.
func (s *Session) checkMobility(d Datagram) {
	now := s.engine.now.Sub(s.engine.epoch)
	if s.mobility.tx != 0 && now-s.mobility.tx < mobilityInterval {
		return
	}
	s.mobility.tx = now
	var m [mobilityLen]byte
	s.mobilityMessage(&m, now, d.Peer)
	s.sendChunkTo(wire.Ping{Message: m[:]}.Append, d.Peer, d.Local)
}

func (s *Session) mobilityMessage(m *[mobilityLen]byte, stamp time.Duration, addr netip.AddrPort) {
	m[0] = mobilityMark
	binary.BigEndian.PutUint64(m[1:], uint64(stamp))
	// A CBC-MAC over one fixed length, under a key used for nothing else.
	var in [48]byte
	copy(in[:], m[1:9])
	copy(in[8:], s.id[:])
	ip := addr.Addr().As16()
	copy(in[16:], ip[:])
	binary.BigEndian.PutUint16(in[32:], addr.Port())
	mac := m[9:]
	clear(mac)
	for i := 0; i < len(in); i += 16 {
		subtle.XORBytes(mac, mac, in[i:i+16])
		s.engine.mobility.Encrypt(mac, mac)
	}
}

// receivePingReply moves the session if the reply is to a mobility check, comes
// from the address that was checked, and is newer than the last such.
func (s *Session) receivePingReply(d Datagram, body []byte) {
	if len(body) != mobilityLen || body[0] != mobilityMark {
		return
	}
	e := s.engine
	now := e.now.Sub(e.epoch)
	stamp := time.Duration(binary.BigEndian.Uint64(body[1:]))
	if stamp <= s.mobility.rx || stamp > now || now-stamp > mobilityLifetime {
		return
	}
	var want [mobilityLen]byte
	s.mobilityMessage(&want, stamp, d.Peer)
	if subtle.ConstantTimeCompare(body, want[:]) != 1 {
		return
	}
	s.mobility.rx = stamp
	if d.Peer == s.addr && d.Local == s.local {
		return
	}
	e.unindex(s)
	s.addr, s.local = d.Peer, d.Local
	e.index(s)
	s.settle()
	e.stats.Moved++
	s.mux.Moved()
	s.handler.Moved(s)
}
