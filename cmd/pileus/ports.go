package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"pileus/configs"
	"pileus/relay/splice"
	"pileus/rtmfp/udp"
)

const (
	// sparseBuffer is the receive buffer, in bytes, of a socket that hears a few
	// packets of each client: some hundreds of them.
	sparseBuffer = 512 << 10
	// tentativeWait is how long the start waits for addresses of which the system does
	// not know yet that nobody else has them: one or two seconds are usual.
	tentativeWait = 3 * time.Second
	tentativeLook = 50 * time.Millisecond
)

var (
	// errOwn is why a default port was left out that this node uses otherwise.
	errOwn = errors.New("this node has another use for it")
	// errTentative and errDuplicate are what becomes of an address that the machine has,
	// but cannot use.
	errTentative = errors.New("this machine has the address, but cannot use it yet (duplicate address detection; is the cable in?): it is served when it can")
	errDuplicate = errors.New("this machine has the address, but another one in its network has it, too (duplicate address detection)")
)

// awaitAddresses lists the machine's, when those that wanted is true of can be used, or
// after a while.
func awaitAddresses(wanted func(netip.Addr) bool, log *slog.Logger) ([]udp.Address, error) {
	for end, told := time.Now().Add(tentativeWait), false; ; time.Sleep(tentativeLook) {
		list, err := udp.Addresses()
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(udp.Serveable(list), func(a udp.Address) bool { return a.Tentative && !a.Duplicate && wanted(a.Addr) })
		if i < 0 || time.Now().After(end) {
			return list, nil
		}
		if !told {
			told = true
			log.Info("waiting until an address can be used", "address", udp.Serveable(list)[i].Addr)
		}
	}
}

// bind opens one socket. The error is that of the system alone, which is the same for
// a whole range, or one that says more of the address.
func (s *sockets) bind(w configs.Socket) (*socket, error) {
	for _, c := range s.chosen {
		if w.Use == configs.UseMain && c.LocalAddr() == w.At {
			s.chosen = slices.DeleteFunc(s.chosen, func(have *udp.Conn) bool { return have == c })
			return &socket{Socket: w, packets: c}, nil
		}
	}
	p, err := listen(w)
	if err == nil {
		return p, nil
	}
	for _, a := range s.machine {
		if a.Addr == w.At.Addr() && a.Tentative && errors.Is(err, syscall.EADDRNOTAVAIL) {
			return nil, useless(a)
		}
	}
	if reason, ok := errors.AsType[syscall.Errno](err); ok {
		return nil, reason
	}
	return nil, err
}

func listen(w configs.Socket) (*socket, error) {
	if w.Use.TCP() {
		l, err := net.Listen("tcp", w.At.String())
		if err != nil {
			return nil, err
		}
		return &socket{Socket: w, stream: l}, nil
	}
	o := udp.Options{ReceiveBuffer: sparseBuffer}
	switch w.Use {
	case configs.UseMain, configs.UseAlternate:
		o.ReceiveBuffer = udp.DefaultReceiveBuffer
	case configs.UseRelay:
		o.ReceiveBuffer = splice.PortBuffer
	default:
	}
	c, err := udp.Listen(w.At, o)
	if err != nil {
		return nil, err
	}
	return &socket{Socket: w, packets: c}, nil
}

// mustOpen tells whether a node does not start without a socket. Of every address of a
// machine some may do; a default port is left out, but for that where clients connect.
func mustOpen(w configs.Socket, err error) bool {
	absent := errors.Is(err, syscall.EADDRNOTAVAIL)
	switch {
	case errors.Is(err, errTentative):
		return false // it comes
	case w.Use == configs.UseMain:
		return !w.Every || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES)
	case w.Use == configs.UseAlternate:
		return true
	}
	return w.Named && (!w.Every || !absent)
}

