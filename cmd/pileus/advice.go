package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v2"

	"pileus/configs"
	"pileus/introducer"
	"pileus/rtmfp/udp"
)

const (
	// wantFiles is the open files that a node should be allowed: a TURN server
	// needs one for each allocation.
	wantFiles = 4096
	// reachTimeout is how long an outside name has to answer.
	reachTimeout = 2 * time.Second
)

// advice is what an operator should put right on this machine.
func (n *node) advice() []string {
	var lines []string
	least := udp.DefaultReceiveBuffer
	for _, p := range n.sockets.of(configs.UseMain) {
		receive, _ := p.packets.Buffers()
		least = min(least, receive)
	}
	if least < udp.DefaultReceiveBuffer {
		lines = append(lines, fmt.Sprintf(
			"the kernel grants sockets %v of receive buffer, %v are wanted: bursts will be lost; sysctl -w net.core.rmem_max=%d",
			configs.Size(least), configs.Size(udp.DefaultReceiveBuffer), udp.DefaultReceiveBuffer))
	}
	if files := openFiles(); files > 0 && files < wantFiles {
		lines = append(lines, fmt.Sprintf("this process may open %d files, %d are wanted; ulimit -n, or LimitNOFILE= of systemd", files, wantFiles))
	}
	if n.config.NeedsClock() && !clockIsRight() {
		lines = append(lines, "nothing keeps this machine's clock right, and hooks, tokens and time-limited names go by it; run an NTP client")
	}
	lines = append(lines, n.certificates.expiring(n.wall())...)
	far := slices.DeleteFunc(n.sockets.addrs(), netip.Addr.IsLoopback)
	private := !slices.ContainsFunc(far, func(a netip.Addr) bool { return !udp.IsPrivate(n.names.Outside(netip.AddrPortFrom(a, 0)).Addr()) })
	if relaysTURN(&n.config.TURN) && len(far) > 0 && private && !n.config.Relay.AllowPrivate {
		lines = append(lines, "this node has private addresses alone, and clients of TURN are given relays at these; public names those outside (a lab allows private peers: relay.allow_private)")
	}
	return lines
}

// missName tells, once, that a client from elsewhere came to a private address that has
// no other name: its relay ports mean nothing out there.
func (n *node) missName(e *introducer.Event) {
	local, from := e.Peer.Local, e.Peer.Addr.Addr()
	elsewhere := !udp.IsPrivate(from) && !from.IsLoopback() && !from.IsLinkLocalUnicast()
	if n.nameless || e.Kind != introducer.PeerConnected || !elsewhere || !udp.IsPrivate(local.Addr()) || n.names.Outside(local) != local {
		return
	}
	n.nameless = true
	n.log.Warn("a client from another network came to a private address of this machine: it has a name outside, which clients need to be probed and relayed",
		"address", local.Addr(), "set", fmt.Sprintf("public: {%v: THE NAME OUTSIDE}", local.Addr()))
}

// checkNames tells of outside names at which this node does not answer. Some NATs
// do not turn packets around, so it is a hint and no more.
func (n *node) checkNames(ctx context.Context, log *slog.Logger) {
	for _, at := range n.sockets.at(configs.UseMain) {
		outside := n.names.Outside(at)
		if outside == at {
			continue
		}
		if err := answersSTUN(ctx, at.Addr(), outside); err != nil && ctx.Err() == nil {
			log.Warn("no answer at an outside name of this node; is public right, and is the port open? "+
				"Some NATs do not turn packets around: from another network, natprobe tells", "bound", at, "outside", outside, "error", err)
		}
	}
}

// answersSTUN asks at for a Binding response.
func answersSTUN(ctx context.Context, from netip.Addr, at netip.AddrPort) error {
	var d net.Dialer
	d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	conn, err := d.DialContext(ctx, "udp", at.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	buffer := make([]byte, 1500)
	for range 2 {
		if _, err = conn.Write(request.Raw); err != nil {
			return err
		}
		if err = conn.SetReadDeadline(time.Now().Add(reachTimeout / 2)); err != nil {
			return err
		}
		if _, err = conn.Read(buffer); err == nil {
			return nil
		}
	}
	return err
}
