package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"pileus/configs"
	"pileus/rtmfp/udp"
)

// banner is what serve tells once it listens.
type banner struct {
	at          [configs.NumUses][]netip.AddrPort
	names       udp.Names
	advice      string // about probes
	turn        *turnService
	relays      configs.PortRange // of TURN; zero: nobody may have one
	links       []netip.Prefix    // where nobody is a peer of TURN
	files       string            // how they are divided; empty: not known
	fingerprint string
	admin       string // its URL; empty: none
}

func (b *banner) print(w io.Writer) {
	var text strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&text, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&text, "pileus %s serves RTMFP\n", version())
	name := "listening"
	for _, a := range b.clients() {
		if outside := b.names.Outside(a); outside != a {
			row(name, "%v/udp, outside %v", a, outside)
		} else {
			row(name, "%v/udp", a)
		}
		name = ""
	}
	row("probes", "%s", places(b.at[configs.UseProbe])+b.advice)
	row("relay", "%s", places(b.at[configs.UseRelay]))
	row("stun", "%s", places(slices.Concat(b.at[configs.UseMain], b.at[configs.UseAlternate], b.at[configs.UseSTUN])))
	row("turn", "%s", b.turnRow())
	if len(b.links) > 0 && (b.relays != configs.PortRange{}) {
		row("", "neighbours in %s are no peers; relay.allow_onlink names exceptions", commas(b.links))
	}
	row("fingerprint", "%s", b.fingerprint)
	if b.admin == "" {
		row("admin", "none")
	} else {
		row("admin", "%s/console/, and /metrics, /healthz, /api/v1", b.admin)
	}
	if b.files != "" {
		row("files", "%s", b.files)
	}
	name = "firewall"
	for _, line := range append(firewall(slices.Concat(b.at[:configs.UseAllocation]...)), b.turnFirewall()...) {
		row(name, "%s", line)
		name = ""
	}
	row("try next", "%s peer --server %s", call(), serverURL(b.clients()))
	row("stop", "Ctrl-C closes the sessions politely, a second one ends at once")
	_, _ = io.WriteString(w, text.String())
}

func commas[T fmt.Stringer](values []T) string {
	text := make([]string, len(values))
	for i, v := range values {
		text[i] = v.String()
	}
	return strings.Join(text, ", ")
}

// clients is where clients can connect, but for extra ports.
func (b *banner) clients() []netip.AddrPort {
	return slices.Concat(b.at[configs.UseMain], b.at[configs.UseAlternate])
}

// places tells ports and how many addresses have them.
func places(at []netip.AddrPort) string {
	if len(at) == 0 {
		return "none"
	}
	addrs := make(map[netip.Addr]bool)
	for _, a := range at {
		addrs[a.Addr()] = true
	}
	text := strings.Join(portRanges(at, "-"), ", ") + "/udp"
	if len(addrs) > 1 {
		text += fmt.Sprintf(" on %d addresses", len(addrs))
	}
	return text
}

// portRanges are the ports in order, runs of them in one.
func portRanges(at []netip.AddrPort, through string) []string {
	ports := make([]uint16, len(at))
	for i, a := range at {
		ports[i] = a.Port()
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	var list []string
	for i := 0; i < len(ports); {
		end := i
		for end+1 < len(ports) && ports[end+1] == ports[end]+1 {
			end++
		}
		text := fmt.Sprint(ports[i])
		if end > i {
			text += through + fmt.Sprint(ports[end])
		}
		list = append(list, text)
		i = end + 1
	}
	return list
}

// firewall gives the lines that let others reach sockets, for the two tools
// that most Linux machines have. Loopback needs none.
func firewall(sockets []netip.AddrPort) []string {
	open := slices.DeleteFunc(slices.Clone(sockets), func(a netip.AddrPort) bool { return a.Addr().IsLoopback() })
	if len(open) == 0 {
		return []string{"nothing to open: only this machine can reach a loopback address"}
	}
	nft := portRanges(open, "-")
	set := nft[0]
	if len(nft) > 1 {
		set = "'{ " + strings.Join(nft, ", ") + " }'" // a shell would take the braces
	}
	ufw := portRanges(open, ":")
	for i, p := range ufw {
		ufw[i] = fmt.Sprintf("ufw allow %s/udp", p)
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
