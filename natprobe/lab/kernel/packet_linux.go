package kernel

import (
	"encoding/binary"
	"net/netip"
)

// headers are the parts of an IP packet that a NAT looks at. They alias the
// packet.
type headers struct {
	src, dst   []byte // addresses
	networkSum []byte // checksum of the IPv4 header; nil for IPv6
	udp        []byte // header and payload; nil if it is something else
	from, to   netip.AddrPort
}

const (
	protocolUDP   = 17
	ipv6HeaderLen = 40
	udpHeaderLen  = 8
)

// parseHeaders reads an IP packet. Fragments and IPv6 extension headers are not
// looked into: such a packet is not UDP, and its ports are 0.
func parseHeaders(b []byte) (h headers, ok bool) {
	if len(b) < 1 {
		return h, false
	}
	var rest []byte
	var protocol byte
	var from, to netip.Addr
	switch b[0] >> 4 {
	case 4:
		n := int(b[0]&15) * 4
		if n < 20 || len(b) < n {
			return h, false
		}
		h.src, h.dst, h.networkSum = b[12:16], b[16:20], b[10:12]
		from, to = netip.AddrFrom4([4]byte(h.src)), netip.AddrFrom4([4]byte(h.dst))
		h.from, h.to = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0)
		protocol, rest = b[9], b[n:]
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return h, true // a fragment
		}
	case 6:
		if len(b) < ipv6HeaderLen {
			return h, false
		}
		h.src, h.dst = b[8:24], b[24:40]
		from, to = netip.AddrFrom16([16]byte(h.src)), netip.AddrFrom16([16]byte(h.dst))
		h.from, h.to = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0)
		protocol, rest = b[6], b[ipv6HeaderLen:]
	default:
		return h, false
	}
	if protocol == protocolUDP && len(rest) >= udpHeaderLen {
		h.udp = rest
		h.from = netip.AddrPortFrom(from, binary.BigEndian.Uint16(rest))
		h.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(rest[2:]))
	}
	return h, true
}

// rewrite puts other addresses and ports into the packet, of the same family,
// and adjusts its checksums (RFC 1624).
func (h *headers) rewrite(src, dst netip.AddrPort) {
	var delta uint32 // one's complement sum of what is new and of the complement of what was
	put := func(at, value []byte) {
		for i := 0; i < len(at); i += 2 {
			delta += uint32(^binary.BigEndian.Uint16(at[i:])) + uint32(binary.BigEndian.Uint16(value[i:]))
		}
		copy(at, value)
	}
	put(h.src, src.Addr().AsSlice())
	put(h.dst, dst.Addr().AsSlice())
	if h.networkSum != nil {
		adjust(h.networkSum, delta)
	}
	put(h.udp[:2], binary.BigEndian.AppendUint16(nil, src.Port()))
	put(h.udp[2:4], binary.BigEndian.AppendUint16(nil, dst.Port()))
	sum := h.udp[6:8]
	if binary.BigEndian.Uint16(sum) == 0 {
		return // the sender made none
	}
	adjust(sum, delta)
	if binary.BigEndian.Uint16(sum) == 0 {
		binary.BigEndian.PutUint16(sum, 0xffff) // 0 would mean none
	}
}

func adjust(sum []byte, delta uint32) {
	n := uint32(^binary.BigEndian.Uint16(sum)) + delta
	for n > 0xffff {
		n = n&0xffff + n>>16
	}
	binary.BigEndian.PutUint16(sum, ^uint16(n))
}
