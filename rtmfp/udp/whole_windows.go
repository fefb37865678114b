package udp

import "golang.org/x/sys/windows"

const (
	fragmentNever   = 1
	fragmentAlways  = 0
	fragmentAsUsual = 0

	// Winsock's options of that name, of IPPROTO_IP and of IPPROTO_IPV6 (ws2ipdef.h).
	optionDontFragment = 14
)

func setFragmentationOf(fd uintptr, value int) (err4, err6 error) {
	return windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, optionDontFragment, value),
		windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, optionDontFragment, value)
}
