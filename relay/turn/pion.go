package turn

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v2"

	"pileus/relay/guard"
)

// pionName is the user name and realm of requests that a front signs for pion.
const pionName = "p"

// stranger asks pion for nonces.
var stranger = &net.UDPAddr{IP: net.IPv4zero.To4()}

// present writes the waiting request to p as pion is to see it. If pion has not minted a nonce lately, p
// becomes a request that makes it do so, and the other goes on waiting.
func (f *front) present(p []byte) (int, net.Addr, error) {
	ex, now := f.waiting, time.Now()
	if f.nonce == "" || now.Sub(f.minted) > pionNonceLifetime {
		bare := stun.MustBuild(stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.TransactionID)
		return copy(p, bare.Raw), stranger, nil
	}
	f.dealing.Lock()
	f.waiting, f.current = nil, ex
	m := stun.MustBuild(append(append([]stun.Setter{
		ex.Type, stun.NewTransactionIDSetter(ex.TransactionID),
	}, ex.set...),
		stun.NewUsername(pionName), stun.NewRealm(pionName), stun.NewNonce(f.nonce), f.server.internal)...)
	if ex.allocation != nil {
		ex.alias = ex.allocation.alias
	} else {
		f.serial++
		ex.alias = f.serial
	}
	return copy(p, m.Raw), ex.alias.addr(), nil
}

// An alias is what pion knows a client by: a serial number of its allocation. pion ends allocations by their
// 5-tuples, one whose relay socket is closed at some moment after, when the same client may have the next.
type alias uint64

// aliasPrefix is of addresses that nobody has (RFC 6666).
var aliasPrefix = [8]byte{0x01}

func (n alias) addr() *net.UDPAddr {
	return &net.UDPAddr{IP: binary.BigEndian.AppendUint64(aliasPrefix[:], uint64(n))}
}

func aliasOf(a *net.UDPAddr) alias {
	if len(a.IP) != net.IPv6len {
		return 0 // nobody's
	}
	return alias(binary.BigEndian.Uint64(a.IP[8:]))
}

// WriteTo sends what pion has for a client. Its answers are on the reader's goroutine; Data indications are
// on those of the allocations, and ChannelData of the moment when pion has bound a channel and the front
// has yet to take note.
func (f *front) WriteTo(p []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return len(p), nil
	}
	if isChannelData(p) || isData(p) {
		f.mu.RLock()
		client, ok := f.clients[aliasOf(to)]
		f.mu.RUnlock()
		if ok { // else the allocation has ended meanwhile
			f.answer(p, client)
		}
		return len(p), nil
	}
	f.listen(stun.Message{Raw: p}, to)
	return len(p), nil
}

// listen takes an answer of pion's.
func (f *front) listen(m stun.Message, to *net.UDPAddr) {
	if m.Decode() != nil {
		return
	}
	switch {
	case to == stranger:
		var nonce stun.Nonce
		if nonce.GetFrom(&m) == nil {
			f.nonce, f.minted = nonce.String(), time.Now()
		}
	case f.current != nil && f.current.TransactionID == m.TransactionID:
		f.respond(f.current, &m)
	}
}

const typeData = 0x0017 // Data indication

func isData(p []byte) bool {
	return len(p) >= stunHeader && p[0] == typeData>>8 && p[1] == typeData&0xff
}

