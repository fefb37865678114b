package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"pileus/configs"
	"pileus/relay/splice"
	"pileus/rtmfp/udp"
)

// sparseBuffer is the receive buffer, in bytes, of a socket that hears a few
// packets of each client: some hundreds of them.
const sparseBuffer = 512 << 10

// spareFiles are given back where relay ports used up all files that the process
// may have open: clients of the admin listener need some, too.
const spareFiles = 64

// errOwn is why a default port was left out that this node uses otherwise.
var errOwn = errors.New("this node has another use for it")

// openPorts binds the ports of a purpose on every address. A default port that
// cannot be had is left out; one that somebody named must be there.
func (s *sockets) openPorts(p purpose) error {
	_, named := s.config.Origin(purposeKeys[p])
	reasons := make(map[error]*leftOut)
	for _, at := range s.placesOf(p) {
		err := s.bindSparse(p, at)
		if err == nil {
			continue
		}
		if named && !gone(err) {
			return fmt.Errorf("%s: %w", purposeKeys[p], cannotListen(at, "udp", "name other ports", err))
		}
		r := reasons[err]
		if r == nil {
			r = &leftOut{first: at}
			reasons[err] = r
		}
		r.count++
		r.last = at
	}
	if r := reasons[syscall.EMFILE]; r != nil && p == forRelay {
		r.count += s.giveBack(p, spareFiles)
	}
	for err, r := range reasons {
		s.leftOut[p] += r.count
		s.log.Warn("ports left out", "key", purposeKeys[p], "sockets", r.count, "first", r.first, "last", r.last, "error", err)
	}
	return nil
}

// giveBack closes the last n sockets of a purpose, or as many as there are.
func (s *sockets) giveBack(p purpose, n int) int {
	keep := max(0, len(s.open[p])-n)
	for _, c := range s.open[p][keep:] {
		delete(s.bound, c.LocalAddr())
		_ = c.Close()
	}
	n = len(s.open[p]) - keep
	s.open[p] = s.open[p][:keep]
	return n
}

// leftOut is the default ports of one purpose that cannot be bound for one reason.
type leftOut struct {
	first, last netip.AddrPort
	count       int
}

// placesOf is where the sockets of a purpose are to be bound. TURN shares those
// of STUN.
func (s *sockets) placesOf(p purpose) []netip.AddrPort {
	if p == forTURN {
		_, named := s.config.Origin(purposeKeys[p])
		shared := s.placesOf(forSTUN)
		return slices.DeleteFunc(s.places(s.config.TURN.Listen), func(at netip.AddrPort) bool {
			// A default port that STUN could not have was warned of.
			return s.bound[at] == forSTUN || !named && slices.Contains(shared, at)
		})
	}
	var list []netip.AddrPort
	addrs := s.addrs()
	if public := slices.DeleteFunc(slices.Clone(addrs), netip.Addr.IsLoopback); p == forRelay && len(public) > 0 {
		addrs = public // nobody is relayed on loopback, and a range is many sockets
	}
	for _, port := range s.portsOf(p) {
		for _, a := range addrs {
			list = append(list, netip.AddrPortFrom(a, port))
		}
	}
	return list
}

// places turns ports into addresses and ports, on every address of the node.
func (s *sockets) places(listen []configs.Listen) []netip.AddrPort {
	var list []netip.AddrPort
	for _, l := range listen {
		for _, at := range l.AddrPorts() {
			if !at.Addr().IsUnspecified() {
				list = append(list, at)
				continue
			}
			for _, a := range s.addrs() {
				if a.Is4() == at.Addr().Is4() {
					list = append(list, netip.AddrPortFrom(a, at.Port()))
				}
			}
		}
	}
	return list
}

func (s *sockets) portsOf(p purpose) []uint16 {
	var ports []uint16
	switch p {
	case forExtra:
		for _, n := range s.config.Relay.Extra {
			ports = append(ports, uint16(n))
		}
	case forSTUN:
		for _, n := range s.config.STUN.Ports {
			ports = append(ports, uint16(n))
		}
	case forProbes:
		r := s.config.Probe.Ports
		for i := range r.Len() {
			ports = append(ports, r.First+uint16(i))
		}
	case forRelay:
		r := s.config.Relay.Ports
		for i := range r.Len() {
			ports = append(ports, r.First+uint16(i))
		}
	case forMain, forAlternate, forTURN, numPurposes:
	}
	return ports
}

// bindSparse gives the error of the system alone, which is the same for a whole
// range.
func (s *sockets) bindSparse(p purpose, at netip.AddrPort) error {
	if _, own := s.bound[at]; own {
		return errOwn
	}
	buffer := sparseBuffer
	if p == forRelay {
		buffer = splice.PortBuffer
	}
	err := s.bind(p, at, udp.Options{ReceiveBuffer: buffer})
	var reason syscall.Errno
	if errors.As(err, &reason) {
		return reason
	}
	return err
}

// gone reports whether an interface went since its main port was bound.
func gone(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }

// cannotListen is one line that says what to do about it; instead is what to do
// if the port is taken.
func cannotListen(a netip.AddrPort, network, instead string, err error) error {
	var reason syscall.Errno
	if !errors.As(err, &reason) {
		return fmt.Errorf("cannot listen on %v/%s: %w", a, network, err)
	}
	hint := ""
	switch reason {
	case syscall.EADDRINUSE:
		hint = "; is another node running? " + instead
	case syscall.EACCES:
		hint = "; ports below 1024 need a right, on Linux CAP_NET_BIND_SERVICE"
	case syscall.EADDRNOTAVAIL:
		hint = "; no interface of this machine has it"
	}
	return fmt.Errorf("cannot listen on %v/%s: %w%s", a, network, reason, hint)
}

// nextMainPort is one that is not among the probe ports of the node that has p.
func nextMainPort(p uint16) string {
	const apart = 10
	if p > 65535-apart {
		p = defaultPort - apart
	}
	return strconv.Itoa(int(p + apart))
}

// openAdmin binds the admin listener, or returns nil if there is to be none: a
// default port that cannot be had is left out.
func (n *node) openAdmin() (net.Listener, error) {
	at := n.config.Admin.Listen
	if !at.IsValid() {
		return nil, nil
	}
	l, err := net.Listen("tcp", at.String())
	if err == nil && n.config.Admin.TLS.Cert != "" {
		l = tls.NewListener(l, n.operator.certificate.config())
	}
	if err == nil {
		return l, nil
	}
	err = cannotListen(at.AddrPort, "tcp", fmt.Sprintf("try --admin :%d", max(at.Port()+1, 1)), err)
	if _, named := n.config.Origin("admin.listen"); named {
		return nil, err
	}
	n.log.Warn("no admin listener", "error", err)
	return nil, nil
}
