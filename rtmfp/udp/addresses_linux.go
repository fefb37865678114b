package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// systemAddresses asks the kernel once for all of them: package net asks once for each interface, of
// which a host of containers has hundreds, and does not tell which addresses are tentative.
func systemAddresses() ([]Address, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	links := make(map[int]net.Interface, len(interfaces))
	for _, i := range interfaces {
		links[i.Index] = i
	}
	dump, err := syscall.NetlinkRIB(unix.RTM_GETADDR, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return nil, err
	}
	var list []Address
	for i := range messages {
		if m := &messages[i]; m.Header.Type == unix.RTM_NEWADDR {
			if a, index, ok := parseAddress(m); ok {
				a.Interface = strconv.Itoa(index)
				if link, known := links[index]; known { // else it came while we looked
					a.Interface, a.Up = link.Name, link.Flags&net.FlagUp != 0
				}
				list = append(list, a)
			}
		}
	}
	return list, nil
}

// parseAddress reads RTM_NEWADDR (rtnetlink(7)).
func parseAddress(m *syscall.NetlinkMessage) (a Address, link int, ok bool) {
	if len(m.Data) < unix.SizeofIfAddrmsg {
		return a, 0, false
	}
	bits, flags := int(m.Data[1]), uint32(m.Data[2])
	link = int(binary.NativeEndian.Uint32(m.Data[4:]))
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return a, 0, false
	}
	var address, local netip.Addr
	for _, attr := range attrs {
		switch attr.Attr.Type {
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(attr.Value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(attr.Value)
		case unix.IFA_FLAGS:
			if len(attr.Value) == 4 {
				flags = binary.NativeEndian.Uint32(attr.Value)
			}
		}
	}
	if a.Addr = local; !local.IsValid() {
		a.Addr = address
	}
	// The prefix is that of IFA_ADDRESS, which on a point-to-point interface is the far end.
	a.Link, err = address.Prefix(bits)
	if err != nil || !a.Addr.IsValid() {
		return a, 0, false
	}
	a.Duplicate = flags&unix.IFA_F_DADFAILED != 0
	a.Tentative = a.Duplicate || flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	// Of IPv4 the flag of temporary ones says that there is another of the subnet.
	a.Passing = flags&unix.IFA_F_DEPRECATED != 0 || flags&unix.IFA_F_TEMPORARY != 0 && a.Addr.Is6()
	return a, link, true
}
