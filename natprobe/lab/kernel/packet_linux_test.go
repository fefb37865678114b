package kernel

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// sum is the one's complement sum of b, as IP and UDP have it (RFC 1071).
func sum(b ...[]byte) uint16 {
	var n uint32
	for _, part := range b {
		for i := 0; i < len(part); i += 2 {
			n += uint32(part[i]) << 8
			if i+1 < len(part) {
				n += uint32(part[i+1])
			}
		}
	}
	for n > 0xffff {
		n = n&0xffff + n>>16
	}
	return uint16(n)
}

// packet is a UDP packet with right checksums.
func packet(from, to netip.AddrPort, payload string) []byte {
	length := uint16(udpHeaderLen + len(payload))
	var b []byte
	if from.Addr().Is4() {
		b = []byte{0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocolUDP, 0, 0}
		binary.BigEndian.PutUint16(b[2:], 20+length)
	} else {
		b = []byte{0x60, 0, 0, 0, 0, 0, protocolUDP, 64}
		binary.BigEndian.PutUint16(b[4:], length)
	}
	src, dst := from.Addr().AsSlice(), to.Addr().AsSlice()
	b = append(append(b, src...), dst...)
	if from.Addr().Is4() {
		binary.BigEndian.PutUint16(b[10:], ^sum(b))
	}
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, length)
	udp = append(udp, 0, 0)
	udp = append(udp, payload...)
	binary.BigEndian.PutUint16(udp[6:], ^sum(src, dst, []byte{0, protocolUDP}, udp[4:6], udp))
	return append(b, udp...)
}

func TestRewrite(t *testing.T) {
	for _, test := range []struct{ from, to, newFrom, newTo string }{
		{"10.0.0.2:5000", "192.0.2.1:1935", "198.51.100.7:61234", "192.0.2.1:1935"},
		{"192.0.2.1:1935", "198.51.100.7:61234", "192.0.2.1:1935", "10.0.0.2:5000"},
		{"[fd00::2]:1", "[2001:db8::1]:2", "[2001:db8:ffff::1]:65535", "[2001:db8::1]:2"},
	} {
		from, to := netip.MustParseAddrPort(test.from), netip.MustParseAddrPort(test.to)
		newFrom, newTo := netip.MustParseAddrPort(test.newFrom), netip.MustParseAddrPort(test.newTo)
		b := packet(from, to, "odd")
		h, ok := parseHeaders(b)
		if !ok || h.from != from || h.to != to {
			t.Fatalf("%v to %v reads %v to %v", from, to, h.from, h.to)
		}
		h.rewrite(newFrom, newTo)
		if want := packet(newFrom, newTo, "odd"); string(b) != string(want) {
			t.Errorf("%v to %v became\n%x, want\n%x", from, to, b, want)
		}
	}
}

func TestParseHeadersOfNothingMuch(t *testing.T) {
	whole := packet(netip.MustParseAddrPort("10.0.0.2:5000"), netip.MustParseAddrPort("192.0.2.1:1935"), "")
	for n := range whole {
		if h, ok := parseHeaders(whole[:n]); h.udp != nil || ok != (n >= 20) {
			t.Errorf("%d bytes: ok %v, UDP %x", n, ok, h.udp)
		}
	}
	whole[6] = 0x20 // more fragments
	if h, ok := parseHeaders(whole); !ok || h.udp != nil {
		t.Error("a fragment was taken for UDP")
	}
	if _, ok := parseHeaders([]byte{0x50}); ok {
		t.Error("IP version 5")
	}
}
