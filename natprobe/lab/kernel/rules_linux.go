package kernel

import (
	"fmt"
	"net/netip"

	"pileus/natprobe/lab"
)

// canBeKernel reports whether nftables can do what b says.
func canBeKernel(b lab.Behavior) bool {
	if b.Mapping == lab.NoTranslation {
		return b.Filtering == lab.AddressAndPortDependentFiltering
	}
	if b.Forwards {
		return true
	}
	return b.Mapping == lab.AddressAndPortDependentMapping && b.Filtering == lab.AddressAndPortDependentFiltering &&
		(b.Allocation == lab.PreserveFlowPort || b.Allocation == lab.RandomPort) && !b.Hairpin
}

// routerRules make b of a router whose way out is wan and whose LANs are lan0,
// lan1 and so on. If it forwards every port, then to host.
func routerRules(b lab.Behavior, segments bool, host netip.Addr) []string {
	var rules []string
	add := func(format string, args ...any) { rules = append(rules, fmt.Sprintf(format, args...)) }
	// A firewall that drops before conntrack confirms leaves no trace of what was
	// unsolicited. Without one (b.Unsolicited) such a packet takes its tuple.
	policy := "drop"
	if b.Unsolicited {
		policy = "accept"
	}
	add("table inet filter {")
	add(" chain input {")
	add("  type filter hook input priority 0; policy %s;", policy)
	add("  ct state established,related accept")
	add("  meta l4proto != udp accept")
	add(" }")
	add(" chain forward {")
	add("  type filter hook forward priority 0; policy %s;", policy)
	add("  ct state established,related accept")
	if segments {
		add(`  iifname "lan*" oifname "lan*" drop`)
	}
	if b.Forwards {
		add("  ct status dnat accept")
	}
	for _, e := range b.Egress {
		match := ""
		if !e.Addr().IsUnspecified() {
			match += fmt.Sprintf("ip daddr %v ", e.Addr())
		}
		if e.Port() != 0 {
			match += fmt.Sprintf("udp dport %d ", e.Port())
		}
		add(`  iifname "lan*" %saccept`, match)
	}
	if len(b.Egress) > 0 {
		add(`  iifname "lan*" meta l4proto udp drop`)
	}
	add(`  iifname "lan*" accept`)
	add(" }")
	add("}")
	if b.Mapping != lab.NoTranslation {
		how, udp := "", ""
		if b.Allocation == lab.RandomPort {
			how = " random,fully-random"
		}
		if b.Ports[1] > 0 {
			udp = fmt.Sprintf(`  oifname "wan" meta l4proto udp masquerade to :%d-%d%s`, b.Ports[0], b.Ports[1], how)
		}
		add("table ip nat {")
		if b.Forwards {
			add(" chain prerouting {")
			add("  type nat hook prerouting priority -100;")
			add(`  iifname "wan" meta l4proto udp dnat to %v`, host)
			add(" }")
		}
		add(" chain postrouting {")
		add("  type nat hook postrouting priority 100;")
		add("%s", udp)
		add(`  oifname "wan" masquerade%s`, how)
		add(" }")
		add("}")
	}
	return rules
}

// segmentRules keep the LANs of a router apart that does nothing else.
func segmentRules() []string {
	return []string{
		"table inet filter {",
		" chain forward {",
		"  type filter hook forward priority 0; policy accept;",
		`  iifname "lan*" oifname "lan*" drop`,
		" }",
		"}",
	}
}

// hostRules are a firewall on a host.
func hostRules() []string {
	return []string{
		"table inet filter {",
		" chain input {",
		"  type filter hook input priority 0; policy drop;",
		`  iifname "lo" accept`,
		"  ct state established,related accept",
		"  meta l4proto { icmp, ipv6-icmp } accept",
		" }",
		"}",
	}
}
