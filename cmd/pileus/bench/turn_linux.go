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
	fd             int
	server         unix.SockaddrInet4
	user, password string
	realm          stun.Realm
	nonce          stun.Nonce
	relayed        netip.AddrPort
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
func allocate(fd int, server netip.AddrPort, user, password string, peer netip.AddrPort) (*turnClient, error) {
	c := &turnClient{
		fd:     fd,
		server: unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())},
		user:   user, password: password,
	}
	udp := stun.RawAttribute{Type: attrRequestedTransport, Value: []byte{unix.IPPROTO_UDP, 0, 0, 0}}
	_, err := c.request(stun.MethodAllocate, udp)
	var refused *refusal
	if errors.As(err, &refused) && refused.code == stun.CodeUnauthorized {
		_ = c.realm.GetFrom(refused.message)
		if err := c.nonce.GetFrom(refused.message); err != nil {
			return nil, fmt.Errorf("allocate: 401 without a nonce: %w", err)
		}
		var m *stun.Message
		if m, err = c.request(stun.MethodAllocate, udp); err == nil {
			err = c.readRelayed(m)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("allocate: %w", err)
	}
	if _, err := c.request(stun.MethodChannelBind, channelTo{peer}); err != nil {
		return nil, fmt.Errorf("bind a channel: %w", err)
	}
	return c, nil
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
	if len(c.nonce) > 0 {
		integrity := stun.NewLongTermIntegrity(c.user, c.realm.String(), c.password)
		setters = append(setters, stun.NewUsername(c.user), c.realm, c.nonce, integrity)
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
	for i := range near {
		peer, err := localOf(far[i])
		if err != nil {
			return nil, err
		}
		c, err := allocate(near[i], server, user, password, peer)
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
