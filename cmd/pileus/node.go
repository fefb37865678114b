package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"pileus/cmd/pileus/admin"
	"pileus/configs"
	"pileus/introducer"
	"pileus/introducer/tenant"
	"pileus/relay/limit"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
)

// closeGrace is how long sessions get to acknowledge their end. One that does
// not has lost its client, or two packets.
const closeGrace = 3 * time.Second

// node is everything serve runs. build makes it from a configuration; open
// gives it sockets.
type node struct {
	config *configs.Config
	log    *slog.Logger
	wall   clock
	names  udp.Names
	intro  *introducer.Node // on the engine's goroutine
	engine rtmfp.Config
	admin  *admin.Server
	limits *limit.Controller // of splices and TURN

	certificates certificates

	hooks    *hooks
	operator *operator

	sockets       *sockets
	stun          *stunService
	turn          *turnService
	relay         *relayService // nil: none
	endpoint      *rtmfp.Endpoint
	adminListener net.Listener // nil: none

	looking  sync.Mutex    // at the machine
	trusted  trustedAddrs  // alternates that nobody named
	nameless bool          // that an address lacks its outside name was told; the engine's
	asking   chan struct{} // holds one token while the engine is asked
}

// build makes a node that goes by a clock. All that can be wrong with a configuration shows here,
// before the first socket, so check stops after it.
func build(cfg *configs.Config, log *slog.Logger, wall clock) (*node, error) {
	n := &node{config: cfg, log: log, wall: wall, asking: make(chan struct{}, 1), trusted: trustedAddrs{news: make(chan struct{}, 1)}}
	identity, err := flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: !front(cfg), Hostname: cfg.Hostname})
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	if n.names, err = udp.NewNames(outsideNames(cfg)); err != nil {
		return nil, fmt.Errorf("public: %w", err)
	}
	n.engine = rtmfp.Config{
		Identity:       identity,
		Policy:         sessionPolicy(cfg),
		HandshakeRate:  handshakeRate(cfg),
		HandshakeBurst: handshakeBurst,
		MaxMessage:     int(cfg.MaxMessage),
		Shared:         sharedLimits(cfg),
	}
	limits := relayLimits(cfg)
	limits.Wall = wall
	n.limits = limit.New(limits, nil)
	if n.certificates, err = readCertificates(cfg); err != nil {
		return nil, err
	}
	n.certificates.logTo(log)
	if err := n.operate(); err != nil {
		return nil, err
	}
	return n, nil
}

// handshakeBurst is the sessions that one prefix may open before
// limits.handshakes_per_prefix holds it back.
const handshakeBurst = 200

// open binds the sockets. After an error none is left.
func (n *node) open() (err error) {
	if n.sockets, err = openSockets(n.config, n.log); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			n.sockets.close()
		}
	}()
	if err = n.openRelay(); err != nil {
		return err
	}
	n.intro = introducer.New(n.introductions())
	n.stun = newSTUNService(n.sockets, n.names, int(n.config.Limits.AnswersPerPrefix), n.trusted.has, n.log)
	n.engine.Handler, n.engine.Silent, n.engine.Beside = n.intro, n.sockets.silent, n.stun.responder.beside
	if n.relay != nil {
		n.engine.Foreign = foreign{n.relay.Relay}
	}
	if err = n.openTURN(); err != nil {
		return err
	}
	if n.endpoint, err = rtmfp.NewEndpoint(n.engine, n.sockets.forEngine(), closeGrace); err != nil {
		return err
	}
	for _, p := range n.sockets.of(configs.UseSTUN, configs.UseTURN, configs.UseTURNStream, configs.UseTURNTLS) {
		n.handOver(p)
	}
	if admin := n.sockets.of(configs.UseAdmin); len(admin) > 0 {
		n.adminListener = admin[0].stream
		if c := n.certificates["admin.tls"]; c != nil {
			n.adminListener = tls.NewListener(n.adminListener, c.Config())
		}
	}
	n.judge(n.sockets.machine)
	return nil
}

