package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"syscall"

	"pileus/configs"
	"pileus/rtmfp"
	"pileus/rtmfp/udp"
)

// purpose is what a UDP socket of the node is for.
type purpose uint8

const (
	forMain      purpose = iota // where clients connect
	forAlternate                // the main port of a further address: they may connect there, too
	forExtra                    // and there, through a firewall that lets little else out
	forProbes                   // no IHello is answered there
	forSTUN                     // RFC 5780; not RTMFP
	forTURN                     // where no STUN socket is; not RTMFP
	forRelay                    // splices
	numPurposes
)

// purposeKeys are the configuration keys that name the ports.
var purposeKeys = [numPurposes]string{"listen", "alternate", "relay.extra", "probe.ports", "stun.ports", "turn.listen", "relay.ports"}

func (p purpose) String() string {
	return [numPurposes]string{"main", "alternate", "extra", "probe", "stun", "turn", "relay"}[p]
}

// sockets are all that a node binds over UDP: one for each address and port, so
// that an answer leaves from the address that was asked.
type sockets struct {
	config *configs.Config
	log    *slog.Logger

	open    [numPurposes][]*udp.Conn
	leftOut [numPurposes]int
	bound   map[netip.AddrPort]purpose
	absent  error // why an entry of listen has no socket
}

// openSockets binds what the configuration names. On error nothing stays open.
func openSockets(cfg *configs.Config, log *slog.Logger) (*sockets, error) {
	s := &sockets{config: cfg, log: log, bound: make(map[netip.AddrPort]purpose)}
	if err := s.openAll(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *sockets) openAll() error {
	for _, l := range s.config.Listen {
		if err := s.listen(l); err != nil {
			return err
		}
	}
	if len(s.open[forMain]) == 0 {
		return fmt.Errorf("listen: %w", s.absent)
	}
	for _, a := range s.config.Alternate {
		if err := s.openNamed(forAlternate, netip.AddrPortFrom(a, s.mainPort())); err != nil {
			return err
		}
	}
	for _, p := range []purpose{forExtra, forProbes, forSTUN, forTURN, forRelay} {
		if err := s.openPorts(p); err != nil {
			return err
		}
	}
	return nil
}

func (s *sockets) close() {
	for _, conns := range s.open {
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// listen binds the addresses of l that are not bound yet; a wildcard becomes one
// socket for every address of this machine.
func (s *sockets) listen(l configs.Listen) error {
	var addrs []netip.AddrPort
	var none error
	for _, a := range l.AddrPorts() {
		expanded, err := udp.Expand(a)
		switch {
		case errors.Is(err, udp.ErrNoAddress):
			none = err // one family may be off
		case err != nil:
			return fmt.Errorf("listen: %w", err)
		}
		addrs = append(addrs, expanded...)
	}
	if len(addrs) == 0 {
		s.absent = none
		s.log.Warn("nothing to listen on", "listen", l.String(), "error", none)
		return nil
	}
	if len(addrs) == 1 {
		return s.openNamed(forMain, addrs[0])
	}
	port, before := l.Port(), len(s.open[forMain])
	var skipped error
	for _, a := range addrs {
		a = netip.AddrPortFrom(a.Addr(), port)
		err := s.openNamed(forMain, a)
		switch {
		case err == nil:
		case errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES):
			return err
		default:
			// An interface of many may come or go while we look.
			skipped = err
			s.log.Warn("address left out", "error", err)
			continue
		}
		// A port the system chose for the first socket is meant for all.
		if port == 0 {
			port = s.open[forMain][before].LocalAddr().Port()
		}
	}
	if len(s.open[forMain]) == 0 && skipped != nil {
		return skipped
	}
	return nil
}

// openNamed binds an address that somebody asked for, unless it is there already.
func (s *sockets) openNamed(p purpose, a netip.AddrPort) error {
	if _, ok := s.bound[a]; ok {
		return nil
	}
	if err := s.bind(p, a, udp.Options{}); err != nil {
		hint := "try --listen :" + nextMainPort(a.Port())
		if p == forAlternate {
			hint = "leave this one out of alternate"
		}
		return cannotListen(a, "udp", hint, err)
	}
	return nil
}

func (s *sockets) bind(p purpose, a netip.AddrPort, o udp.Options) error {
	c, err := udp.Listen(a, o)
	if err != nil {
		return err
	}
	s.bound[c.LocalAddr()] = p
	s.open[p] = append(s.open[p], c)
	return nil
}

// mainPort is the port of the main socket.
func (s *sockets) mainPort() uint16 { return s.open[forMain][0].LocalAddr().Port() }

// addrs are the node's own IP addresses, those of listen first.
func (s *sockets) addrs() []netip.Addr {
	var list []netip.Addr
	for _, p := range []purpose{forMain, forAlternate} {
		for _, a := range s.at(p) {
			if !slices.Contains(list, a.Addr()) {
				list = append(list, a.Addr())
			}
		}
	}
	return list
}

// at is where the sockets of a purpose are.
func (s *sockets) at(p purpose) []netip.AddrPort {
	list := make([]netip.AddrPort, len(s.open[p]))
	for i, c := range s.open[p] {
		list[i] = c.LocalAddr()
	}
	return list
}

// forEngine are the sockets at which RTMFP is spoken, the main one first.
func (s *sockets) forEngine() []rtmfp.Socket {
	var list []rtmfp.Socket
	for _, p := range []purpose{forMain, forAlternate, forExtra, forProbes} {
		for _, c := range s.open[p] {
			list = append(list, c)
		}
	}
	return list
}

// silent reports whether clients get no answer to an IHello at local.
func (s *sockets) silent(local netip.AddrPort) bool { return s.bound[local] == forProbes }
