package rtmfp

import (
	"net/netip"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// ForwardHello sends an FIHello to the far end (RFC 7016 3.5.1.5): somebody at
// reply looks for it. epd goes out as the IHello had it. The far end answers
// straight to reply, which opens its NAT towards that address.
func (s *Session) ForwardHello(epd []byte, reply wire.Address, tag []byte) {
	if s.state != stateOpen {
		return
	}
	s.sendChunk(wire.FIHello{EPD: epd, ReplyAddress: reply, Tag: tag}.Append)
}

// receiveFIHello does one of the three things of RFC 7016 3.5.1.1.2.
func (s *Session) receiveFIHello(body []byte) {
	e := s.engine
	c, err := wire.ParseFIHello(body)
	if err != nil || len(c.Tag) > maxTag {
		e.drop(DropMalformed)
		return
	}
	if s.introductions == IgnoreIntroductions {
		return
	}
	epd, err := flash.ParseEPD(c.EPD)
	if err != nil || !e.cfg.Identity.Certificate().SelectedBy(epd) {
		e.drop(DropCertificate)
		return
	}
	to := c.ReplyAddress.AddrPort
	if !usable(to) {
		e.drop(DropMalformed)
		return
	}
	// The server says where to send; it may not make us flood.
	if !s.forwarded.Take(e.now, forwardRate, forwardBurst) {
		e.drop(DropRate)
		return
	}
	e.stats.Forwarded++
	local := s.local
	if to.Addr().Is4() != s.addr.Addr().Is4() {
		local = netip.AddrPort{}
	}
	if s.introductions == RedirectIntroductions {
		e.Redirect(local, to, c.Tag, nil)
		return
	}
	e.sendRHello(local, to, c.Tag)
}
