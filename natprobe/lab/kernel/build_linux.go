package kernel

import (
	"fmt"
	"net/netip"
	"time"

	"pileus/natprobe/lab"
)

// builder collects what a network needs; the network owns what it makes at
// once, so that nothing is left behind when a step fails.
type builder struct {
	net *Network
	*site
	seed uint64
}

func (n *Network) namespace(label, role string) string {
	return Prefix + n.id + "-" + label + "-" + role
}

// create makes an empty namespace that answers from any interface.
func (n *Network) create(label, role string, ipv6 bool) (string, error) {
	name := n.namespace(label, role)
	if err := ip("", "netns add "+name); err != nil {
		return "", err
	}
	disabled := 1
	if ipv6 {
		disabled = 0
	}
	// The two below conf also hold for interfaces to come.
	err := sysctl(name,
		"ipv4/conf/all/rp_filter=0", "ipv4/conf/default/rp_filter=0",
		fmt.Sprintf("ipv6/conf/all/disable_ipv6=%d", disabled), fmt.Sprintf("ipv6/conf/default/disable_ipv6=%d", disabled),
		"ipv6/conf/default/accept_dad=0", "ipv6/conf/default/accept_ra=0")
	if err != nil {
		return "", err
	}
	return name, ip(name, "link set lo up")
}

// out gives a namespace its way out: a line to the others. Packets to routed
// come in by it.
func (n *Network) out(namespace string, nat *lab.NAT, ipv6 bool, extra time.Duration, routed ...netip.Addr) error {
	device, err := openTUN(namespace, "wan")
	if err != nil {
		return err
	}
	n.internet.connect(device, nat, extra, routed...)
	lines := []string{"link set wan up txqueuelen 2000", "route add default dev wan"}
	if ipv6 {
		lines = append(lines, "route add ::/0 dev wan")
	}
	return ip(namespace, lines...)
}

func (n *Network) buildNode() error {
	addrs := []netip.Addr{lab.FirstNodeAddress, lab.SecondNodeAddress, node6[0], node6[1]}
	name, err := n.create(nodeLabel, "host", true)
	if err != nil {
		return err
	}
	n.node = &Host{Site: nodeLabel, Namespace: name, Addrs: addrs}
	if err := n.out(name, nil, true, 0, addrs...); err != nil {
		return err
	}
	return ip(name, addresses(addrs...)...)
}

// addresses gives them to wan.
func addresses(addrs ...netip.Addr) []string {
	var lines []string
	for _, a := range addrs {
		if a.Is4() {
			lines = append(lines, fmt.Sprintf("addr add %v/32 dev wan", a))
		} else {
			lines = append(lines, fmt.Sprintf("addr add %v/128 dev wan nodad", a))
		}
	}
	return lines
}

// build makes a site, from the outside to its hosts.
func (n *Network) build(s *site, seed uint64) error {
	b := &builder{net: n, site: s, seed: seed}
	switch {
	case len(s.Kind.Chain) == 0:
		return b.publicHost()
	case len(s.Kind.Chain) == 1 && s.Kind.Hosts == 1 && (s.Kind.UserSpace || !canBeKernel(s.Kind.Chain[0])):
		return b.hostBehindUserSpace()
	case len(s.Kind.Chain) == 1 && s.Kind.Chain[0].Mapping == lab.NoTranslation:
		return b.hostBehindFirewall()
	case len(s.Kind.Chain) == 1:
		return b.home()
	default:
		return b.carrier()
	}
}

// host makes the namespace of the next host.
func (b *builder) host(addrs ...netip.Addr) (string, error) {
	h := &Host{Site: b.Label, Addrs: addrs}
	role := "host"
	if b.Kind.Hosts > 1 {
		h.Name = string(rune('a' + len(b.hosts)))
		role = h.Name
	}
	var err error
	if h.Namespace, err = b.net.create(b.Label, role, b.Kind.HasIPv6); err != nil {
		return "", err
	}
	b.hosts = append(b.hosts, h)
	if b.Kind.HostFirewalls {
		err = nft(h.Namespace, hostRules()...)
	}
	return h.Namespace, err
}

func (b *builder) publicHost() error {
	addr := publicAddr(b.index)
	host, err := b.host(addr)
	if err != nil {
		return err
	}
	if err := b.net.out(host, nil, false, b.Extra, addr); err != nil {
		return err
	}
	return ip(host, addresses(addr)...)
}

// userSpace is the NAT at the end of the line. Its public address is nowhere
// local: the kernel would answer in its place.
func (b *builder) userSpace(behavior lab.Behavior) *lab.NAT {
	behavior.Public = []netip.Addr{publicAddr(b.index)}
	behavior.Seed = b.seed
	return lab.NewNAT(behavior)
}

func (b *builder) hostBehindUserSpace() error {
	addr := lanAddr(b.index, 0, 2)
	host, err := b.host(addr)
	if err != nil {
		return err
	}
	if err := b.net.out(host, b.userSpace(b.Kind.Chain[0]), false, b.Extra, publicAddr(b.index)); err != nil {
		return err
	}
	return ip(host, addresses(addr)...)
}

