package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"

	"pileus/configs"
	"pileus/rtmfp/udp"
)

// openSockets binds every address of listen, one socket each; a wildcard
// becomes one for every address of this machine, so that an answer leaves from
// the address that was asked. On error nothing stays open.
func openSockets(listen []configs.Listen, log *slog.Logger) (conns []*udp.Conn, err error) {
	defer func() {
		if err != nil {
			for _, c := range conns {
				_ = c.Close()
			}
			conns = nil
		}
	}()
	bound := map[netip.AddrPort]bool{}
	for _, l := range listen {
		opened, err := openListen(l, bound, log)
		conns = append(conns, opened...)
		if err != nil {
			return conns, err
		}
	}
	return conns, nil
}

// openListen binds the addresses of l that are not in bound yet.
func openListen(l configs.Listen, bound map[netip.AddrPort]bool, log *slog.Logger) (conns []*udp.Conn, err error) {
	var addrs []netip.AddrPort
	for _, a := range l.AddrPorts() {
		expanded, err := udp.Expand(a)
		if err != nil {
			return nil, fmt.Errorf("cannot list the addresses of this machine for %v: %w", a, err)
		}
		addrs = append(addrs, expanded...)
	}
	one := len(addrs) == 1
	port := l.Port()
	var skipped error
	for _, a := range addrs {
		a = netip.AddrPortFrom(a.Addr(), port)
		if bound[a] {
			continue
		}
		c, err := udp.Listen(a, udp.Options{})
		switch {
		case err == nil:
		case one || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES):
			return conns, cannotListen(a, "udp", "--listen", err)
		default:
			// An interface of many may come or go while we look.
			skipped = cannotListen(a, "udp", "--listen", err)
			log.Warn("address left out", "error", skipped)
			continue
		}
		// A port the system chose for the first socket is meant for all.
		port = c.LocalAddr().Port()
		bound[c.LocalAddr()] = true
		conns = append(conns, c)
	}
	if len(conns) == 0 && skipped != nil {
		return nil, skipped
	}
	return conns, nil
}

// openAdmin binds the admin listener, or returns nil if there is to be none: a
// default port that cannot be had is left out.
func openAdmin(cfg *configs.Config, log *slog.Logger) (net.Listener, error) {
	at := cfg.Admin.Listen
	if !at.IsValid() {
		return nil, nil
	}
	l, err := net.Listen("tcp", at.String())
	if err == nil {
		return l, nil
	}
	err = cannotListen(at.AddrPort, "tcp", "--admin", err)
	if _, named := cfg.Origin("admin.listen"); named {
		return nil, err
	}
	log.Warn("no admin listener", "error", err)
	return nil, nil
}

// cannotListen is one line that says what to do about it.
func cannotListen(a netip.AddrPort, network, flag string, err error) error {
	var reason syscall.Errno
	if !errors.As(err, &reason) {
		return fmt.Errorf("cannot listen on %v/%s: %w", a, network, err)
	}
	hint := ""
	switch reason {
	case syscall.EADDRINUSE:
		hint = fmt.Sprintf("; is another node running? try %s :%d", flag, nextPort(a.Port()))
	case syscall.EACCES:
		hint = "; ports below 1024 need a right, on Linux CAP_NET_BIND_SERVICE"
	case syscall.EADDRNOTAVAIL:
		hint = "; no interface of this machine has it"
	}
	return fmt.Errorf("cannot listen on %v/%s: %w%s", a, network, reason, hint)
}

func nextPort(p uint16) uint16 {
	if p == 65535 {
		return 1935
	}
	return p + 1
}
