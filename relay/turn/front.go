package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v2"
	"github.com/pion/turn/v3"
)

// A link is what a front stands before: a UDP socket, or one TCP or TLS connection.
type link interface {
	// next returns a datagram or frame and who sent it. The bytes are valid until the next call.
	next() ([]byte, netip.AddrPort, error)
	// send may be called from several goroutines.
	send(p []byte, to netip.AddrPort) error
	close() error
}

// A front is one link as pion sees it, and the relay address generator for its clients. One goroutine
// reads it: first its own, which answers what needs no pion; from the first Allocate on pion's. pion
// deals with one message before it reads the next, so whatever it asks for or answers meanwhile belongs
// to the exchange at hand.
type front struct {
	noDeadlines
	server    *Server
	link      link
	transport Transport
	local     netip.AddrPort
	localAddr *net.UDPAddr // the same

	// The reader's.
	current *exchange // pion is dealing with it
	waiting *exchange // pion needs a nonce first
	nonce   string    // pion's
	minted  time.Time
	serial  alias         // of the newest
	ended   chan struct{} // closed when pion reads no more
	why     error         // it does not, once ended is closed

	dealing sync.Mutex // held while there is a current exchange

	mu          sync.RWMutex
	allocations map[netip.AddrPort]*allocation // by client
	clients     map[alias]netip.AddrPort       // of those
}

func newFront(s *Server, l link, t Transport, local netip.AddrPort) *front {
	return &front{
		server: s, link: l, transport: t, local: local, localAddr: net.UDPAddrFromAddrPort(local),
		ended:       make(chan struct{}),
		allocations: make(map[netip.AddrPort]*allocation),
		clients:     make(map[alias]netip.AddrPort),
	}
}

// run serves the link until it fails or is closed, and returns why.
func (f *front) run() error {
	for f.waiting == nil {
		data, from, err := f.link.next()
		if err != nil {
			return err
		}
		f.take(nil, data, from)
	}
	engine, err := turn.NewServer(turn.ServerConfig{
		Realm:         pionName,
		AuthHandler:   f.server.pionKey,
		LoggerFactory: quiet{&f.server.count.pion},
		InboundMTU:    maxDatagram + 1,
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            f,
			RelayAddressGenerator: f,
			PermissionHandler:     f.server.mayPermit,
		}},
	})
	if err != nil {
		return err
	}
	<-f.ended
	return errors.Join(f.why, engine.Close())
}

// ReadFrom gives pion the next message it is to deal with.
func (f *front) ReadFrom(p []byte) (int, net.Addr, error) {
	f.finish()
	if f.waiting != nil {
		return f.present(p)
	}
	for {
		data, from, err := f.link.next()
		if err != nil {
			f.why = err
			close(f.ended)
			return 0, nil, err
		}
		if n, addr := f.take(p, data, from); n > 0 {
			return n, addr, nil
		}
		if f.waiting != nil {
			return f.present(p)
		}
	}
}

// finish ends an exchange that pion is through with.
func (f *front) finish() {
	ex := f.current
	if ex == nil {
		return
	}
	if ex.pair != nil {
		ex.pair.Close(time.Now())
		if ex.claimed != nil {
			_ = ex.claimed.socket.Close()
		}
	}
	f.current = nil
	f.dealing.Unlock()
}

// take looks at what came from the link. A Send indication is copied to p, for pion; a request that pion
// is to answer becomes f.waiting.
func (f *front) take(p, data []byte, from netip.AddrPort) (int, net.Addr) {
	count := &f.server.count
	switch {
	case len(data) > maxDatagram:
		count.drop(DropOversize)
	case isChannelData(data):
		if a := f.allocated(from); a != nil {
			a.relay(data)
		}
	case f.transport == UDP && isClassicBinding(data):
		f.binding(data, from)
	case !isSTUN(data):
		count.drop(DropNotTURN)
	case isSend(data):
		if !soundSend(data) {
			count.drop(DropMalformed)
			return 0, nil
		}
		if a := f.allocated(from); a != nil {
			return copy(p, data), a.alias.addr()
		}
	default:
		f.request(data, from)
	}
	return 0, nil
}

// allocated returns the allocation of a client that sends data, or nil.
func (f *front) allocated(client netip.AddrPort) *allocation {
	a := f.find(client)
	if a == nil {
		f.server.count.drop(DropNoAllocation)
	}
	return a
}

// binding has a Binding request answered.
func (f *front) binding(data []byte, from netip.AddrPort) {
	f.server.count.bindings.Add(1)
	if b := f.server.cfg.Binding(f.transport, f.local, from, data); b != nil {
		f.answer(b, from)
	}
}

// request answers a request, or keeps it for pion.
func (f *front) request(data []byte, from netip.AddrPort) {
	s := f.server
	r, err := parseRequest(data)
	if err != nil {
		s.count.drop(DropMalformed)
		return
	}
	if r.Type == stun.BindingRequest {
		f.binding(data, from)
		return
	}
	switch r.Type.Method {
	case stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind:
	default:
		s.count.drop(DropUnexpected)
		return
	}
	if r.Type.Class != stun.ClassRequest {
		s.count.drop(DropUnexpected)
		return
	}
	now := time.Now()
	a := f.find(from)
	if a == nil && s.rules().credentials.none() {
		f.challenge(now, data, r.answer(stun.ClassErrorResponse, nil, errorCode(stun.CodeForbidden, "no relay for anybody")), from)
		return
	}
	var held *identity
	if a != nil {
		held = &a.owner
	}
	id, challenge := s.rules().authenticate(now, r, from.Addr(), held)
	if challenge != nil {
		f.challenge(now, data, challenge, from)
		return
	}
	ex, no := f.judge(now, r, from, id, a)
	if no != nil {
		s.count.refuse(no.code)
		set := append([]stun.Setter{errorCode(no.code, no.reason)}, no.set...)
		f.answer(r.answer(stun.ClassErrorResponse, id.key, set...), from)
		return
	}
	f.waiting = ex
}

// challenge answers who has not proved to be anybody. Over UDP not even his address is proved: such
// answers are at most three times as long as the question, in IP packets, and rationed unless they are no
// longer than it.
func (f *front) challenge(now time.Time, data, answer []byte, to netip.AddrPort) {
	if f.transport == UDP && len(answer) > len(data) && !f.server.mayAnswer(now, to.Addr()) {
		f.server.count.drop(DropRationed)
		return
	}
	f.server.count.refuse(codeOf(answer))
	f.answer(answer, to)
}

func codeOf(answer []byte) stun.ErrorCode {
	var m stun.Message
	var code stun.ErrorCodeAttribute
	if stun.Decode(answer, &m) != nil || code.GetFrom(&m) != nil {
		return 0
	}
	return code.Code
}

func (f *front) answer(p []byte, to netip.AddrPort) {
	if err := f.link.send(p, to); err != nil && !errors.Is(err, net.ErrClosed) {
		f.server.count.drop(DropWrite)
	}
}

func (f *front) find(client netip.AddrPort) *allocation {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.allocations[client]
}

func (f *front) forget(a *allocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.clients, a.alias)
	if f.allocations[a.client] == a {
		delete(f.allocations, a.client)
	}
	f.server.open.Done()
}

// Close is pion's way to end the front.
func (f *front) Close() error { return f.link.close() }

// LocalAddr is half of what pion knows an allocation by.
func (f *front) LocalAddr() net.Addr { return f.localAddr }