// introductions says what the introducer may use.
func (n *node) introductions() introducer.Config {
	at := n.introducerSockets()
	s := n.settingsOf(n.config)
	c := introducer.Config{
		Anonymous:  n.config.Introduce.Anonymous,
		MaxPending: n.config.Limits.PendingIntroductions,
		Probes:     at.Probes,
		Routes:     at.Routes,
		Alternates: at.Alternates,
		Candidates: at.Candidates,
		Judged:     n.judged,
		ProbeRate:  int(n.config.Probe.Rate),
		NameArg:    n.config.Presence.NameArg,
		Unread:     noneBelow(int(n.config.Limits.Unread)),
		Limits:     s.Limits,
		Names:      n.names,
		Cores:      n.cores(),
		Tenants:    tenant.New(s.Tenants),
		Wall:       n.wall,
		Ask:        s.Ask, VerdictLife: s.VerdictLife,
		Observe: func(e introducer.Event) {
			n.operator.recorder.Record(e)
			n.hooks.tell(e)
			n.missName(&e)
		},
		Log: n.log,
	}
	switch {
	case n.relay != nil:
		c.Relay = n.relay
	case n.config.Relay.Ports == (configs.PortRange{}):
		c.NoRelay = "relay.ports is empty"
	default:
		c.NoRelay = "none of relay.ports could be opened"
	}
	return c
}

func (n *node) introducerSockets() introducer.Sockets {
	return introducer.Sockets{
		Probes: n.sockets.at(configs.UseProbe),
		// The main ports come first: most firewalls that let anything out let it out
		// there.
		Routes:     n.sockets.at(configs.UseMain, configs.UseAlternate, configs.UseExtra),
		Alternates: n.sockets.alternates(),
		Candidates: n.sockets.candidates(n.names),
	}
}

// ask runs f on the engine's goroutine, or gives up with ctx: then f has not run, and
// will not, so what it was to fill in is the caller's. One asks at a time: a stuck
// engine must not gather those who wait for it.
func (n *node) ask(ctx context.Context, f func(*rtmfp.Engine)) error {
	select {
	case n.asking <- struct{}{}:
	case <-ctx.Done():
		return errSilent
	}
	var decided atomic.Bool // that it runs, or that it does not
	ran := make(chan error, 1)
	go func() {
		ran <- n.endpoint.Do(func(e *rtmfp.Engine) {
			if decided.CompareAndSwap(false, true) {
				f(e)
			}
		})
		<-n.asking
	}()
	select {
	case err := <-ran:
		return err
	case <-ctx.Done():
		if decided.CompareAndSwap(false, true) {
			return errSilent
		}
		return <-ran
	}
}

var errSilent = errors.New("the engine does not answer")

func (n *node) banner() *banner {
	b := &banner{names: n.names, fingerprint: n.engine.Identity.PeerID().String(), turn: n.turn, links: n.turn.server.Links()}
	b.files = n.sockets.files.row(n.turn.server.MaxStreams())
	if relaysTURN(&n.config.TURN) {
		b.relays = n.config.AllocationPorts()
	}
	for u := range b.at {
		b.at[u] = n.sockets.at(configs.Use(u))
	}
	if found := n.sockets.candidates(n.names); len(found) > 0 {
		b.advice = fmt.Sprintf("; %s is tried as a second address, and used once clients have answered there (probe.find_alternate)", commas(found))
	} else if len(b.at[configs.UseProbe]) > 0 && len(n.config.Alternate) == 0 {
		b.advice = "; a second address, --alternate IP, tells every kind of NAT apart"
	}
	if n.adminListener != nil {
		b.admin = "http://" + n.adminListener.Addr().String()
		if n.config.Admin.TLS.Cert != "" {
			b.admin = "https" + b.admin[len("http"):]
		}
	}
	return b
}

// front tells whether the node stands in front of core servers: then clients that
// ask for a URI are theirs, and only cores open sessions with it.
func front(cfg *configs.Config) bool { return len(cfg.Cores.Keys) > 0 }

func (n *node) cores() *introducer.CoresConfig {
	if !front(n.config) {
		return nil
	}
	return &introducer.CoresConfig{Keys: n.config.Cores.Keys, OtherFamilies: n.config.Cores.OtherFamilies}
}

// sessionPolicy: cores prove themselves by passwords, so their sessions must be
// beyond forgery.
func sessionPolicy(cfg *configs.Config) flash.Policy {
	if front(cfg) {
		return policy(configs.HMACRequire)
	}
	return policy(cfg.HMAC)
}

func outsideNames(cfg *configs.Config) map[string]string {
	pairs := make(map[string]string, len(cfg.Public))
	for bind, name := range cfg.Public {
		pairs[bind.String()] = name.String()
	}
	return pairs
}

// policy is how sessions protect their packets. HMAC and sequence numbers go
// together: one without the other leaves replay or forgery open.
func policy(h configs.HMAC) flash.Policy {
	if h == configs.HMACRequire {
		return flash.Policy{HMAC: flash.Require, SSEQ: flash.Require}
	}
	return flash.Policy{HMAC: flash.Offer, SSEQ: flash.Offer}
}
