package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"pileus/configs"
	"pileus/rtmfp"
	"pileus/rtmfp/udp"
)

// sockets are all that a node has open: one for each address and port, so that an
// answer leaves from the address that was asked. They follow the addresses of the
// machine.
type sockets struct {
	config *configs.Config // without ports of the system's choice in listen
	places []configs.Place
	log    *slog.Logger
	dumb   atomic.Pointer[map[netip.AddrPort]bool] // where no IHello is answered

	mu      sync.Mutex // of what follows
	files   fileShares
	machine []udp.Address
	foreign map[netip.Addr]bool // addresses that can be bound, though the machine does not list them
	chosen  []*udp.Conn         // whose port the system chose for listen
	open    [configs.NumUses][]*socket
	told    map[netip.Addr]error     // of addresses that cannot be used
	missing map[configs.Socket]error // what is asked for and cannot be had, and why
}

// A socket is one that is open: of packets or a stream.
type socket struct {
	configs.Socket
	packets *udp.Conn
	stream  net.Listener
}

func (p *socket) addr() netip.AddrPort {
	if p.packets != nil {
		return p.packets.LocalAddr()
	}
	return p.stream.Addr().(*net.TCPAddr).AddrPort()
}

func (p *socket) close() {
	if p.packets != nil {
		_ = p.packets.Close()
	} else {
		_ = p.stream.Close()
	}
}

// forEngine tells whether RTMFP is spoken there.
func (p *socket) forEngine() bool { return p.Use <= configs.UseProbe }

// forClients tells whether clients can open sessions there, and so be relayed.
func (p *socket) forClients() bool { return p.Use <= configs.UseExtra }

