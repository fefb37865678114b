package relayed

import (
	"context"
	"net"
	"net/netip"
	"strconv"

	"github.com/pion/transport/v3"
	"github.com/pion/transport/v3/stdnet"
)

// maxAddresses of a server are asked over UDP, each for as long as one would be.
const maxAddresses = 4

// lookup finds a host's addresses.
type lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

func names(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}

// addresses are those that the server's name has.
func (s Server) addresses(ctx context.Context, find lookup) ([]string, error) {
	host, port, err := net.SplitHostPort(s.Host)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	found, err := find(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, a := range found[:min(len(found), maxAddresses)] {
		all = append(all, netip.AddrPortFrom(a.Unmap(), uint16(number)).String())
	}
	return all, nil
}

// fixed has the client find its server where this host found it: by itself it takes
// one of IPv4, whatever its socket is.
type fixed struct {
	transport.Net
	server netip.AddrPort
}

func fixedOn(server netip.AddrPort) (transport.Net, error) {
	n, err := stdnet.NewNet()
	return fixed{n, server}, err
}

// ResolveUDPAddr implements transport.Net.
func (f fixed) ResolveUDPAddr(_, _ string) (*net.UDPAddr, error) {
	return net.UDPAddrFromAddrPort(f.server), nil
}
