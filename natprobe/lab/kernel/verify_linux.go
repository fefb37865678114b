package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"pileus/natprobe/lab"
)

// settle is how long an answer may take beyond the delay of the lines. The
// machine may be busy.
const settle = 250 * time.Millisecond

// verify probes every host and compares with what its kind looks like.
func (n *Network) verify(ctx context.Context) error {
	e, err := newEcho(n.node)
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	errs := make([]error, len(n.sites), len(n.sites)+2)
	for i, s := range n.sites {
		work.Go(func() {
			if err := n.verifySite(ctx, s); err != nil {
				errs[i] = fmt.Errorf("site %s is not a %s: %w", s.Label, s.Kind.Name, err)
			}
		})
	}
	work.Wait()
	return errors.Join(append(errs, e.close(), ctx.Err())...)
}

func (n *Network) verifySite(ctx context.Context, s *site) error {
	v := verifier{ctx: ctx, site: s, patience: 4*n.internet.delay + 2*s.Extra + settle}
	for _, h := range s.hosts {
		if err := v.host(h); err != nil {
			return fmt.Errorf("host %v: %w", h, err)
		}
	}
	if len(s.hosts) == 2 {
		return v.neighbours()
	}
	return nil
}

type verifier struct {
	ctx context.Context
	*site
	patience time.Duration
}

// targets are three sockets of the node: one, the same address with another
// port, another address. An egress filter lets fewer through.
func (v *verifier) targets() (open, closed []netip.AddrPort) {
	all := []netip.AddrPort{
		netip.AddrPortFrom(lab.FirstNodeAddress, firstPort),
		netip.AddrPortFrom(lab.FirstNodeAddress, secondPort),
		netip.AddrPortFrom(lab.SecondNodeAddress, firstPort),
	}
	egress := v.Kind.Chain
	if len(egress) == 0 || len(egress[0].Egress) == 0 {
		return all, nil
	}
	for _, ip := range []netip.Addr{lab.FirstNodeAddress, lab.SecondNodeAddress} {
		at := netip.AddrPortFrom(ip, lab.NodePort)
		allowed := false
		for _, e := range egress[0].Egress {
			allowed = allowed || (e.Addr().IsUnspecified() || e.Addr() == ip) && e.Port() == lab.NodePort
		}
		if allowed {
			open = append(open, at)
		} else {
			all = append(all, at)
		}
	}
	return open, all
}

func (v *verifier) host(h *Host) error {
	if err := v.family(h, h.Addrs[0], v.Kind.Looks); err != nil {
		return err
	}
	if !v.Kind.HasIPv6 {
		return nil
	}
	p, err := newProber(h, h.Addrs[1], v.patience)
	if err != nil {
		return err
	}
	defer p.Close()
	seen, ok := p.ask(v.ctx, netip.AddrPortFrom(node6[0], firstPort), askStrangers)
	if !ok {
		return errors.New("no way to the node in IPv6")
	}
	p.await(netip.AddrPort{})
	if seen != localAddr(p) {
		return fmt.Errorf("%v is seen as %v", localAddr(p), seen)
	}
	if p.heard[netip.AddrPortFrom(node6[0], strangerPort)] || p.heard[netip.AddrPortFrom(node6[1], strangerPort)] {
		return errors.New("IPv6 lets in what is unsolicited")
	}
	return nil
}

