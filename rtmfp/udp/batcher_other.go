//go:build !linux

package udp

import "net"

func newBatcher(socket *net.UDPConn, v6 bool, counts *counters) batcher {
	return newGeneric(socket, v6, counts)
}
