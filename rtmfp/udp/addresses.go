package udp

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// An Address is one that this machine has now.
type Address struct {
	Addr      netip.Addr   // unmapped, without a zone
	Link      netip.Prefix // the subnet around it, whose hosts are reached without a router
	Interface string
	Up        bool // its interface is: what comes to it arrives
	// Tentative: nothing can be bound to it yet, for it may be somebody else's (RFC 4862 5.4); Duplicate: it
	// has turned out to be. Only Linux tells.
	Tentative, Duplicate bool
	// Passing: it is for outgoing connections and will be replaced (RFC 8981), or it is not to be used
	// any more (RFC 4862 5.5.4). Only Linux tells.
	Passing bool
}

// Addresses lists every address this machine has now, those of interfaces that are down too. It is the
// one place where the system is asked for them: what one part of a program takes for this machine's
// own, no other may take for a stranger's. The order depends on the addresses alone: IPv4 first; in a
// family public before private before link-local before loopback, each in ascending order.
func Addresses() ([]Address, error) {
	list, err := systemAddresses()
	if err != nil {
		return nil, fmt.Errorf("udp: list the addresses of this machine: %w", err)
	}
	return inOrder(list), nil
}

func inOrder(list []Address) []Address {
	list = slices.DeleteFunc(list, func(a Address) bool {
		return !a.Addr.IsValid() || a.Addr.IsUnspecified() || a.Addr.IsMulticast()
	})
	slices.SortFunc(list, func(a, b Address) int {
		return cmp.Or(
			cmp.Compare(a.Addr.BitLen(), b.Addr.BitLen()), cmp.Compare(reach(a.Addr), reach(b.Addr)), a.Addr.Compare(b.Addr),
			cmp.Compare(b2i(b.Up), b2i(a.Up)), cmp.Compare(b2i(a.Tentative), b2i(b.Tentative)), cmp.Compare(a.Interface, b.Interface),
		)
	})
	return list
}

// Serveable picks those at which others can be served, each once: of interfaces that are up, and no
// link-local IPv6, which means something on one interface only.
func Serveable(list []Address) []Address {
	var picked []Address
	for _, a := range list {
		if a.Up && (a.Addr.Is4() || !a.Addr.IsLinkLocalUnicast()) && (len(picked) == 0 || picked[len(picked)-1].Addr != a.Addr) {
			picked = append(picked, a)
		}
	}
	return picked
}

// Source is the address from which this machine sends to the internet: that of its default route, in the
// family asked for. Nothing is sent to find it.
func Source(four bool) (netip.Addr, error) {
	network, far := "udp6", "[2001:db8::1]:9" // of documentation: no route of its own leads there
	if four {
		network, far = "udp4", "192.0.2.1:9"
	}
	c, err := net.Dial(network, far)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("udp: there is no way to the internet: %w", err)
	}
	defer c.Close()
	return unmap(c.LocalAddr().(*net.UDPAddr).AddrPort()).Addr(), nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
