package gateway

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

var errNoRoute = errors.New("no route")

// nextHop asks the kernel how packets from one address to another leave, all rules and
// tables considered (rtnetlink(7), RTM_GETROUTE): the router that takes them, zero if the
// far end is on the link, and the index of the interface.
func nextHop(from, to netip.Addr) (router netip.Addr, device int, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return router, 0, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return router, 0, err
	}
	if err := unix.Sendto(fd, routeRequest(from, to), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return router, 0, err
	}
	buf := make([]byte, 1<<13)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return router, 0, err
	}
	return parseRoute(buf[:n])
}

// routeRequest is struct nlmsghdr, struct rtmsg and two attributes.
func routeRequest(from, to netip.Addr) []byte {
	family := byte(unix.AF_INET)
	if to.Is6() {
		family = unix.AF_INET6
	}
	body := []byte{family, byte(to.BitLen()), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	body = appendAttribute(body, unix.RTA_DST, to.AsSlice())
	if from.IsValid() && from.Is4() == to.Is4() && !from.IsUnspecified() {
		body[2] = byte(from.BitLen())
		body = appendAttribute(body, unix.RTA_SRC, from.AsSlice())
	}
	head := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	binary.NativeEndian.PutUint32(head, uint32(unix.NLMSG_HDRLEN+len(body)))
	binary.NativeEndian.PutUint16(head[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(head[6:], unix.NLM_F_REQUEST)
	return append(head, body...)
}

func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...) // addresses need no padding
}

func parseRoute(b []byte) (router netip.Addr, device int, err error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil || len(messages) == 0 || messages[0].Header.Type != unix.RTM_NEWROUTE {
		return router, 0, errors.Join(errNoRoute, err)
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(&messages[0])
	if err != nil {
		return router, 0, err
	}
	for _, a := range attributes {
		switch {
		case a.Attr.Type == unix.RTA_GATEWAY:
			router, _ = netip.AddrFromSlice(a.Value)
		case a.Attr.Type == unix.RTA_VIA && len(a.Value) > 2: // of another family (RFC 8950)
			router, _ = netip.AddrFromSlice(a.Value[2:])
		case a.Attr.Type == unix.RTA_OIF && len(a.Value) == 4:
			device = int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	if router.IsUnspecified() {
		router = netip.Addr{}
	}
	return router, device, nil
}
