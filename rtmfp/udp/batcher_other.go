//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

func newBatcher(socket *net.UDPConn, local netip.AddrPort, counts *counters) (batcher, error) {
	return newGeneric(socket, local.Addr().Is6(), counts), nil
}
