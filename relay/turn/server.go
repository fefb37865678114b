package turn

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v2"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/udp"
)

// A Transport is how a client reaches the server.
type Transport uint8

const (
	UDP Transport = iota
	TCP
	TLS
	numTransports
)

func (t Transport) String() string { return [...]string{"udp", "tcp", "tls"}[min(t, numTransports-1)] }

// Transports lists them.
func Transports() []Transport { return []Transport{UDP, TCP, TLS} }

// Config of a Server.
type Config struct {
	// Realm is what clients are told they log in to. A short one keeps the answer to a stranger within
	// three times a bare request. "": pileus.
	Realm       string
	Credentials Credentials
	Alternates  []netip.Addr // servers that clients are sent to while this one drains, at the same ports

	// Relays are own addresses; relay sockets are bound there. Names are what they are called outside.
	Relays              []netip.Addr
	Names               udp.Names
	FirstPort, LastPort uint16 // of relay sockets

	AllowPrivate  bool           // peers at private addresses too
	AllowOnLink   []netip.Prefix // neighbours that may be peers: see guard.Config
	AllowLoopback bool           // for tests on one machine

	// AnswersPerPrefix is how many answers a second a /24, or a /56 of IPv6, is sent over UDP while it has
	// not proved itself. 0: answersPerPrefix; below 0: any number.
	AnswersPerPrefix int

	// MaxFiles is how many descriptors the clients' TCP and TLS connections and the relay sockets may take
	// together, connections half of them at most. 0: any number.
	MaxFiles int

	// Wall tells the time of day, by which time-limited names go; nil: time.Now.
	Wall func() time.Time

	// Flawed is told of each name that was signed with the right password and has a flaw: its maker is to
	// know. It is called on the goroutines that serve clients. nil: nobody is.
	Flawed func(name string, f NameFlaw)

	Limits *limit.Controller
	Tenant string // whose limit all clients share; "": nobody's

	// Binding answers a Binding request that came to local. The answer goes back the way it came; nil is
	// none, or another one's business.
	Binding func(t Transport, local, from netip.AddrPort, request []byte) (answer []byte)
}

// A Server is a TURN server. Its methods may be called from any goroutine.
type Server struct {
	cfg      Config
	guard    *guard.Guard
	relays   *relays
	reserved reservations
	internal stun.MessageIntegrity // the key of what fronts hand to pion
	count    counters
	law      atomic.Pointer[rules]
	open     sync.WaitGroup // allocations
	drain    atomic.Bool
	lifetime time.Duration // of an allocation whose client asks for no longer one

	mu        sync.Mutex
	ration    *udp.Limiter
	fronts    map[*front]struct{}
	listeners map[net.Listener]struct{}
	streams   map[netip.Prefix]int // TCP and TLS connections
	nstreams  int
	closed    bool
	running   sync.WaitGroup // ServePacket, ServeStream and their connections
}

// New makes a Server that serves nothing yet.
func New(cfg Config) (*Server, error) {
	cfg.Realm = cmp.Or(cfg.Realm, "pileus")
	cfg.AnswersPerPrefix = cmp.Or(cfg.AnswersPerPrefix, answersPerPrefix)
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	switch {
	case cfg.FirstPort == 0 || cfg.LastPort < cfg.FirstPort:
		return nil, fmt.Errorf("turn: %d-%d is no range of ports", cfg.FirstPort, cfg.LastPort)
	case len(cfg.Relays) == 0:
		return nil, errors.New("turn: there is no address to bind relay sockets to")
	case cfg.Limits == nil || cfg.Binding == nil:
		return nil, errors.New("turn: Limits and Binding are needed")
	case cfg.MaxFiles < 0:
		return nil, errors.New("turn: MaxFiles is below 0")
	}
	s := &Server{
		cfg:       cfg,
		lifetime:  defaultLifetime,
		internal:  newInternalKey(),
		reserved:  reservations{open: make(map[[tokenLen]byte]*reservation)},
		ration:    udp.NewLimiter(cfg.AnswersPerPrefix, cfg.AnswersPerPrefix),
		fronts:    make(map[*front]struct{}),
		listeners: make(map[net.Listener]struct{}),
		streams:   make(map[netip.Prefix]int),
		relays: &relays{
			first: cfg.FirstPort, last: cfg.LastPort, names: cfg.Names, listen: listenRelay,
			live: make(map[netip.AddrPort]*allocation),
		},
	}
	own := make([]netip.AddrPort, 0, 2*len(cfg.Relays))
	for _, a := range cfg.Relays {
		every := netip.AddrPortFrom(a, 0)
		own = append(own, every, cfg.Names.Outside(every))
	}
	s.guard = guard.New(guard.Config{
		AllowPrivate:  cfg.AllowPrivate,
		AllowLoopback: cfg.AllowLoopback,
		AllowOnLink:   cfg.AllowOnLink,
		Names:         cfg.Names,
		Own:           own,
		Except:        s.relays.known,
	})
	s.law.Store(&rules{
		count: &s.count, flawed: cfg.Flawed,
		realm: cfg.Realm, credentials: &cfg.Credentials, alternates: cfg.Alternates, relays: cfg.Relays, nonces: newNoncer(), wall: cfg.Wall,
	})
	return s, nil
}

