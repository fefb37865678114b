package prober

import "golang.org/x/sys/windows"

// Winsock's options of that name, of IPPROTO_IP and of IPPROTO_IPV6 (ws2ipdef.h).
const optionDontFragment = 14

// dontFragment has every packet go out as it is or not at all.
func dontFragment(conn any) error { return setDontFragment(conn, 1) }

// mayFragment has packets longer than the interface's MTU go out in pieces.
func mayFragment(conn any) error { return setDontFragment(conn, 0) }

func setDontFragment(conn any, value int) error {
	return control(conn, func(fd uintptr) error {
		err4 := windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, optionDontFragment, value)
		err6 := windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, optionDontFragment, value)
		if err4 == nil || err6 == nil {
			return nil
		}
		return err4
	})
}
