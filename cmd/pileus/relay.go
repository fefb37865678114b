package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	"pileus/cmd/pileus/api"
	"pileus/configs"
	"pileus/introducer"
	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/relay/splice"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// relayService is the splice relay and what ties it to introducer and engine.
type relayService struct {
	*splice.Relay
	guard *guard.Guard

	// For the engine's goroutine, of splices through which an IIKeying went: others
	// are nobody's concern.
	mu        sync.Mutex
	beginning []splice.Began
	endings   []splice.Ended
	news      chan struct{}
}

// openRelay makes the relay of the sockets that are there; none without a port.
func (n *node) openRelay() (err error) {
	ports := n.sockets.of(configs.UseRelay)
	if len(ports) == 0 {
		n.sockets.without(configs.UseRelay)
		return nil
	}
	s := &relayService{news: make(chan struct{}, 1), guard: guard.New(guard.Config{
		AllowPrivate: n.config.Relay.AllowPrivate, AllowOnLink: n.config.Relay.AllowOnLink, Names: n.names,
	})}
	cfg := splice.Config{
		Idle: n.config.Relay.Idle, MaxLifetime: n.config.Relay.MaxLifetime,
		Guard: s.guard, Limits: n.limits, Began: s.began, Ended: s.ended,
	}
	for _, p := range ports {
		cfg.Sockets = append(cfg.Sockets, p.packets)
	}
	if cfg.Shared, err = twins(n.sockets.of(configs.UseMain, configs.UseAlternate, configs.UseExtra)); err != nil {
		return err
	}
	if s.Relay, err = splice.New(cfg); err != nil {
		for _, w := range cfg.Shared {
			_ = w.Close()
		}
		return err
	}
	n.relay = s
	n.adviseBuffers()
	return nil
}

// twins are handles for the relay to the engine's sockets at which clients can be
// relayed.
func twins(ports []*socket) (list []splice.Writer, err error) {
	for _, p := range ports {
		twin, err := p.packets.Twin()
		if err != nil {
			for _, w := range list {
				_ = w.Close()
			}
			return nil, err
		}
		list = append(list, twin)
	}
	return list, nil
}

// adviseBuffers tells if the kernel granted the relay less than it needs not to
// lose bursts.
func (n *node) adviseBuffers() {
	granted, _ := n.sockets.of(configs.UseRelay)[0].packets.Buffers()
	if granted > 0 && granted < splice.PortBuffer {
		n.log.Warn("small receive buffers: the relay may lose packets in bursts",
			"granted", granted, "wanted", splice.PortBuffer, "try", "sysctl -w net.core.rmem_max="+strconv.Itoa(splice.PortBuffer))
	}
}

// serve relays until ctx ends. A relay that fails leaves the node to go on.
func (s *relayService) serve(ctx context.Context, log *slog.Logger) {
	if s == nil {
		return
	}
	if err := s.Serve(ctx); err != nil {
		log.Error("the relay failed; the node goes on without it", "error", err)
	}
}

// began and ended are called on the relay's goroutine.
func (s *relayService) began(b splice.Began) {
	s.mu.Lock()
	s.beginning = append(s.beginning, b)
	s.mu.Unlock()
	s.wake()
}

func (s *relayService) ended(e splice.Ended) {
	if !e.Keyed {
		return
	}
	s.mu.Lock()
	s.endings = append(s.endings, e)
	s.mu.Unlock()
	s.wake()
}

func (s *relayService) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// tell takes the beginnings and ends of splices to the introducer, until ctx ends.
func (s *relayService) tell(ctx context.Context, n *node) {
	if s == nil {
		return
	}
	for {
		select {
		case <-s.news:
			s.mu.Lock()
			beginning, endings := s.beginning, s.endings
			s.beginning, s.endings = nil, nil
			s.mu.Unlock()
			err := n.endpoint.Do(func(e *rtmfp.Engine) {
				for _, b := range beginning {
					n.intro.SpliceBegan(introducer.SpliceBegin{ID: b.ID, Initiator: b.Peers[0], Target: b.Peers[1], Addrs: b.Addrs})
				}
				for i := range endings {
					n.intro.SpliceEnded(e.Now(), spliceEnd(&endings[i]))
				}
			})
			if err != nil {
				return // the engine has ended
			}
		case <-ctx.Done():
			return
		}
	}
}

func spliceEnd(e *splice.Ended) introducer.SpliceEnd {
	end := introducer.SpliceEnd{ID: e.ID, Reason: e.Reason.String(), Duration: e.Totals.Duration, Standing: e.Standing}
	counts := [2]limit.Counts{e.Totals.Sent, e.Totals.Received}
	for i := range counts {
		c := &counts[(e.From+i)%2]
		end.Bytes[i], end.Packets[i] = c.Bytes, c.Packets
		end.Drops += c.Dropped()
		end.Marks += c.Marks
	}
	return end
}

// Splice implements introducer.Relay.
func (s *relayService) Splice(q introducer.SpliceRequest) (introducer.SpliceGrant, error) {
	party := func(p introducer.SpliceParty) splice.Party {
		return splice.Party{Peer: p.ID, Tenant: p.Tenant, Addr: p.Addr, Local: p.Local, At: p.At}
	}
	g, err := s.Open(splice.Request{
		Tag: q.Tag, EPD: q.EPD, Initiator: party(q.Initiator), Target: party(q.Target), Hold: q.Hold, Rebind: q.Rebind, Beside: q.Beside,
	})
	return introducer.SpliceGrant{Initiator: g.Initiator, Target: g.Target}, err
}

// foreign offers the relay what came to the engine's sockets and is not for it.
type foreign struct{ relay *splice.Relay }

func (f foreign) Packet(d rtmfp.Datagram) bool { return f.relay.Packet(d.Local, d.Peer, d.TOS, d.Data) }

func (f foreign) Startup(d rtmfp.Datagram, typ wire.ChunkType, body []byte) bool {
	return f.relay.Startup(d.Local, d.Peer, d.TOS, d.Data, typ, body)
}

// Splices implements api.Node.
func (o *operator) Splices(ctx context.Context) ([]api.Splice, error) {
	if o.relay == nil {
		return nil, nil
	}
	live, err := o.relay.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	var tenants map[uint64]string
	err = o.ask(ctx, func(*rtmfp.Engine) { tenants = o.intro.RelayedTenants() })
	list := make([]api.Splice, 0, len(live))
	for _, l := range live {
		v := api.Splice{
			ID: strconv.FormatUint(l.ID, 10), Tenant: tenants[l.ID], Target: l.Peers[1].String(),
			Relay: l.Relay, Sources: l.Sources, Since: l.Since,
			Bytes: [2]uint64{l.Totals.Sent.Bytes, l.Totals.Received.Bytes},
		}
		for i := range v.Relay {
			v.Relay[i] = o.names.Outside(v.Relay[i])
		}
		if l.Peers[0] != (flash.PeerID{}) {
			v.Initiator = l.Peers[0].String()
		}
		list = append(list, v)
	}
	return list, err
}

// EndSplice implements api.Node.
func (o *operator) EndSplice(ctx context.Context, id string) error {
	number, err := strconv.ParseUint(id, 10, 64)
	if err != nil || o.relay == nil {
		return api.ErrNotFound
	}
	live, err := o.relay.List(ctx)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if !slices.ContainsFunc(live, func(l splice.Live) bool { return l.ID == number }) {
		return api.ErrNotFound
	}
	o.relay.End(number)
	return nil
}
