package udp

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// setBuffers asks for o's sizes, above net.core.rmem_max and wmem_max where the process may exceed
// them (CAP_NET_ADMIN), and returns what was granted.
func setBuffers(_ *net.UDPConn, raw syscall.RawConn, o Options) (receive, send int, err error) {
	var failed error
	err = raw.Control(func(fd uintptr) {
		if receive, failed = setBuffer(int(fd), unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, o.ReceiveBuffer); failed == nil {
			send, failed = setBuffer(int(fd), unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, o.SendBuffer)
		}
	})
	if err == nil {
		err = failed
	}
	return receive, send, err
}

func setBuffer(fd, option, force, size int) (granted int, err error) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size); err != nil {
			return 0, err
		}
	}
	// socket(7): the kernel doubles the value for its bookkeeping and returns it doubled.
	granted, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	return granted / 2, err
}
