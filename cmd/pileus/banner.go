package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"pileus/rtmfp/udp"
)

// banner is what serve tells once it listens.
type banner struct {
	sockets     []netip.AddrPort
	names       udp.Names
	fingerprint string
	admin       string // where it answers; empty: nowhere
}

func (b *banner) print(w io.Writer) {
	var text strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&text, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&text, "pileus %s serves RTMFP\n", version())
	name := "listening"
	for _, a := range b.sockets {
		if outside := b.names.Outside(a); outside != a {
			row(name, "%v/udp, outside %v", a, outside)
		} else {
			row(name, "%v/udp", a)
		}
		name = ""
	}
	row("fingerprint", "%s", b.fingerprint)
	if b.admin == "" {
		row("admin", "none")
	} else {
		row("admin", "http://%s/metrics and /healthz", b.admin)
	}
	name = "firewall"
	for _, line := range firewall(b.sockets) {
		row(name, "%s", line)
		name = ""
	}
	row("try next", "%s peer --server %s", program(), serverURL(b.sockets))
	row("stop", "Ctrl-C closes the sessions politely, a second one ends at once")
	_, _ = io.WriteString(w, text.String())
}

// firewall gives the lines that let others reach sockets, for the two tools
// that most Linux machines have. Loopback needs none.
func firewall(sockets []netip.AddrPort) []string {
	var ports []uint16
	for _, a := range sockets {
		if !a.Addr().IsLoopback() && !slices.Contains(ports, a.Port()) {
			ports = append(ports, a.Port())
		}
	}
	if len(ports) == 0 {
		return []string{"nothing to open: only this machine can reach a loopback address"}
	}
	var nft, ufw []string
	for _, p := range ports {
		nft = append(nft, fmt.Sprint(p))
		ufw = append(ufw, fmt.Sprintf("ufw allow %d/udp", p))
	}
	set := nft[0]
	if len(nft) > 1 {
		set = "'{ " + strings.Join(nft, ", ") + " }'" // a shell would take the braces
	}
	return []string{
		fmt.Sprintf("nft add rule inet filter input udp dport %s accept", set),
		"or: " + strings.Join(ufw, "; "),
	}
}

// serverURL is the nearest way to reach one of sockets from this machine.
func serverURL(sockets []netip.AddrPort) string {
	best := sockets[0]
	for _, a := range sockets {
		if a.Addr().IsLoopback() {
			best = a
			break
		}
	}
	if best.Port() == defaultPort {
		host := best.Addr().String()
		if best.Addr().Is6() {
			host = "[" + host + "]"
		}
		return "rtmfp://" + host + "/"
	}
	return "rtmfp://" + best.String() + "/"
}

// defaultPort is the port of rtmfp URLs that name none (RFC 7425 5.1).
const defaultPort = 1935
