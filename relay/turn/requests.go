package turn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/pion/stun/v2"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/rtmfp/udp"
)

// An exchange is a request that pion is to answer.
type exchange struct {
	*request
	from     netip.AddrPort
	identity identity
	set      []stun.Setter // the attributes that pion gets, but for those of authentication

	// Of an Allocate that is no repetition:
	relay   netip.Addr // where to bind the relay socket
	even    bool
	reserve bool         // the port after it
	claimed *reservation // instead of both
	partial bool         // an additional IPv6 address was asked for
	pair    *limit.Pair  // until an allocation has it
	opened  *allocation

	alias      alias
	allocation *allocation // of other requests
	lifetime   time.Duration
	peers      []netip.AddrPort
	channel    uint16 // 0: no ChannelBind
}

// A refusal is an error response to come: a code, words for who reads the client's log, and what
// goes with the code.
type refusal struct {
	code   stun.ErrorCode
	reason string
	set    []stun.Setter
}

func refuse(code stun.ErrorCode, reason string, set ...stun.Setter) (*exchange, *refusal) {
	return nil, &refusal{code, reason, set}
}

// judge decides on a request that id signed, whose allocation is a, if not nil.
func (f *front) judge(now time.Time, r *request, from netip.AddrPort, id identity, a *allocation) (*exchange, *refusal) {
	if list := r.unknown(); list != nil {
		return refuse(stun.CodeUnknownAttribute, "not understood",
			stun.RawAttribute{Type: stun.AttrUnknownAttributes, Value: list})
	}
	ex := &exchange{request: r, from: from, identity: id, allocation: a}
	if r.Type.Method == stun.MethodAllocate {
		return f.judgeAllocate(now, ex)
	}
	if a == nil {
		return refuse(stun.CodeAllocMismatch, "this address has no allocation")
	}
	// RFC 8656 section 5: "the server MUST [...] check that the request is authenticated using the same
	// username as that used to create the allocation".
	if a.owner.name != id.name {
		return refuse(stun.CodeWrongCredentials, "the allocation is somebody else's")
	}
	switch r.Type.Method {
	case stun.MethodRefresh:
		return f.judgeRefresh(ex)
	case stun.MethodCreatePermission:
		return f.judgePermission(now, ex)
	default:
		return f.judgeChannel(now, ex)
	}
}

// judgeAllocate follows RFC 8656 section 7.2.
func (f *front) judgeAllocate(now time.Time, ex *exchange) (*exchange, *refusal) {
	if a := ex.allocation; a != nil && a.transaction != ex.TransactionID {
		return refuse(stun.CodeAllocMismatch, "this address has an allocation already")
	}
	token, no := f.judgeWish(ex)
	if no != nil {
		return nil, no
	}
	ex.set = []stun.Setter{
		stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{protocolUDP, 0, 0, 0}},
		lifetimeAttr(ex.lifetime + pionGrace),
	}
	if ex.allocation != nil { // sent again: pion repeats its answer
		return ex, nil
	}
	if f.server.drain.Load() {
		return f.elsewhere(ex.from.Addr())
	}
	if need := 1 + b2i(ex.reserve); token == nil && !f.server.roomy(need) {
		return refuse(stun.CodeInsufficientCapacity, "this server has as many clients as it can have")
	}
	var err error
	ex.pair, err = f.server.cfg.Limits.Open(now, limit.Allocation, limit.Party{
		Peer: ex.identity.user, Tenant: f.server.cfg.Tenant, Prefix: udp.Prefix(ex.from.Addr()),
	}, limit.Party{})
	if quota := (*limit.QuotaError)(nil); errors.As(err, &quota) {
		return refuse(stun.CodeAllocQuotaReached, "quota: "+quota.Quota.String())
	}
	if err != nil {
		return f.elsewhere(ex.from.Addr())
	}
	if token != nil {
		if ex.claimed = f.server.reserved.claim(token, ex.identity.user); ex.claimed == nil {
			ex.pair.Close(now)
			return refuse(stun.CodeInsufficientCapacity, "no such reservation, or no longer")
		}
	}
	return ex, nil
}