// respond signs pion's answer for the client.
func (f *front) respond(ex *exchange, m *stun.Message) {
	now := time.Now()
	if m.Type.Class == stun.ClassErrorResponse {
		var code stun.ErrorCodeAttribute
		if code.GetFrom(m) != nil {
			code.Code = stun.CodeServerError
		}
		f.server.count.refuse(code.Code)
		reason := "not possible now"
		if code.Code == stun.CodeInsufficientCapacity {
			reason = "no port of the range is free"
		}
		f.answer(ex.answer(stun.ClassErrorResponse, ex.identity.key, errorCode(code.Code, reason)), ex.from)
		return
	}
	ex.settle(now)
	f.server.count.granted.Add(1)
	var set []stun.Setter
	for _, a := range m.Attributes {
		switch a.Type {
		case stun.AttrMessageIntegrity:
		case stun.AttrXORMappedAddress: // it is the alias
			set = append(set, stun.XORMappedAddress{IP: ex.from.Addr().AsSlice(), Port: int(ex.from.Port())})
		case stun.AttrLifetime:
			set = append(set, lifetimeAttr(ex.lifetime))
		default:
			set = append(set, a)
		}
	}
	if a := cmp.Or(ex.opened, ex.allocation); a.reserved != nil && ex.Type.Method == stun.MethodAllocate {
		set = append(set, stun.RawAttribute{Type: stun.AttrReservationToken, Value: a.reserved.token[:]})
	}
	if ex.partial {
		// RFC 8656 section 7.2: "if it can only allocate one relayed transport address of a specific
		// address type, then it includes ADDRESS-ERROR-CODE attribute in the success response".
		set = append(set, stun.RawAttribute{Type: attrAddressError, Value: []byte{familyIPv6, 0, 4, 40}})
	}
	f.answer(ex.answer(stun.ClassSuccessResponse, ex.identity.key, set...), ex.from)
}

var errNotAsked = errors.New("turn: nothing was asked for")

// Validate, AllocatePacketConn and AllocateConn make a front pion's relay address generator.
func (f *front) Validate() error { return nil }

// AllocatePacketConn makes the relay socket that the Allocate at hand asks for.
func (f *front) AllocatePacketConn(string, int) (net.PacketConn, net.Addr, error) {
	ex := f.current
	if ex == nil || ex.pair == nil {
		return nil, nil, errNotAsked
	}
	s := f.server
	socket, next, err := ex.bind(s.relays)
	if err != nil {
		return nil, nil, err
	}
	a := &allocation{
		front:       f,
		client:      ex.from,
		alias:       ex.alias,
		owner:       ex.identity,
		transaction: ex.TransactionID,
		opened:      time.Now(),
		socket:      socket,
		inner:       addrOf(socket),
		pair:        ex.pair,
		forward:     lane{flow: ex.pair.Forward},
		backward:    lane{flow: ex.pair.Backward},
	}
	a.peers.Store(new(peers))
	a.expiry = time.AfterFunc(ex.lifetime, func() { _ = a.Close() })
	a.outer = s.cfg.Names.Outside(a.inner)
	if next != nil {
		a.reserved = s.reserved.keep(next, a.owner.user)
	}
	ex.pair, ex.opened = nil, a
	s.open.Add(1)
	s.count.opened[f.transport].Add(1)
	s.relays.add(a)
	f.mu.Lock()
	f.allocations[a.client] = a
	f.clients[a.alias] = a.client
	f.mu.Unlock()
	return a, a.LocalAddr(), nil
}

// bind gives the socket that an Allocate is to have, and the one at the next port if it asked to have that
// reserved.
func (ex *exchange) bind(r *relays) (socket, next relaySocket, err error) {
	if ex.claimed != nil {
		return ex.claimed.socket, nil, nil
	}
	return r.bind(ex.relay, ex.even, ex.reserve)
}

// AllocateConn is for TCP relays (RFC 6062), which are refused before.
func (f *front) AllocateConn(string, int) (net.Conn, net.Addr, error) { return nil, nil, errNotAsked }

// pionKey is the key under which pion checks requests: fronts signed them.
func (s *Server) pionKey(username, realm string, _ net.Addr) ([]byte, bool) {
	return s.internal, username == pionName && realm == pionName
}

// mayPermit is pion's last look at a peer.
func (s *Server) mayPermit(_ net.Addr, peer net.IP) bool {
	a, ok := netip.AddrFromSlice(peer)
	return ok && s.guard.CheckAddr(a.Unmap()) == guard.Allowed
}

func newInternalKey() stun.MessageIntegrity {
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	return key
}

// quiet is pion's log: what it has to say, clients can make it say, so it is counted.
type quiet struct{ errors *atomic.Uint64 }

func (q quiet) NewLogger(string) logging.LeveledLogger { return q }

func (quiet) Trace(string)            {}
func (quiet) Tracef(string, ...any)   {}
func (quiet) Debug(string)            {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Info(string)             {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warn(string)             {}
func (quiet) Warnf(string, ...any)    {}
func (q quiet) Error(string)          { q.errors.Add(1) }
func (q quiet) Errorf(string, ...any) { q.errors.Add(1) }