func localAddr(p *prober) netip.AddrPort {
	a := p.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (v *verifier) family(h *Host, ip netip.Addr, want lab.Looks) error {
	p, err := newProber(h, ip, v.patience)
	if err != nil {
		return err
	}
	defer p.Close()
	open, closed := v.targets()
	if len(open) == 0 {
		return errors.New("there is no way to the node's main port")
	}
	var seen []netip.AddrPort
	for i, to := range open {
		command := byte(askSource)
		if i == len(open)-1 {
			command = askStrangers
		}
		at, ok := p.ask(v.ctx, to, command)
		if !ok {
			return fmt.Errorf("no way to %v", to)
		}
		seen = append(seen, at)
	}
	got, err := looks(localAddr(p), seen)
	if err != nil {
		return err
	}
	if got.Mapping != want.Mapping && len(open) == 3 {
		return fmt.Errorf("the mapping is %v, not %v: %v is seen as %v", got.Mapping, want.Mapping, localAddr(p), seen)
	}
	if want.Mapping != lab.NoTranslation && got.Allocation != want.Allocation {
		return fmt.Errorf("the allocation is %v, not %v: %v is seen as %v", got.Allocation, want.Allocation, localAddr(p), seen)
	}
	for _, to := range closed {
		_, _ = p.WriteToUDPAddrPort([]byte{askSource, 0, 0, 0, 0}, to) // refused is what it should be
	}
	p.await(netip.AddrPort{})
	for _, to := range closed {
		if p.heard[to] {
			return fmt.Errorf("there is a way to %v", to)
		}
	}
	if v.Kind.HostFirewalls {
		return nil // hides what the NAT filters
	}
	return v.filtering(h, ip, want.Filtering)
}

// looks is what the sources that three targets saw tell.
func looks(local netip.AddrPort, seen []netip.AddrPort) (l lab.Looks, err error) {
	first := seen[0]
	same := func(i int) bool { return i >= len(seen) || seen[i] == first }
	switch {
	case first == local && same(1) && same(2):
		l.Mapping = lab.NoTranslation
	case first.Addr() == local.Addr():
		return l, fmt.Errorf("%v is seen as %v", local, seen)
	case same(1) && same(2):
		l.Mapping = lab.EndpointIndependentMapping
	case same(1):
		l.Mapping = lab.AddressDependentMapping
	default:
		l.Mapping = lab.AddressAndPortDependentMapping
	}
	l.Allocation = lab.RandomPort
	switch {
	case first.Port() == local.Port():
		l.Allocation = lab.PreservePort
	case len(seen) == 3 && seen[1].Port()-first.Port() == 1 && seen[2].Port()-first.Port() == 2:
		l.Allocation = lab.StepPort
	}
	return l, nil
}

// filtering asks one socket of the node to have others send, from where the
// host never sent to.
func (v *verifier) filtering(h *Host, ip netip.Addr, want lab.Filtering) error {
	p, err := newProber(h, ip, v.patience)
	if err != nil {
		return err
	}
	defer p.Close()
	open, _ := v.targets()
	if _, ok := p.ask(v.ctx, open[0], askStrangers); !ok {
		return fmt.Errorf("no way to %v", open[0])
	}
	p.await(netip.AddrPort{})
	got := lab.AddressAndPortDependentFiltering
	switch {
	case p.heard[netip.AddrPortFrom(lab.SecondNodeAddress, strangerPort)]:
		got = lab.EndpointIndependentFiltering
	case p.heard[netip.AddrPortFrom(lab.FirstNodeAddress, strangerPort)]:
		got = lab.AddressDependentFiltering
	}
	if got != want {
		return fmt.Errorf("the filtering is %v, not %v", got, want)
	}
	return nil
}

// neighbours verifies how the two hosts of a site reach each other.
func (v *verifier) neighbours() error {
	var probers [2]*prober
	var public [2]netip.AddrPort
	for i, h := range v.hosts {
		p, err := newProber(h, h.Addrs[0], v.patience)
		if err != nil {
			return err
		}
		defer p.Close()
		probers[i] = p
		open, _ := v.targets()
		var ok bool
		if public[i], ok = p.ask(v.ctx, open[0], askSource); !ok {
			return fmt.Errorf("no way from %v to %v", h, open[0])
		}
	}
	// Both send, so that filters open; what is first may be lost to them.
	for range tries {
		for i, p := range probers {
			for _, to := range []netip.AddrPort{localAddr(probers[1-i]), public[1-i]} {
				_, _ = p.WriteToUDPAddrPort([]byte("hello"), to) // refused is an answer, too
			}
		}
	}
	for i, p := range probers {
		p.await(netip.AddrPort{})
		near, far := p.heard[localAddr(probers[1-i])], p.heard[public[1-i]]
		if want := !v.Kind.Segments && !v.Kind.Homes; near != want {
			return fmt.Errorf("host %v is reached by its own address: %v, not %v", v.hosts[i], near, want)
		}
		if want := v.Kind.Looks.Hairpin; far != want {
			return fmt.Errorf("host %v is reached by its public address: %v, not %v", v.hosts[i], far, want)
		}
	}
	return nil
}
