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
	s.ForwardHellos(epd, []wire.Address{reply}, tag)
}

// ForwardHellos is ForwardHello for several addresses, in order, in as few packets
// as they fit.
func (s *Session) ForwardHellos(epd []byte, replies []wire.Address, tag []byte) {
	if s.state != stateOpen {
		return
	}
	for len(replies) > 0 {
		p := s.begin()
		for i := 0; len(replies) > 0; i++ {
			before := len(p.b)
			b := wire.FIHello{EPD: epd, ReplyAddress: replies[0], Tag: tag}.Append(p.b)
			if i > 0 && len(b) > p.limit() {
				p.b = b[:before]
				break
			}
			p.b, replies = b, replies[1:]
		}
		p.send(0, s.addr, s.local)
	}
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
