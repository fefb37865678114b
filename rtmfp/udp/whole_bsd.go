//go:build darwin || freebsd

package udp

import "golang.org/x/sys/unix"

const (
	fragmentNever   = 1
	fragmentAlways  = 0
	fragmentAsUsual = 0
)

func setFragmentationOf(fd uintptr, value int) (err4, err6 error) {
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_DONTFRAG, value),
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, value)
}
