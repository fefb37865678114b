package report

import (
	"fmt"
	"net/netip"

	"pileus/rtmfp/udp"
)

// blind says why a server that answers tells nothing of this host's network; empty if it
// does.
func (r *Report) blind() string {
	seen, server := r.Seen.Addr(), r.Server.Addr()
	switch {
	case !seen.IsValid():
		return ""
	case server.IsLoopback():
		return "loopback tells nothing of a network: ask a server on another host"
	case server == r.Local.Addr():
		return fmt.Sprintf("%v is this host itself, which tells nothing of a network: ask a server on another host", server)
	case local(seen) && !local(server) && seen != r.Local.Addr():
		return fmt.Sprintf("%v sees this host at %v, which is inside a network: a NAT in front of the server hides its clients, or it is asked from within", server, seen)
	}
	return ""
}

// local reports whether an address means nothing elsewhere.
func local(a netip.Addr) bool {
	return udp.IsPrivate(a) || a.IsLoopback() || a.IsLinkLocalUnicast()
}