// elsewhere refuses new allocations of a server that is being drained. RFC 8489 section 10 has the client
// go on with the alternate by the transport that it used, so the port is that of this front, too.
func (f *front) elsewhere(client netip.Addr) (*exchange, *refusal) {
	var fit []netip.Addr
	for _, a := range f.server.rules().alternates {
		if a.Is4() == client.Is4() {
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return refuse(stun.CodeAllocQuotaReached, "this server is about to stop")
	}
	alternate := fit[rand.IntN(len(fit))]
	return refuse(stun.CodeTryAlternate, "this server is about to stop",
		&stun.AlternateServer{IP: alternate.AsSlice(), Port: int(f.local.Port())})
}

func (f *front) judgeRefresh(ex *exchange) (*exchange, *refusal) {
	family, present, ok := ex.number(stun.AttrRequestedAddressFamily, 4)
	if present && (!ok || (family == familyIPv4) != ex.allocation.inner.Addr().Is4()) {
		return refuse(stun.CodePeerAddrFamilyMismatch, "REQUESTED-ADDRESS-FAMILY is not that of the allocation")
	}
	var err error
	if ex.lifetime, err = ex.request.lifetime(f.server.lifetime); err != nil {
		return refuse(stun.CodeBadRequest, badLength(stun.AttrLifetime, 4))
	}
	told := ex.lifetime
	if told > 0 {
		told += pionGrace
	}
	ex.set = []stun.Setter{lifetimeAttr(told)}
	return ex, nil
}

// judgePermission follows RFC 8656 section 10.2.
func (f *front) judgePermission(now time.Time, ex *exchange) (*exchange, *refusal) {
	if no := f.judgePeers(ex); no != nil {
		return nil, no
	}
	if _, ok := ex.allocation.peers.Load().with(now, ex); !ok {
		return refuse(stun.CodeInsufficientCapacity, "too many permissions")
	}
	for _, p := range ex.peers {
		ex.set = append(ex.set, peerAddress(p))
	}
	return ex, nil
}

// judgePeers checks the peers that a request names.
func (f *front) judgePeers(ex *exchange) *refusal {
	var err error
	if ex.peers, err = ex.request.peers(); err != nil {
		return &refusal{code: stun.CodeBadRequest, reason: "XOR-PEER-ADDRESS is malformed"}
	}
	if len(ex.peers) == 0 {
		return &refusal{code: stun.CodeBadRequest, reason: "XOR-PEER-ADDRESS is missing"}
	}
	for _, p := range ex.peers {
		// The port of a permission "is ignored and may be any arbitrary value", but the server's own
		// addresses are worth a permission only for the relay ports there.
		if p.Port() == 0 {
			p = netip.AddrPortFrom(p.Addr(), 1)
		}
		if f.server.guard.Check(p) != guard.Allowed {
			return &refusal{code: stun.CodeForbidden, reason: "XOR-PEER-ADDRESS is not an address to relay to"}
		}
		if p.Addr().Is4() != ex.allocation.inner.Addr().Is4() {
			return &refusal{code: stun.CodePeerAddrFamilyMismatch, reason: "XOR-PEER-ADDRESS is not of the allocation's family"}
		}
	}
	return nil
}

// judgeChannel follows RFC 8656 section 12.2.
func (f *front) judgeChannel(now time.Time, ex *exchange) (*exchange, *refusal) {
	number, present := ex.Attributes.Get(stun.AttrChannelNumber)
	switch {
	case !present:
		return refuse(stun.CodeBadRequest, "CHANNEL-NUMBER is missing")
	case len(number.Value) != 4:
		return refuse(stun.CodeBadRequest, badLength(stun.AttrChannelNumber, 4))
	case !isChannel(number.Value[0]):
		return refuse(stun.CodeBadRequest, fmt.Sprintf("CHANNEL-NUMBER is %#x, not 0x4000 to 0x7fff", number.Value[:2]))
	}
	ex.channel = binary.BigEndian.Uint16(number.Value)
	if no := f.judgePeers(ex); no != nil {
		return nil, no
	}
	if len(ex.peers) != 1 {
		return refuse(stun.CodeBadRequest, fmt.Sprintf("a channel has one XOR-PEER-ADDRESS, not %d", len(ex.peers)))
	}
	if ex.peers[0].Port() == 0 {
		return refuse(stun.CodeBadRequest, "XOR-PEER-ADDRESS has no port")
	}
	bound := ex.allocation.peers.Load()
	if c := bound.numbered(ex.channel); now.Before(c.expires) && c.peer != ex.peers[0] {
		return refuse(stun.CodeBadRequest, "this channel is bound to another peer")
	}
	if c := bound.channelTo(ex.peers[0]); now.Before(c.expires) && c.number != ex.channel {
		return refuse(stun.CodeBadRequest, "this peer has another channel")
	}
	if _, ok := bound.with(now, ex); !ok {
		return refuse(stun.CodeInsufficientCapacity, "too many channels")
	}
	ex.set = []stun.Setter{
		stun.RawAttribute{Type: stun.AttrChannelNumber, Value: number.Value},
		peerAddress(ex.peers[0]),
	}
	return ex, nil
}

// settle takes note of a request that pion has granted.
func (ex *exchange) settle(now time.Time) {
	a := ex.allocation
	switch ex.Type.Method {
	case stun.MethodAllocate, stun.MethodRefresh:
		if ex.opened != nil {
			a = ex.opened
		}
		a.expires.Store(now.Add(ex.lifetime).UnixNano())
		if ex.lifetime > 0 { // else pion has ended it
			a.expiry.Reset(ex.lifetime)
		}
	default:
		list, _ := a.peers.Load().with(now, ex)
		a.peers.Store(list)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