// router makes the outermost namespace of a site with several: what is done
// there, or else at the end of its line, is the last of the chain.
func (b *builder) router(role string, segments bool) (string, error) {
	behavior := b.Kind.Chain[len(b.Kind.Chain)-1]
	router, err := b.net.create(b.Label, role, b.Kind.HasIPv6)
	if err != nil {
		return "", err
	}
	if err := b.forwards(router); err != nil {
		return "", err
	}
	public := publicAddr(b.index)
	if !canBeKernel(behavior) {
		if err := b.net.out(router, b.userSpace(behavior), false, b.Extra, public); err != nil {
			return "", err
		}
		if segments {
			err = nft(router, segmentRules()...)
		}
		return router, err
	}
	routed := []netip.Addr{public}
	if behavior.Mapping == lab.NoTranslation {
		routed = append(routed, firewalledAddr(b.index))
	}
	if b.Kind.HasIPv6 {
		routed = append(routed, lanAddr6(b.index, 2))
	}
	if err := b.net.out(router, nil, b.Kind.HasIPv6, b.Extra, routed...); err != nil {
		return "", err
	}
	if err := ip(router, addresses(public)...); err != nil {
		return "", err
	}
	return router, nft(router, routerRules(behavior, segments, lanAddr(b.index, 0, 2))...)
}

func (b *builder) forwards(router string) error {
	values := []string{"ipv4/ip_forward=1"}
	if b.Kind.HasIPv6 {
		values = append(values, "ipv6/conf/all/forwarding=1")
	}
	return sysctl(router, values...)
}

// cable connects a router's LAN with a namespace: near at the router, far there.
func cable(router, near, namespace, far string) error {
	if err := ip(router, fmt.Sprintf("link add %s type veth peer name %s netns %s", near, far, namespace), "link set "+near+" up"); err != nil {
		return err
	}
	return ip(namespace, "link set "+far+" up")
}

func (b *builder) hostBehindFirewall() error {
	addr, gateway := firewalledAddr(b.index), publicAddr(b.index)
	router, err := b.router("firewall", false)
	if err != nil {
		return err
	}
	host, err := b.host(addr)
	if err != nil {
		return err
	}
	if err := cable(router, "lan0", host, "eth0"); err != nil {
		return err
	}
	if err := ip(router, fmt.Sprintf("addr add %v peer %v dev lan0", gateway, addr)); err != nil {
		return err
	}
	return ip(host, fmt.Sprintf("addr add %v peer %v dev eth0", addr, gateway), fmt.Sprintf("route add default via %v", gateway))
}

// home is a router with its hosts, on one LAN or on one each.
func (b *builder) home() error {
	router, err := b.router("router", b.Kind.Segments)
	if err != nil {
		return err
	}
	if b.Kind.Segments {
		for segment := range b.Kind.Hosts {
			if err := b.lan(router, segment, segment, 1); err != nil {
				return err
			}
		}
		return nil
	}
	return b.lan(router, 0, 0, b.Kind.Hosts)
}

// lan makes a router's LAN with some hosts on it. Subnets are of the site,
// devices of the router.
func (b *builder) lan(router string, device, subnet, hosts int) error {
	gateway := lanAddr(b.index, subnet, 1)
	bridge := fmt.Sprintf("lan%d", device)
	lines := []string{
		fmt.Sprintf("link add %s type bridge", bridge),
		fmt.Sprintf("addr add %v/%d dev %s", gateway, lanBits, bridge),
		fmt.Sprintf("link set %s up", bridge),
	}
	if b.Kind.HasIPv6 {
		lines = append(lines, fmt.Sprintf("addr add %v/%d dev %s nodad", lanAddr6(b.index, 1), lan6Bits, bridge))
	}
	if err := ip(router, lines...); err != nil {
		return err
	}
	for i := range hosts {
		addr := lanAddr(b.index, subnet, 2+i)
		addrs := []netip.Addr{addr}
		if b.Kind.HasIPv6 {
			addrs = append(addrs, lanAddr6(b.index, 2+i))
		}
		host, err := b.host(addrs...)
		if err != nil {
			return err
		}
		port := fmt.Sprintf("port%d.%d", device, i)
		if err := cable(router, port, host, "eth0"); err != nil {
			return err
		}
		if err := ip(router, fmt.Sprintf("link set %s master %s", port, bridge)); err != nil {
			return err
		}
		lines := []string{fmt.Sprintf("addr add %v/%d dev eth0", addr, lanBits), fmt.Sprintf("route add default via %v", gateway)}
		if b.Kind.HasIPv6 {
			lines = append(lines, fmt.Sprintf("addr add %v/%d dev eth0 nodad", addrs[1], lan6Bits),
				fmt.Sprintf("route add ::/0 via %v", lanAddr6(b.index, 1)))
		}
		if err := ip(host, lines...); err != nil {
			return err
		}
	}
	return nil
}

// carrier is a carrier's NAT with a home behind it for each host. Carriers keep
// their customers apart.
func (b *builder) carrier() error {
	carrier, err := b.router("carrier", true)
	if err != nil {
		return err
	}
	for i := range b.Kind.Hosts {
		home, err := b.net.create(b.Label, fmt.Sprintf("home%d", i), false)
		if err != nil {
			return err
		}
		if err := b.forwards(home); err != nil {
			return err
		}
		device := fmt.Sprintf("lan%d", i)
		if err := cable(carrier, device, home, "wan"); err != nil {
			return err
		}
		gateway := carrierAddr(b.index, i, 1)
		if err := ip(carrier, fmt.Sprintf("addr add %v/%d dev %s", gateway, carrierBits, device)); err != nil {
			return err
		}
		err = ip(home, fmt.Sprintf("addr add %v/%d dev wan", carrierAddr(b.index, i, 2), carrierBits),
			fmt.Sprintf("route add default via %v", gateway))
		if err != nil {
			return err
		}
		if err := nft(home, routerRules(b.Kind.Chain[0], false, lanAddr(b.index, i, 2))...); err != nil {
			return err
		}
		if err := b.lan(home, 0, i, 1); err != nil {
			return err
		}
	}
	return nil
}