// cannotOpen is one line that says what to do about it.
func cannotOpen(w configs.Socket, err error) error {
	instead := "name other ports"
	switch w.Use {
	case configs.UseMain:
		instead = "try --listen :" + nextMainPort(w.At.Port())
	case configs.UseAlternate:
		instead = "leave this one out of alternate"
	case configs.UseTURNStream, configs.UseTURNTLS:
		instead = "name another port"
	case configs.UseAdmin:
		instead = fmt.Sprintf("try --admin :%d", max(w.At.Port()+1, 1))
	default:
	}
	network := "udp"
	if w.Use.TCP() {
		network = "tcp"
	}
	err = cannotListen(w.At, network, instead, err)
	if w.Use == configs.UseMain || w.Use == configs.UseAlternate || w.Use == configs.UseAdmin {
		return err
	}
	return fmt.Errorf("%s: %w", w.Key, err)
}

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

// A lack is what a key cannot have for one reason.
type lack struct {
	use     configs.Use // one of them
	key     string
	at      []netip.AddrPort
	network string
	err     error
}

// lacking puts together what cannot be had.
func lacking(missing map[configs.Socket]error) []*lack {
	type cause struct {
		key string
		tcp bool
		err error
	}
	groups := make(map[cause]*lack)
	for w, err := range missing {
		c := cause{w.Key, w.Use.TCP(), err}
		if groups[c] == nil {
			groups[c] = &lack{use: w.Use, key: w.Key, network: "udp", err: err}
			if c.tcp {
				groups[c].network = "tcp"
			}
		}
		groups[c].at = append(groups[c].at, w.At)
	}
	list := slices.Collect(maps.Values(groups))
	slices.SortFunc(list, func(a, b *lack) int {
		slices.SortFunc(a.at, netip.AddrPort.Compare)
		slices.SortFunc(b.at, netip.AddrPort.Compare)
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.network, b.network), a.at[0].Compare(b.at[0]))
	})
	for _, l := range list {
		slices.SortFunc(l.at, netip.AddrPort.Compare)
	}
	return list
}

// tellMissing warns of what cannot be had.
func (s *sockets) tellMissing(missing map[configs.Socket]error) {
	for _, l := range lacking(missing) {
		if l.use == configs.UseAdmin {
			s.log.Warn("no admin listener", "error", cannotOpen(configs.Socket{Use: l.use, At: l.at[0]}, l.err))
			continue
		}
		args := []any{"key", l.key}
		if l.network != "udp" {
			args = append(args, "network", l.network)
		}
		s.log.Warn("ports left out", append(args, "sockets", len(l.at), "first", l.at[0], "last", l.at[len(l.at)-1], "error", l.err)...)
	}
}

// tellUnusable warns of addresses that are to be served and cannot be used.
func (s *sockets) tellUnusable() {
	told := make(map[netip.Addr]error)
	for _, a := range s.unusable() {
		if told[a.Addr] = useless(a); !errors.Is(told[a.Addr], s.told[a.Addr]) {
			s.log.Warn("an address is not served", "address", a.Addr, "error", told[a.Addr])
		}
	}
	s.told = told
}

// unusable are the machine's addresses that are to be served and cannot be.
func (s *sockets) unusable() []udp.Address {
	return slices.DeleteFunc(udp.Serveable(s.machine), func(a udp.Address) bool { return !a.Tentative || !s.config.Serves(a.Addr) })
}

func useless(a udp.Address) error {
	if a.Duplicate {
		return errDuplicate
	}
	return errTentative
}

// shortcomings tell what is asked for and cannot be had, a line each.
func (s *sockets) shortcomings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lacks := lacking(s.missing)
	list := make([]string, 0, len(lacks))
	for _, a := range s.unusable() {
		list = append(list, fmt.Sprintf("%v: %v", a.Addr, useless(a)))
	}
	for _, l := range lacks {
		where := l.at[0].String()
		if n := len(l.at); n > 1 {
			where = fmt.Sprintf("%d sockets, %v to %v", n, l.at[0], l.at[n-1])
		}
		list = append(list, fmt.Sprintf("%s: %s/%s: %v", l.key, where, l.network, l.err))
	}
	return list
}

// leftOut counts, by use, what is asked for and cannot be had.
func (s *sockets) leftOut() (n [configs.NumUses]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.missing {
		n[w.Use]++
	}
	return n
}
