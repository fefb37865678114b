package configs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Bounds on single values. Outside them a node would start and then not work.
const (
	minMessage  = 1 << 10  // bytes: a connect with its arguments must fit
	maxMessage  = 16 << 20 // bytes: one message is held in memory whole
	maxHostname = 255      // bytes: it travels in every RHello

	// Peers keep sessions alive every 10 s; a splice must outlive two losses.
	minRelayIdle = 30 * time.Second

	maxNameArg = 16
)

// Validate checks how the values go together. The error joins an *Error for
// every mistake, with the place where the key was written.
func (c *Config) Validate() error { return Join(c.judge().errs...) }

// Join is errors.Join of mistakes, each once, in the order of their lines.
func Join(errs ...error) error {
	var list []error
	var flatten func(error)
	flatten = func(err error) {
		if all, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range all.Unwrap() {
				flatten(one)
			}
		} else if err != nil && !slices.ContainsFunc(list, func(have error) bool { return have.Error() == err.Error() }) {
			list = append(list, err)
		}
	}
	for _, err := range errs {
		flatten(err)
	}
	line := func(err error) int {
		if e, ok := errors.AsType[*Error](err); ok && e.Origin.Line > 0 {
			return e.Origin.Line
		}
		return math.MaxInt
	}
	slices.SortStableFunc(list, func(a, b error) int { return cmp.Compare(line(a), line(b)) })
	return errors.Join(list...)
}

func (c *Config) judge() *validator {
	v := &validator{config: c}
	v.basics()
	v.shares()
	v.addresses()
	v.ports()
	v.operator()
	v.secrets()
	return v
}

type validator struct {
	config         *Config
	errs, warnings []error
}

func (v *validator) fail(key, format string, args ...any) {
	if v.config.broken[key] {
		return // it was told that the value cannot be read; the one here is another
	}
	v.errs = append(v.errs, v.problem(key, format, args...))
}

func (v *validator) warn(key, format string, args ...any) {
	v.warnings = append(v.warnings, v.problem(key, format, args...))
}

// problem is at the key, or at the section that it would be in.
func (v *validator) problem(key, format string, args ...any) error {
	o, written := v.config.Origin(key)
	for at := key; !written && strings.Contains(at, "."); {
		at = at[:strings.LastIndexByte(at, '.')]
		o, written = v.config.Origin(at)
	}
	return &Error{Origin: o, Key: key, Problem: fmt.Sprintf(format, args...)}
}

func (v *validator) check(ok bool, key, format string, args ...any) {
	if !ok {
		v.fail(key, format, args...)
	}
}

func (v *validator) basics() {
	c := v.config
	v.check(len(c.Hostname) <= maxHostname, "hostname", "%d bytes long; at most %d", len(c.Hostname), maxHostname)
	v.check(!slices.ContainsFunc([]byte(c.Hostname), func(b byte) bool { return b <= ' ' || b > '~' }),
		"hostname", "%q is not a host name: no spaces, ASCII only", c.Hostname)
	v.check(c.MaxMessage >= minMessage && c.MaxMessage <= maxMessage,
		"max_message", "%v is not between %v and %v", c.MaxMessage, Size(minMessage), Size(maxMessage))
	v.check(c.Probe.Rate > 0, "probe.rate", "must be above 0")
	v.check(c.Relay.Idle >= minRelayIdle, "relay.idle", "%v is shorter than %v: peers are silent for longer", c.Relay.Idle, minRelayIdle)
	v.check(c.Limits.PendingIntroductions > 0, "limits.pending_introductions", "must be above 0: nobody could be introduced")
	quotas := map[string]RelayQuota{"limits.splices": c.Limits.Splices, "limits.allocations": c.Limits.Allocations}
	for _, key := range slices.Sorted(maps.Keys(quotas)) {
		q := quotas[key]
		v.check(q.Prefix >= 0, key+".prefix", "%d is below 0, which is no quota", q.Prefix)
		v.check(q.Total >= 0, key+".total", "%d is below 0, which is no quota", q.Total)
	}
	v.check(c.Presence.NameArg >= 0 && c.Presence.NameArg <= maxNameArg,
		"presence.name_arg", "%d is not between 0 (off) and %d", c.Presence.NameArg, maxNameArg)
	for i, a := range c.TURN.Alternates {
		v.check(usable(a), "turn.alternates", "%v is not the address of one node", a)
		v.check(!slices.Contains(c.TURN.Alternates[:i], a), "turn.alternates", "%v is there twice", a)
	}
	v.check((c.TURN.TLS.Cert == "") == (c.TURN.TLS.Key == ""), "turn.tls", "cert and key go together: one of them is empty")
}

