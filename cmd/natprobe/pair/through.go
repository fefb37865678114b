package pair

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pileus/natprobe/relayed"
	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
)

// relayWithin is how long after a call a node has planned it.
const relayWithin = 2 * time.Second

// Through measures the relay that a node has for RTMFP peers: two clients of this
// host meet by it. The node need not know. It introduces them at once, before it
// has found out what their NAT does, and so names a relay beside their own
// addresses; these they refuse, as a firewall would. Of c, the code and Ready are
// not used.
func Through(ctx context.Context, c Config) (relayed.Result, error) {
	result := relayed.Result{Schema: relayed.Schema, Server: c.Server.String(), Over: relayed.Splice, Asked: c.Rate}
	sides, err := fenced(c)
	if err != nil {
		return result, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	waits, calls := sides[0], sides[1]
	ready, waited := make(chan struct{}), make(chan struct{})
	waits.cfg.Ready = func() { close(ready) }
	var far Report
	var failed error
	go func() {
		defer close(waited)
		far, failed = waits.run(ctx)
	}()
	select {
	case <-ready:
	case <-waited:
		calls.closeSockets()
		return result, failed
	}
	report, err := calls.run(ctx)
	if err != nil || report.Path == NotMet {
		cancel()
		<-waited
		if err == nil {
			err = fmt.Errorf("no relay joins two clients of this host: %s", report.Reason)
		}
		return result, err
	}
	<-waited // with what it received, if it could not tell the other
	result.Relayed, result.Asked = report.Far, report.Asked
	result.Seconds = calls.cfg.Time.Seconds()
	result.RTT, result.LoadedRTT = report.RTT.Median, report.LoadedRTT.Median
	result.ToRelay, result.Back, result.Notes = far.In.relayed(), report.In.relayed(), report.Notes
	return result, nil
}

func (w Way) relayed() relayed.Way {
	return relayed.Way{Sent: w.Sent, Received: w.Received, Loss: w.Loss, PacketLoss: w.FragmentLoss, Rate: w.Rate, Jitter: w.Jitter}
}

// fenced makes two sides that reach the node, and nobody else.
func fenced(c Config) (sides [2]*runner, err error) {
	any4or6 := netip.IPv6Unspecified()
	if c.Server.Addr().Is4() {
		any4or6 = netip.IPv4Unspecified()
	}
	c.Code = NewCode()
	own := make(map[uint16]bool)
	for i := range sides {
		c.First = i == 0
		r, err := newRunner(c)
		if err != nil {
			return sides, err
		}
		s, err := udp.Listen(netip.AddrPortFrom(any4or6, 0), udp.Options{})
		if err != nil {
			if i > 0 {
				sides[0].closeSockets()
			}
			return sides, fmt.Errorf("cannot open a UDP socket: %w", err)
		}
		own[s.LocalAddr().Port()] = true
		r.sockets = []rtmfp.Socket{&fence{Socket: s, nodes: append([]netip.AddrPort{c.Server}, c.Others...), own: own}}
		r.limits.settle = 0
		sides[i] = r
	}
	sides[0].cfg.Phase = func(string) {} // one tells enough
	return sides, nil
}

func (r *runner) closeSockets() {
	for _, s := range r.sockets {
		_ = s.Close()
	}
}

// unrelayed gives up where the node's plan has no relay: nothing else can join
// the two.
func (r *runner) unrelayed(id flash.PeerID) {
	if r.far != nil || r.ending {
		return
	}
	r.explain(id, func() {
		if r.far != nil || r.ending || r.relayAt.IsValid() {
			return
		}
		if r.report.Reason == "" {
			r.fail(errors.New("the node relays nothing, or may not do so for this host"))
			return
		}
		r.missed("the node names no relay")
	})
}

// fence is a socket from and to a node alone. On the node's own machine the
// addresses are the same, and ports tell who is who.
type fence struct {
	rtmfp.Socket
	nodes []netip.AddrPort // all that the node may be at
	own   map[uint16]bool  // of both ends; not changed any more
}

func (f *fence) passes(a netip.AddrPort) bool {
	return !f.own[a.Port()] && slices.ContainsFunc(f.nodes, func(n netip.AddrPort) bool { return n.Addr() == a.Addr() })
}

// ReadBatch reads what passes, and waits for it.
func (f *fence) ReadBatch(d []udp.Datagram) (int, error) {
	for {
		n, err := f.Socket.ReadBatch(d)
		if n = f.sift(d[:n]); n > 0 || err != nil {
			return n, err
		}
	}
}

// WriteBatch writes what passes; the rest is gone, as behind a firewall.
func (f *fence) WriteBatch(d []udp.Datagram) (int, error) {
	if n := f.sift(d); n > 0 {
		if _, err := f.Socket.WriteBatch(d[:n]); err != nil {
			return 0, err
		}
	}
	return len(d), nil
}

// sift moves what passes to the front. The buffers stay in the slice: they are
// used again.
func (f *fence) sift(d []udp.Datagram) int {
	n := 0
	for i := range d {
		if f.passes(d[i].Peer) {
			d[n], d[i] = d[i], d[n]
			n++
		}
	}
	return n
}
