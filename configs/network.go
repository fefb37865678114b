package configs

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Port is a UDP or TCP port, 1 to 65535.
type Port uint16

func (p *Port) UnmarshalText(text []byte) error {
	n, err := parsePort(string(text))
	if err != nil || n == 0 {
		return wrong(string(text), "a port: a number from 1 to 65535")
	}
	*p = Port(n)
	return nil
}

// PortRange is First to Last, both included. It is written 1936-1943, or 1936
// for one port, or "" or off for none, which is the zero value.
type PortRange struct{ First, Last uint16 }

func (r *PortRange) UnmarshalText(text []byte) error {
	const want = "a range of ports such as 1936-1943"
	if s := string(text); s == "" || s == "off" {
		*r = PortRange{}
		return nil
	}
	a, b, isRange := strings.Cut(string(text), "-")
	if !isRange {
		b = a
	}
	first, err1 := parsePort(strings.TrimSpace(a))
	last, err2 := parsePort(strings.TrimSpace(b))
	if err1 != nil || err2 != nil || first == 0 {
		return wrong(string(text), want)
	}
	if first > last {
		return wrong(string(text), want+": its first port is above its last")
	}
	*r = PortRange{first, last}
	return nil
}

func (r PortRange) String() string {
	if r == (PortRange{}) {
		return "off"
	}
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Len is how many ports the range holds.
func (r PortRange) Len() int {
	if r == (PortRange{}) {
		return 0
	}
	return int(r.Last) - int(r.First) + 1
}

// Contains reports whether port p is in the range.
func (r PortRange) Contains(p uint16) bool { return r.First <= p && p <= r.Last }

// Listen is where to bind: an address and port, or a port on every address of
// the machine. It is written ":1935", "1935", "192.0.2.1:1935", "[::1]:1935";
// port 0 asks the system for a free one. The zero Listen is invalid.
type Listen struct {
	addr  netip.AddrPort
	every bool
}

// ListenPort is port on every address of the machine.
func ListenPort(port uint16) Listen {
	return Listen{netip.AddrPortFrom(netip.Addr{}, port), true}
}

// ListenAddr is the one socket at a.
func ListenAddr(a netip.AddrPort) Listen { return Listen{addr: a} }

func (l *Listen) UnmarshalText(text []byte) error {
	s := string(text)
	const want = `an address to listen on such as ":1935", "192.0.2.1:1935" or "[::1]:1935"`
	if port, err := parsePort(strings.TrimPrefix(s, ":")); err == nil {
		*l = ListenPort(port)
		return nil
	}
	a, err := parseAddrPort(s, want)
	if err != nil {
		return err
	}
	*l = ListenAddr(a)
	return nil
}

// AddrPorts are the addresses to bind. A port on every address gives the
// wildcards of both families, IPv4 first.
func (l Listen) AddrPorts() []netip.AddrPort {
	if !l.every {
		return []netip.AddrPort{l.addr}
	}
	return []netip.AddrPort{
		netip.AddrPortFrom(netip.IPv4Unspecified(), l.addr.Port()),
		netip.AddrPortFrom(netip.IPv6Unspecified(), l.addr.Port()),
	}
}

// Port is the port to bind.
func (l Listen) Port() uint16 { return l.addr.Port() }

func (l Listen) String() string {
	if l.every {
		return ":" + strconv.Itoa(int(l.addr.Port()))
	}
	return l.addr.String()
}

// AdminListen is one address and port, or none: an admin interface listens
// where it was told and nowhere else, so a bare port is on loopback.
type AdminListen struct{ netip.AddrPort }

func (l *AdminListen) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" || s == "off" {
		*l = AdminListen{}
		return nil
	}
	if port, err := parsePort(strings.TrimPrefix(s, ":")); err == nil {
		*l = AdminListen{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
		return nil
	}
	a, err := parseAddrPort(s, `an address such as "127.0.0.1:8935", or "" for none`)
	if err != nil {
		return err
	}
	*l = AdminListen{a}
	return nil
}

func (l AdminListen) String() string {
	if !l.IsValid() {
		return ""
	}
	return l.AddrPort.String()
}

// parseAddrPort is netip.ParseAddrPort with hints for what people write
// instead: names, addresses without a port, IPv6 without brackets.
func parseAddrPort(s, want string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPort{}, wrong(s, fmt.Sprintf("%s: the port is missing, try %q", want, netip.AddrPortFrom(a, 1935)))
	}
	host, _, err := net.SplitHostPort(s)
	if err == nil && host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, wrong(s, fmt.Sprintf("%s: %q is not an IP address, and names are not looked up here", want, host))
		}
	}
	return netip.AddrPort{}, wrong(s, want)
}

// ParseIP reads an address without port or zone; the error says what was
// expected.
func ParseIP(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		want := "an IP address such as 198.51.100.7 or 2001:db8::7"
		if _, err := netip.ParseAddrPort(s); err == nil {
			want += ", without a port"
		}
		return netip.Addr{}, wrong(s, want)
	}
	return a.Unmap(), nil
}

// ParsePrefix reads a network, or one address, which stands for itself.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := ParseIP(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, wrong(s, "a network such as 203.0.113.0/24 or 2001:db8::/64, or an address")
	}
	return p.Masked(), nil
}

func parsePort(s string) (uint16, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}