func (v *validator) addresses() {
	c := v.config
	v.check(len(c.Listen) > 0, "listen", "is empty: a node needs at least one address")
	lists := map[string][]Listen{"listen": c.Listen, "turn.listen": c.TURN.Listen, "turn.tls.listen": c.TURN.TLS.Listen}
	for _, key := range slices.Sorted(maps.Keys(lists)) {
		list := lists[key]
		for i, l := range list {
			v.check(!slices.Contains(list[:i], l) || l.Port() == 0, key, "%v is there twice", l)
			v.check(!l.addr.Addr().IsMulticast(), key, "%v is a multicast address", l)
		}
	}
	for i, a := range c.Alternate {
		v.check(usable(a), "alternate", "%v is not the address of one interface", a)
		v.check(!slices.Contains(c.Alternate[:i], a), "alternate", "%v is there twice", a)
	}
	outside := map[netip.Addr]netip.Addr{}
	for _, bind := range slices.SortedFunc(maps.Keys(c.Public), netip.Addr.Compare) {
		name := c.Public[bind]
		v.check(usable(bind), "public", "%v is not the address of one interface", bind)
		v.check(usable(name), "public", "%v is not an address that others could send to", name)
		v.check(bind.Is4() == name.Is4(), "public", "%v and %v are not of one family", bind, name)
		if other, twice := outside[name]; twice {
			v.fail("public", "%v stands for both %v and %v: one name, one address", name, min(bind.String(), other.String()), max(bind.String(), other.String()))
		}
		outside[name] = bind
	}
	v.check(!c.Admin.Listen.IsValid() || !c.Admin.Listen.Addr().IsMulticast(), "admin.listen", "%v is a multicast address", c.Admin.Listen)
}

// usable reports whether a can be bound, or sent to, as one address.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast()
}

// ports refuses one port given two tasks, and lists that name one twice.
func (v *validator) ports() {
	c := v.config
	v.check(c.TURN.Ports.Len() > 0, "turn.ports", "names no port")
	for i, p := range c.Relay.Extra {
		v.check(!slices.Contains(c.Relay.Extra[:i], p), "relay.extra", "%d is there twice", p)
	}
	for i, p := range c.STUN.Ports {
		v.check(!slices.Contains(c.STUN.Ports[:i], p), "stun.ports", "%d is there twice", p)
	}
	if len(c.Listen) == 0 {
		return // of the rest nothing can be said
	}
	ways, mistakes := c.overlaps()
	for _, g := range ways {
		v.warn(g.Use.Key(), "port %v belongs to %s, and is left out here", g.Ports, g.To.Key())
	}
	for _, m := range mistakes {
		v.fail(m.Use.Key(), "port %v belongs to %s too%s", m.Ports, m.To.Key(), v.unwritten(m.To))
	}
	v.check(c.TURN.Ports.Len() == 0 || c.AllocationPorts().Len() > 0 || len(c.TURN.Users)+len(c.TURN.Secrets) == 0,
		"turn.ports", "%v: all of these belong to other keys, and clients of TURN get no relay; name others", c.TURN.Ports)
}

// unwritten says where ports come from that nobody wrote.
func (v *validator) unwritten(u Use) string {
	if _, named := v.config.Origin(u.Key()); named || u != UseMain {
		return ""
	}
	return fmt.Sprintf(", which is %v unless it says otherwise", v.config.Listen[0])
}
