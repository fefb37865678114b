package prober

import "golang.org/x/sys/unix"

// dontFragment has every packet go out as it is or not at all, whatever the kernel
// believes the path's MTU to be.
func dontFragment(conn any) error { return setDiscovery(conn, unix.IP_PMTUDISC_PROBE) }

// mayFragment has packets longer than the interface's MTU go out in pieces that
// routers may cut further.
func mayFragment(conn any) error { return setDiscovery(conn, unix.IP_PMTUDISC_DONT) }

// setDiscovery sets it for both families; the values are the same, and a socket has
// one family or both.
func setDiscovery(conn any, value int) error {
	return control(conn, func(fd uintptr) error {
		err4 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, value)
		err6 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, value)
		if err4 == nil || err6 == nil {
			return nil
		}
		return err4
	})
}
