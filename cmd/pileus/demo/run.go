package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab/memory"
)

// Config says how the demonstration goes. Zero values are the defaults.
type Config struct {
	// Delay is how long a packet takes between any two sites; 0 is DefaultDelay.
	Delay time.Duration
	// Speed is how many seconds pass in the simulated network in one of the
	// audience's; 0 is as many as this machine can.
	Speed float64
}

// DefaultDelay makes a round trip of 40 ms.
const DefaultDelay = 20 * time.Millisecond

// Audience is told what happens, as it happens.
type Audience interface {
	Classified(Peer)
	Met(Meeting)
	Limited(Limited)
}

// Peer is what the node found out about a peer.
type Peer struct {
	Name     string         `json:"name"`
	NAT      string         `json:"nat"` // what it is behind
	Inside   netip.AddrPort `json:"inside"`
	Outside  netip.AddrPort `json:"outside"` // as the node sees it
	Class    natprobe.Class `json:"class"`
	Mapping  string         `json:"mapping"`
	Filter   string         `json:"filtering"`
	Millis   int64          `json:"ms"` // since it connected
	Expected natprobe.Class `json:"expected"`
	OK       bool           `json:"ok"`
}

// Meeting is what became of one peer's wish to meet another.
type Meeting struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Path     Path   `json:"path"`
	Strategy string `json:"strategy"`
	Why      string `json:"why"`
	Address  string `json:"address,omitempty"` // at which the other was met
	Millis   int64  `json:"ms,omitempty"`      // until the session was open
	Expected Path   `json:"expected"`
	OK       bool   `json:"ok"`
}

// Times in the simulated network. What takes long also waits for so many packets
// one after the other.
const (
	connectWithin  = 2 * time.Second
	classifyWithin = 4 * time.Second
	meetWithin     = 800 * time.Millisecond // what takes longer did not work at once
	crossings      = 20
	pause          = 100 * time.Millisecond // between two meetings
	tick           = 10 * time.Millisecond  // between looks at the audience's clock
)

// Run plays it all. It returns nil if everything went as expected, the context's
// error if that ended first, and else what did not.
func Run(ctx context.Context, c Config, a Audience) error {
	if c.Delay == 0 {
		c.Delay = DefaultDelay
	}
	net := memory.New(time.Unix(0, 0).AddDate(30, 0, 0)) // engines need some time in the past
	net.SetPath(memory.Path{Delay: c.Delay})
	s, err := newStage(net, DefaultLimit)
	if err != nil {
		return err
	}
	clock := &pacer{ctx: ctx, net: net, delay: c.Delay, speed: c.Speed, began: time.Now(), start: net.Now()}
	mistaken := s.classify(clock, a)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	mistaken = errors.Join(mistaken, s.meet(clock, a))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(mistaken, s.limited(clock, a))
}

// classify waits for the node to know everybody's NAT.
func (s *stage) classify(clock *pacer, a Audience) error {
	connected := func() bool {
		for _, p := range s.people {
			if !p.connected {
				return false
			}
		}
		return true
	}
	if ok, err := clock.wait(clock.within(connectWithin), connected); err != nil || !ok {
		return errors.Join(err, unless(ok, "not everybody could connect"))
	}
	told := make(map[string]bool)
	wrong := 0
	_, err := clock.wait(clock.within(classifyWithin), func() bool {
		for _, p := range s.people {
			e, known := s.classified[p.id()]
			if !known || told[p.name] {
				continue
			}
			told[p.name] = true
			peer := Peer{
				Name: p.name, NAT: p.behind().Text, Inside: p.inside, Outside: e.Peer.Addr, Class: e.Peer.Class,
				Mapping: e.Behavior.Mapping.String(), Filter: e.Behavior.Filtering.String(),
				Millis: e.At.Sub(e.Peer.Since).Milliseconds(), Expected: p.class, OK: e.Peer.Class == p.class,
			}
			if !peer.OK {
				wrong++
			}
			a.Classified(peer)
		}
		return len(told) == len(s.people)
	})
	return errors.Join(err, unless(err != nil || len(told) == len(s.people), "the node does not know everybody's NAT"),
		unless(wrong == 0, fmt.Sprintf("%d NATs were taken for another kind", wrong)))
}

// meet has every two peers meet once.
func (s *stage) meet(clock *pacer, a Audience) error {
	wrong := 0
	for i, p := range s.people {
		for _, other := range s.people[i+1:] {
			// Who asks must not matter: it is each side's turn now and then.
			from, to := p, other
			if (i+len(to.name))%2 == 1 {
				from, to = other, p
			}
			m, err := s.visit(clock, from, to)
			if err != nil {
				return err
			}
			if !m.OK {
				wrong++
			}
			a.Met(m)
		}
	}
	return unless(wrong == 0, fmt.Sprintf("%d meetings did not go as expected", wrong))
}

func (s *stage) visit(clock *pacer, from, to *person) (Meeting, error) {
	m := Meeting{From: from.name, To: to.name, Expected: expected(from.role, to.role)}
	v, err := from.look(to.name)
	if err != nil {
		return m, fmt.Errorf("%s: %w", from.name, err)
	}
	if _, err := clock.wait(clock.within(meetWithin), v.done); err != nil {
		return m, err
	}
	plan := s.introduced[from.id()]
	if plan.Target.ID == to.id() {
		m.Strategy, m.Why = plan.Plan.Strategy.String(), plan.Plan.Why
	}
	if v.text == "hello from "+to.name {
		m.Path = s.path(v, to)
		m.Address, m.Millis = v.addr.String(), v.took.Milliseconds()
	}
	m.OK = m.Path == m.Expected
	v.leave()
	_, err = clock.wait(pause, nil)
	return m, err
}

// path is the way that a visit took.
func (s *stage) path(v *visit, to *person) Path {
	switch _, relayed := s.relay.socket[v.addr]; {
	case relayed:
		return Relayed
	case v.addr == to.inside:
		return Local
	default:
		return Direct
	}
}

// unless is an error if something is not so.
func unless(ok bool, text string) error {
	if ok {
		return nil
	}
	return errors.New(text)
}

// pacer lets simulated time pass no faster than the audience can follow.
type pacer struct {
	ctx   context.Context //nolint:containedctx // it ends one run, as the argument of every method would
	net   *memory.Network
	delay time.Duration
	speed float64
	began time.Time
	start time.Time // simulated
}

// within is d and the time that packets take.
func (p *pacer) within(d time.Duration) time.Duration { return d + crossings*p.delay }

// wait lets d pass, or less if done says so, which it reports.
func (p *pacer) wait(d time.Duration, done func() bool) (bool, error) {
	for end := p.net.Now().Add(d); ; {
		left := end.Sub(p.net.Now())
		ok := p.net.WaitUntil(min(left, tick), done)
		if err := p.catchUp(); err != nil || ok || left <= tick {
			return ok, err
		}
	}
}

// catchUp waits for the audience.
func (p *pacer) catchUp() error {
	if p.speed == 0 {
		return p.ctx.Err()
	}
	played := time.Duration(float64(p.net.Now().Sub(p.start)) / p.speed)
	select {
	case <-p.ctx.Done():
	case <-time.After(time.Until(p.began.Add(played))):
	}
	return p.ctx.Err()
}
