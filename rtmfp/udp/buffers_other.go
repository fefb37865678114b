//go:build !linux

package udp

import (
	"net"
	"syscall"
)

// setBuffers halves what it asks for until the system agrees: unlike Linux, some refuse a size above
// their maximum instead of granting the maximum.
func setBuffers(socket *net.UDPConn, _ syscall.RawConn, o Options) (receive, send int, err error) {
	return halve(socket.SetReadBuffer, o.ReceiveBuffer), halve(socket.SetWriteBuffer, o.SendBuffer), nil
}

// halve returns the size that set accepted, 0 if the system's default stays.
func halve(set func(int) error, size int) int {
	const enough = 64 << 10
	for ; size >= enough; size /= 2 {
		if set(size) == nil {
			return size
		}
	}
	return 0
}