func (s *Server) rules() *rules { return s.law.Load() }

// amend replaces some of the rules.
func (s *Server) amend(change func(*rules)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	law := *s.law.Load()
	change(&law)
	s.law.Store(&law)
}

// Reload replaces the credentials and alternates. Allocations that are open go on.
func (s *Server) Reload(c Credentials, alternates []netip.Addr) {
	s.amend(func(law *rules) { law.credentials, law.alternates = &c, alternates })
}

// SetAnswersPerPrefix replaces Config.AnswersPerPrefix. Buckets are full again.
func (s *Server) SetAnswersPerPrefix(n int) {
	n = cmp.Or(n, answersPerPrefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ration = udp.NewLimiter(n, n)
}

// Follow tells what addresses this machine has now, at which no peer may be, and which of them relay sockets
// are bound to from now on. Allocations that are open go on, but for packets to peers that may be none now.
func (s *Server) Follow(machine []udp.Address, relays []netip.Addr) {
	s.guard.Follow(machine, false)
	s.amend(func(law *rules) { law.relays = relays })
}

// MaxStreams is how many TCP and TLS connections there may be at once.
func (s *Server) MaxStreams() int {
	if s.cfg.MaxFiles == 0 {
		return maxStreams
	}
	return min(maxStreams, s.cfg.MaxFiles/2)
}

// roomy reports whether there is a descriptor left for another relay socket, or two.
func (s *Server) roomy(sockets int) bool {
	if s.cfg.MaxFiles == 0 {
		return true
	}
	taken := s.relays.count() + s.reserved.count()
	s.mu.Lock()
	defer s.mu.Unlock()
	return taken+s.nstreams+sockets <= s.cfg.MaxFiles
}

// Links are the subnets of this machine in which no peer may be.
func (s *Server) Links() []netip.Prefix { return s.guard.Links() }

// Drain refuses new allocations (RFC 8656 section 7.2): clients are told of an alternate of their
// family, if there is one (300), else that there is no room (486). Allocations that are open go on.
func (s *Server) Drain(on bool) { s.drain.Store(on) }

func (s *Server) mayAnswer(now time.Time, stranger netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ration.Allow(now, stranger)
}

var errClosed = fmt.Errorf("turn: %w", net.ErrClosed)

// serve runs a front.
func (s *Server) serve(f *front) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	s.fronts[f] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	err := f.run()
	s.mu.Lock()
	delete(s.fronts, f)
	s.mu.Unlock()
	return errors.Join(err, f.link.close())
}

// Close ends everything that is served, and waits until it has ended. Sockets and listeners are closed.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for f := range s.fronts {
		_ = f.link.close()
	}
	s.mu.Unlock()
	s.running.Wait()
	s.open.Wait()
}

// An Allocation is one as an operator sees it.
type Allocation struct {
	Client    netip.AddrPort
	Transport Transport
	Relay     netip.AddrPort // its outside name
	User      string
	Opened    time.Time
	Expires   time.Time // unless it is refreshed
	Totals    limit.Totals
}

// Allocations lists those that are open, oldest first.
func (s *Server) Allocations(now time.Time) []Allocation {
	var list []Allocation
	s.each(func(a *allocation) {
		list = append(list, Allocation{
			Client: a.client, Transport: a.front.transport, Relay: a.outer, User: a.owner.user,
			Opened: a.opened, Expires: time.Unix(0, a.expires.Load()), Totals: a.pair.Totals(now),
		})
	})
	slices.SortFunc(list, func(a, b Allocation) int { return a.Opened.Compare(b.Opened) })
	return list
}

func (s *Server) each(f func(*allocation)) {
	s.relays.mu.RLock()
	defer s.relays.mu.RUnlock()
	for _, a := range s.relays.live {
		f(a)
	}
}

// Stats are the server's counters.
func (s *Server) Stats() Stats {
	st := Stats{
		Granted:  s.count.granted.Load(),
		Bindings: s.count.bindings.Load(),
		PionSaid: s.count.pion.Load(),
		Refused:  make(map[int]uint64, len(codes)),
	}
	s.each(func(a *allocation) { st.Allocations[a.front.transport]++ })
	for t := range st.Opened {
		st.Opened[t] = s.count.opened[t].Load()
	}
	for i, code := range codes {
		st.Refused[int(code)] = s.count.refused[i].Load()
	}
	for f := range st.Flaws {
		st.Flaws[f] = s.count.flaws[f].Load()
	}
	for r := range st.Drops {
		st.Drops[r] = s.count.drops[r].Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Streams = s.nstreams
	return st
}
