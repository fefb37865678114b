package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr has room for the address of either family, in the kernel's form.
type sockaddr unix.RawSockaddrInet6

const sockaddrSize = unix.SizeofSockaddrInet6

// set returns how many bytes of s are the address; 0 for none, which the kernel refuses.
func (s *sockaddr) set(a netip.AddrPort, z *zones) (length uint32) {
	ip := a.Addr()
	switch {
	case ip.Is4():
		s4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		s4.Family, s4.Addr = unix.AF_INET, ip.As4()
		length = unix.SizeofSockaddrInet4
	case ip.Is6():
		s.Family, s.Addr, s.Flowinfo, s.Scope_id = unix.AF_INET6, ip.As16(), 0, 0
		if zone := ip.Zone(); zone != "" {
			s.Scope_id = z.index(zone)
		}
		length = unix.SizeofSockaddrInet6
	default:
		return 0
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&s.Port))[:], a.Port()) // at one place in both
	return length
}

func (s *sockaddr) addrPort(z *zones) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&s.Port))[:])
	switch s.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(s)).Addr), port)
	case unix.AF_INET6:
		ip := netip.AddrFrom16(s.Addr).Unmap()
		if s.Scope_id != 0 && ip.Is6() {
			ip = ip.WithZone(z.name(s.Scope_id))
		}
		return netip.AddrPortFrom(ip, port)
	}
	return netip.AddrPort{}
}

// zones remembers the names of the interfaces that link-local addresses came with: the system tells them
// at the price of many packets. A name that changes meanwhile still leads to its interface.
type zones struct {
	known []zone
}

type zone struct {
	index uint32
	name  string
}

// maxZones bounds the interfaces remembered, of those that link-local packets come by.
const maxZones = 64

func (z *zones) name(index uint32) string {
	for i := range z.known {
		if z.known[i].index == index {
			return z.known[i].name
		}
	}
	name := strconv.FormatUint(uint64(index), 10)
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		name = i.Name
	}
	z.add(zone{index, name})
	return name
}

// index returns 0, no zone, for an interface that does not exist.
func (z *zones) index(name string) uint32 {
	for i := range z.known {
		if z.known[i].name == name {
			return z.known[i].index
		}
	}
	if i, err := net.InterfaceByName(name); err == nil {
		z.add(zone{uint32(i.Index), name})
		return uint32(i.Index)
	}
	index, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(index)
}

func (z *zones) add(one zone) {
	if len(z.known) == maxZones {
		z.known = z.known[1:]
	}
	z.known = append(z.known, one)
}
