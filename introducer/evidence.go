package introducer

import (
	"net/netip"
	"time"

	"pileus/natprobe"
)

const (
	// evidenceLife is how long filter probes are not repeated: a mapping probe
	// leaves state in the NAT that lets later filter probes pass.
	evidenceLife = 10 * time.Minute
	// maxRemembered bounds the observed addresses whose evidence is kept.
	maxRemembered = 1 << 15
)

// evidence remembers what probes of an observed address found.
type evidence struct {
	byAddr map[netip.AddrPort]remembered
	order  []netip.AddrPort // oldest first
}

type remembered struct {
	at  time.Time
	obs []natprobe.Observation
}

func (m *evidence) recall(now time.Time, addr netip.AddrPort) []natprobe.Observation {
	r := m.byAddr[addr]
	if now.Sub(r.at) > evidenceLife {
		return nil
	}
	return r.obs
}

func (m *evidence) keep(now time.Time, addr netip.AddrPort, obs []natprobe.Observation) {
	if m.byAddr == nil {
		m.byAddr = make(map[netip.AddrPort]remembered)
	}
	if _, known := m.byAddr[addr]; !known {
		m.order = append(m.order, addr)
	}
	m.byAddr[addr] = remembered{now, obs}
	for len(m.order) > 0 && (len(m.order) > maxRemembered || now.Sub(m.byAddr[m.order[0]].at) > evidenceLife) {
		delete(m.byAddr, m.order[0])
		m.order = m.order[1:]
	}
}
