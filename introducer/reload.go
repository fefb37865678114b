package introducer

import (
	"time"

	"pileus/introducer/tenant"
)

// Settings are what may change in a Node that runs: no session ends by it. They
// mean what they mean in Config.
type Settings struct {
	Anonymous   bool
	MaxPending  int
	ProbeRate   int
	NameArg     int
	VerdictLife time.Duration
	Tenants     []tenant.Config
	CoreKeys    map[string]string
	Ask         func(q Question, done func(Verdict))
	Limits      *Limits
}

// Reload puts settings in force, for what comes next.
func (n *Node) Reload(s Settings) {
	n.cfg.Anonymous, n.cfg.MaxPending, n.cfg.NameArg, n.cfg.VerdictLife = s.Anonymous, s.MaxPending, s.NameArg, s.VerdictLife
	n.cfg.Ask, n.cfg.ProbeRate, n.cfg.Limits = s.Ask, s.ProbeRate, s.Limits
	if n.cfg.Tenants != nil {
		n.cfg.Tenants.Set(s.Tenants)
	}
	if n.cfg.Cores != nil {
		n.cfg.Cores.Keys = s.CoreKeys // cores that have registered stay
	}
	n.cfg.fill()
	n.limits = *n.cfg.Limits
	n.setShares()
	n.gate.forget()
}
