package udp

import "golang.org/x/sys/unix"

// Values of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, which are the same. The first two ignore
// what the kernel learned of the path.
const (
	fragmentNever   = unix.IP_PMTUDISC_PROBE
	fragmentAlways  = unix.IP_PMTUDISC_OMIT
	fragmentAsUsual = unix.IP_PMTUDISC_WANT
)

func setFragmentationOf(fd uintptr, value int) (err4, err6 error) {
	six := value
	if value == fragmentAlways {
		six = unix.IPV6_PMTUDISC_DONT // no router will do it, so the host must know the path
	}
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, value),
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, six)
}
