package introducer

import (
	"net/netip"
	"time"

	"pileus/natprobe"
	"pileus/rtmfp/share"
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
	cache *share.Cache[netip.AddrPort, remembered]
}

type remembered struct {
	at  time.Time
	obs []natprobe.Observation
}

func newEvidence() evidence {
	return evidence{share.NewCache[netip.AddrPort, remembered](maxRemembered, 0, 0)}
}

func (m *evidence) recall(now time.Time, addr netip.AddrPort) []natprobe.Observation {
	r, _ := m.cache.Get(addr)
	if now.Sub(r.at) > evidenceLife {
		return nil
	}
	return r.obs
}

func (m *evidence) keep(now time.Time, addr netip.AddrPort, obs []natprobe.Observation) {
	m.cache.Put(addr, remembered{now, obs}, addr.Addr())
	for old, r, ok := m.cache.Oldest(); ok && now.Sub(r.at) > evidenceLife; old, r, ok = m.cache.Oldest() {
		m.cache.Delete(old)
	}
}