// openSockets binds what the configuration names. On error nothing stays open.
func openSockets(cfg *configs.Config, log *slog.Logger) (*sockets, error) {
	own := *cfg
	s := &sockets{config: &own, log: log, foreign: make(map[netip.Addr]bool), missing: make(map[configs.Socket]error)}
	machine, err := awaitAddresses(own.Serves, log)
	if err == nil {
		err = s.choosePorts(machine)
	}
	if err == nil {
		s.places = own.Places()
		_, err = s.begin(machine)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// choosePorts has the system choose a port for each entry of listen that names none: the
// first address gets it, and it is meant for all.
func (s *sockets) choosePorts(machine []udp.Address) error {
	s.config.Listen = slices.Clone(s.config.Listen)
	for i, l := range s.config.Listen {
		if l.Port() != 0 {
			continue
		}
		one := configs.Config{Listen: []configs.Listen{l}}
		all, _ := configs.Sockets(one.Places(), serveable(machine))
		if len(all) == 0 {
			continue // there is no such address
		}
		c, err := udp.Listen(all[0].At, udp.Options{})
		if err != nil {
			return cannotOpen(all[0], err)
		}
		s.chosen = append(s.chosen, c)
		if at := l.AddrPorts(); len(at) == 1 {
			s.config.Listen[i] = configs.ListenAddr(netip.AddrPortFrom(at[0].Addr(), c.LocalAddr().Port()))
		} else {
			s.config.Listen[i] = configs.ListenPort(c.LocalAddr().Port())
		}
	}
	return nil
}

// begin opens everything for the first time.
func (s *sockets) begin(machine []udp.Address) ([]*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine = machine
	wanted, taken := s.wanted(serveable(machine))
	s.divide(wanted)
	left := s.files.relay
	var came []*socket
	for _, w := range wanted {
		p, err := s.within(w, &left)
		if err == nil {
			came = append(came, p)
			s.open[w.Use] = append(s.open[w.Use], p)
			if !w.Every && !lists(machine, w.At.Addr()) {
				s.foreign[w.At.Addr()] = true
			}
			continue
		}
		if mustOpen(w, err) {
			return nil, cannotOpen(w, err)
		}
		s.missing[w] = err
	}
	for _, w := range taken {
		s.missing[w] = errOwn
	}
	s.tellMissing(s.missing)
	s.tellUnusable()
	s.publish()
	if len(s.open[configs.UseMain]) == 0 {
		return nil, s.nothing()
	}
	return came, nil
}

// divide divides the files that the process may have open.
func (s *sockets) divide(wanted []configs.Socket) {
	const own = 8 // pollers, what tells of addresses
	others, relays, turn := own, 0, false
	for _, w := range wanted {
		if w.Use == configs.UseRelay {
			relays++
		} else {
			others += filesOf(w)
		}
		turn = turn || w.TURN || w.Use.TCP() && w.Use != configs.UseAdmin
	}
	s.files = divideFiles(openFiles(), openNow(), others, relays, turn)
}

// within opens a socket, and takes it from the files that are left. At the start only
// relay ports are counted.
func (s *sockets) within(w configs.Socket, left *int) (*socket, error) {
	counted := s.files.limit > 0 && (w.Use == configs.UseRelay || left == &s.files.growth)
	if counted && *left < filesOf(w) {
		return nil, errFiles
	}
	p, err := s.bind(w)
	if err == nil && counted {
		*left -= filesOf(w)
	}
	return p, err
}

// nothing says why no client could connect.
func (s *sockets) nothing() error {
	for w, err := range s.missing {
		if w.Use == configs.UseMain {
			return cannotOpen(w, err)
		}
	}
	var absent []string
	for _, l := range s.config.Listen {
		absent = append(absent, l.String())
		for _, a := range l.AddrPorts() {
			if _, err := udp.Expand(a); err != nil {
				return fmt.Errorf("listen: %w", err)
			}
		}
	}
	return fmt.Errorf("listen: %v: no address of this machine can be used", absent)
}

// leave notes the addresses that the machine has now, and takes out what is open and not
// asked for with these: it is for the caller to close.
func (s *sockets) leave(machine []udp.Address) (went []*socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine = machine
	present := s.present()
	absent := func(a netip.Addr) bool { return !slices.Contains(present, a) }
	wanted, _ := s.wanted(present)
	want := make(map[configs.Socket]bool, len(wanted))
	for _, w := range wanted {
		want[w] = !absent(w.At.Addr())
	}
	for u := range configs.UseAdmin {
		s.open[u] = slices.DeleteFunc(s.open[u], func(p *socket) bool {
			gone := !want[p.Socket]
			if gone {
				went = append(went, p)
				if u != configs.UseRelay {
					s.files.growth += filesOf(p.Socket)
				}
			}
			return gone
		})
	}
	maps.DeleteFunc(s.missing, func(w configs.Socket, _ error) bool { return absent(w.At.Addr()) })
	s.publish()
	return went
}

// join opens what those addresses ask for and was not tried yet, or may be had by now.
func (s *sockets) join() (came []*socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	present := s.present()
	wanted, taken := s.wanted(present)
	have := make(map[configs.Socket]bool)
	for _, list := range s.open {
		for _, p := range list {
			have[p.Socket] = true
		}
	}
	news := make(map[configs.Socket]error)
	for _, w := range wanted {
		was, tried := s.missing[w]
		if have[w] || w.Use == configs.UseAdmin || !slices.Contains(present, w.At.Addr()) || tried && !mayCome(w, was) {
			continue
		}
		left := &s.files.growth
		if w.Use == configs.UseRelay {
			relays := s.files.relay - len(s.open[w.Use])
			left = &relays
		}
		p, err := s.within(w, left)
		if err != nil {
			if s.missing[w] = err; !tried || !errors.Is(err, was) {
				news[w] = err
			}
			continue
		}
		delete(s.missing, w)
		came = append(came, p)
		s.open[w.Use] = append(s.open[w.Use], p)
	}
	for _, w := range taken {
		if _, tried := s.missing[w]; !tried {
			s.missing[w], news[w] = errOwn, errOwn
		}
	}
	s.tellMissing(news)
	s.tellUnusable()
	s.publish()
	return came
}

// mayCome tells whether it is worth to try again what could not be opened. A default port
// that somebody else had stays theirs, also while they start anew.
func mayCome(w configs.Socket, err error) bool {
	return !errors.Is(err, errOwn) &&
		(w.Named || w.Use == configs.UseMain || errors.Is(err, errTentative) || errors.Is(err, syscall.EADDRNOTAVAIL))
}

// wanted are the sockets to have on a machine with these addresses, and those that
// another use has.
func (s *sockets) wanted(machine []netip.Addr) (wanted, taken []configs.Socket) {
	wanted, taken = configs.Sockets(s.places, machine)
	loopback := func(w configs.Socket) bool { return w.Use == configs.UseRelay && w.At.Addr().IsLoopback() }
	if slices.ContainsFunc(wanted, func(w configs.Socket) bool { return w.Use == configs.UseRelay && !loopback(w) }) {
		wanted = slices.DeleteFunc(wanted, loopback) // nobody is relayed there, and a range is many sockets
		taken = slices.DeleteFunc(taken, loopback)
	}
	return wanted, taken
}

// without has nothing opened any more for a use that is none.
func (s *sockets) without(u configs.Use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places = slices.DeleteFunc(s.places, func(p configs.Place) bool { return p.Use == u })
}

// present are the addresses at which sockets may be open.
func (s *sockets) present() []netip.Addr {
	list := serveable(s.machine)
	for a := range s.foreign {
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// serveable are the addresses that can be served now.
func serveable(machine []udp.Address) []netip.Addr {
	var list []netip.Addr
	for _, a := range udp.Serveable(machine) {
		if !a.Tentative {
			list = append(list, a.Addr)
		}
	}
	return list
}

func lists(machine []udp.Address, addr netip.Addr) bool {
	return slices.ContainsFunc(machine, func(a udp.Address) bool { return a.Addr == addr })
}

// publish has the engine see which sockets answer no IHello.
func (s *sockets) publish() {
	dumb := make(map[netip.AddrPort]bool)
	for _, p := range s.open[configs.UseProbe] {
		dumb[p.addr()] = true
	}
	s.dumb.Store(&dumb)
}

// silent reports whether clients get no answer to an IHello at local.
func (s *sockets) silent(local netip.AddrPort) bool { return (*s.dumb.Load())[local] }

func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.open {
		for _, p := range list {
			p.close()
		}
	}
	for _, c := range s.chosen {
		_ = c.Close()
	}
}

// of are the ports of some uses, in their order.
func (s *sockets) of(uses ...configs.Use) []*socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*socket
	for _, u := range uses {
		list = append(list, s.open[u]...)
	}
	return list
}

// at is where the ports of some uses are.
func (s *sockets) at(uses ...configs.Use) []netip.AddrPort { return addrsOf(s.of(uses...)) }

func addrsOf(ports []*socket) []netip.AddrPort {
	list := make([]netip.AddrPort, len(ports))
	for i, p := range ports {
		list[i] = p.addr()
	}
	return list
}

// addrs are the node's own IP addresses, those of listen first.
func (s *sockets) addrs() []netip.Addr {
	var list []netip.Addr
	for _, a := range s.at(configs.UseMain, configs.UseAlternate) {
		if !slices.Contains(list, a.Addr()) {
			list = append(list, a.Addr())
		}
	}
	return list
}

// forEngine are the sockets at which RTMFP is spoken, the main one first.
func (s *sockets) forEngine() []rtmfp.Socket {
	ports := s.of(configs.UseMain, configs.UseAlternate, configs.UseExtra, configs.UseProbe)
	list := make([]rtmfp.Socket, len(ports))
	for i, p := range ports {
		list[i] = p.packets
	}
	return list
}

// alternates are the further addresses that are named and there.
func (s *sockets) alternates() []netip.Addr {
	present := s.addrs()
	return slices.DeleteFunc(slices.Clone(s.config.Alternate), func(a netip.Addr) bool { return !slices.Contains(present, a) })
}

// lacks tells whether something is asked for that might be had by now.
func (s *sockets) lacks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w, err := range s.missing {
		if mayCome(w, err) {
			return true
		}
	}
	return false
}

// candidates are addresses that may be alternates, though nobody named them: one of a
// family, if the node is at every address and has no alternate there. It is on the
// interface of the default route, and as far from clients as the address of that route.
func (s *sockets) candidates(names udp.Names) []netip.Addr {
	if !s.config.Probe.FindAlternate || s.config.Probe.Ports.Len() == 0 || front(s.config) {
		return nil
	}
	s.mu.Lock()
	machine := udp.Serveable(s.machine)
	s.mu.Unlock()
	outside := func(a netip.Addr) netip.Addr { return names.Outside(netip.AddrPortFrom(a, 0)).Addr() }
	own := s.addrs()
	var list []netip.Addr
	for _, four := range []bool{true, false} {
		family := func(a netip.Addr) bool { return a.Is4() == four }
		every := slices.ContainsFunc(s.config.OwnAddrs(), func(a netip.Addr) bool { return family(a) && a.IsUnspecified() })
		if !every || slices.ContainsFunc(s.config.Alternate, family) {
			continue
		}
		source, err := udp.Source(four)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(machine, func(a udp.Address) bool { return a.Addr == source })
		if i < 0 || source.IsLoopback() {
			continue
		}
		second := slices.IndexFunc(machine, func(a udp.Address) bool {
			return family(a.Addr) && a.Addr != source && a.Interface == machine[i].Interface && !a.Tentative && !a.Passing &&
				udp.SameReach(outside(a.Addr), outside(source)) && slices.Contains(own, a.Addr)
		})
		if second >= 0 {
			list = append(list, machine[second].Addr)
		}
	}
	return list
}
