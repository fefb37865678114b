package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pion/stun/v2"
	"golang.org/x/sys/unix"
)

// A turnClient is one allocation on a TURN server (RFC 8656).
type turnClient struct {
	fd      int
	server  unix.SockaddrInet4
	account *turnAccount
	relayed netip.AddrPort
}

// A turnAccount is what all clients of a load authenticate with. A nonce that is
// good for one may be so for the next, who then needs no 401: servers ration
// those.
type turnAccount struct {
	user, password string
	realm          stun.Realm
	nonce          stun.Nonce
}

const (
	attrChannelNumber      = stun.AttrType(0x000c)
	attrRequestedTransport = stun.AttrType(0x0019)
	firstChannel           = 0x4000
	channelHeader          = 4

	turnTries   = 10
	turnTimeout = 200 * time.Millisecond
)

// allocate makes an allocation with a channel to peer. They last for five
// minutes at least, which is longer than a round.
func allocate(fd int, server netip.AddrPort, account *turnAccount, peer netip.AddrPort) (*turnClient, error) {
	c := &turnClient{
		fd:      fd,
		server:  unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())},
		account: account,
	}
	udp := stun.RawAttribute{Type: attrRequestedTransport, Value: []byte{unix.IPPROTO_UDP, 0, 0, 0}}
	m, err := c.request(stun.MethodAllocate, udp)
	var refused *refusal
	if errors.As(err, &refused) && (refused.code == stun.CodeUnauthorized || refused.code == stun.CodeStaleNonce) {
		if err := account.challenged(refused.message); err != nil {
			return nil, fmt.Errorf("allocate: %w", err)
		}
		m, err = c.request(stun.MethodAllocate, udp)
	}
	if err == nil {
		err = c.readRelayed(m)
	}
	if err != nil {
		return nil, fmt.Errorf("allocate: %w", err)
	}
	if _, err := c.request(stun.MethodChannelBind, channelTo{peer}); err != nil {
		return nil, fmt.Errorf("bind a channel: %w", err)
	}
	return c, nil
}

func (a *turnAccount) challenged(m *stun.Message) error {
	if err := a.nonce.GetFrom(m); err != nil {
		return fmt.Errorf("a challenge without a nonce: %w", err)
	}
	_ = a.realm.GetFrom(m) // a stale nonce's answer may leave it out
	return nil
}

func (c *turnClient) readRelayed(m *stun.Message) error {
	var a stun.XORMappedAddress
	if err := a.GetFromAs(m, stun.AttrXORRelayedAddress); err != nil {
		return err
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return fmt.Errorf("relayed address %v", a.IP)
	}
	c.relayed = netip.AddrPortFrom(ip.Unmap(), uint16(a.Port))
	return nil
}

// channelTo is what ChannelBind asks for.
type channelTo struct{ peer netip.AddrPort }

func (t channelTo) AddTo(m *stun.Message) error {
	m.Add(attrChannelNumber, []byte{firstChannel >> 8, firstChannel & 0xff, 0, 0})
	return stun.XORMappedAddress{IP: t.peer.Addr().AsSlice(), Port: int(t.peer.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

// A refusal is an error response.
type refusal struct {
	code    stun.ErrorCode
	message *stun.Message
}

func (r *refusal) Error() string { return fmt.Sprintf("the server answers %d", r.code) }

func (c *turnClient) request(method stun.Method, wants stun.Setter) (*stun.Message, error) {
	setters := []stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest), wants}
	if a := c.account; len(a.nonce) > 0 {
		integrity := stun.NewLongTermIntegrity(a.user, a.realm.String(), a.password)
		setters = append(setters, stun.NewUsername(a.user), a.realm, a.nonce, integrity)
	}
	m, err := stun.Build(append(setters, stun.Fingerprint)...)
	if err != nil {
		return nil, err
	}
	for range turnTries {
		if err := unix.Sendto(c.fd, m.Raw, 0, &c.server); err != nil {
			return nil, err
		}
		if answer := c.await(m.TransactionID); answer != nil {
			if answer.Type.Class == stun.ClassSuccessResponse {
				return answer, nil
			}
			var code stun.ErrorCodeAttribute
			if err := code.GetFrom(answer); err != nil {
				return nil, err
			}
			return nil, &refusal{code.Code, answer}
		}
	}
	return nil, errors.New("no answer: no TURN server there, or not yet")
}

func (c *turnClient) await(id [stun.TransactionIDSize]byte) *stun.Message {
	end := time.Now().Add(turnTimeout)
	b := make([]byte, maxDatagram)
	for {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		// Its error is a wait cut short, or nothing to read.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		n, _, err := unix.Recvfrom(c.fd, b, 0)
		if err != nil {
			time.Sleep(time.Millisecond) // refused while the server starts
			continue
		}
		m := &stun.Message{Raw: append([]byte(nil), b[:n]...)}
		if m.Decode() == nil && m.TransactionID == id {
			return m
		}
	}
}

// turnLanes opens an allocation for each pair: of near sockets to far ones.
// Every other pair sends from the client to its peer, the rest back.
func turnLanes(near, far []int, server netip.AddrPort, user, password string, size int) ([]lane, error) {
	lanes := make([]lane, len(near))
	account := &turnAccount{user: user, password: password}
	for i := range near {
		peer, err := localOf(far[i])
		if err != nil {
			return nil, err
		}
		c, err := allocate(near[i], server, account, peer)
		if err != nil {
			return nil, err
		}
		if i%2 == 0 {
			header := []byte{firstChannel >> 8, firstChannel & 0xff, byte(size >> 8), byte(size)}
			lanes[i] = lane{out: near[i], to: rawSockaddr(server), header: header, in: far[i]}
		} else {
			lanes[i] = lane{out: far[i], to: rawSockaddr(c.relayed), in: near[i], adds: channelHeader}
		}
	}
	return lanes, nil
}
