package prober

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// Router Solicitations (RFC 4861 section 4.1) and the option PREF64 of the advertisements
// that answer them (RFC 8781 section 4).
const (
	ndHopLimit       = 255 // RFC 4861 section 6.1: what has passed a router has less
	raHeaderLen      = 16  // ICMP header and fields, before the options
	optionPref64     = 38
	pref64Len        = 16 // bytes
	solicitTries     = 2
	solicitEvery     = 700 * time.Millisecond // a router waits for half a second at most
	maxAdvertisement = 1500
)

var allRouters = &net.IPAddr{IP: net.ParseIP("ff02::2")}

// advertisedNAT64 asks the routers of every link for the prefix that they advertise; zero
// where none does, or this process may not ask.
func advertisedNAT64(ctx context.Context) netip.Prefix {
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return netip.Prefix{}
	}
	defer conn.Close()
	p := conn.IPv6PacketConn()
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	if p.SetICMPFilter(&filter) != nil || p.SetMulticastHopLimit(ndHopLimit) != nil || p.SetControlMessage(ipv6.FlagHopLimit, true) != nil {
		return netip.Prefix{}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for range solicitTries {
		solicit(p)
		if ctx.Err() != nil || conn.SetReadDeadline(time.Now().Add(solicitEvery)) != nil {
			break
		}
		buf := make([]byte, maxAdvertisement)
		for {
			n, control, _, err := p.ReadFrom(buf)
			if err != nil {
				break // and again
			}
			if control == nil || control.HopLimit != ndHopLimit {
				continue
			}
			if found := parsePref64(buf[:n]); found.IsValid() {
				return found
			}
		}
	}
	return netip.Prefix{}
}

// solicit asks on every link.
func solicit(p *ipv6.PacketConn) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return
	}
	message := []byte{byte(ipv6.ICMPTypeRouterSolicitation), 0, 0, 0, 0, 0, 0, 0} // the kernel sums it
	for _, i := range interfaces {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0 {
			_, _ = p.WriteTo(message, &ipv6.ControlMessage{IfIndex: i.Index, HopLimit: ndHopLimit}, allRouters)
		}
	}
}

// parsePref64 finds the prefix in a Router Advertisement.
func parsePref64(b []byte) netip.Prefix {
	if len(b) < raHeaderLen || b[0] != byte(ipv6.ICMPTypeRouterAdvertisement) {
		return netip.Prefix{}
	}
	for options := b[raHeaderLen:]; len(options) >= 8; {
		length := int(options[1]) * 8
		if length == 0 || length > len(options) {
			break
		}
		if options[0] == optionPref64 && length == pref64Len {
			fields := binary.BigEndian.Uint16(options[2:])
			lifetime, code := fields>>3, int(fields&7) // in units of 8 seconds; which of the lengths
			if lifetime > 0 && code < len(prefixLengths) {
				var addr [16]byte
				copy(addr[:12], options[4:16])
				return netip.PrefixFrom(netip.AddrFrom16(addr), prefixLengths[code]).Masked()
			}
		}
		options = options[length:]
	}
	return netip.Prefix{}
}
