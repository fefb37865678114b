package prober

import "golang.org/x/sys/unix"

// dontFragment has every packet go out as it is or not at all.
func dontFragment(conn any) error { return setDontFragment(conn, 1) }

// mayFragment has packets longer than the interface's MTU go out in pieces.
func mayFragment(conn any) error { return setDontFragment(conn, 0) }

func setDontFragment(conn any, value int) error {
	return control(conn, func(fd uintptr) error {
		err4 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_DONTFRAG, value)
		err6 := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, value)
		if err4 == nil || err6 == nil {
			return nil
		}
		return err4
	})
}
