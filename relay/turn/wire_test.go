package turn

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v2"
)

// A client speaks TURN byte by byte, so that it can say what no proper client would.
type client struct {
	t        testing.TB
	conn     net.Conn
	stream   bool
	bare     bool // the server is pion alone, which knows no fingerprints
	user     string
	password string
	realm    string
	nonce    string
}

func dial(t testing.TB, server netip.AddrPort, user, password string) *client {
	t.Helper()
	c := &client{t: t, user: user, password: password}
	var err error
	if c.conn, err = net.Dial("udp", server.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// dialStream connects over TCP, or TLS if config is not nil.
func dialStream(t testing.TB, server netip.AddrPort, config *tls.Config, user, password string) *client {
	t.Helper()
	c := &client{t: t, stream: true, user: user, password: password}
	var err error
	if config == nil {
		c.conn, err = net.Dial("tcp", server.String())
	} else {
		c.conn, err = tls.Dial("tcp", server.String(), config)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// another is the same user at another port. It uses c's nonce.
func (c *client) another(server netip.AddrPort) *client {
	c.t.Helper()
	d := dial(c.t, server, c.user, c.password)
	d.realm, d.nonce = c.realm, c.nonce
	return d
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next message, or nil if there is none for a while.
func (c *client) read(wait time.Duration) []byte {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, 4096)
	if !c.stream {
		n, err := c.conn.Read(b)
		if err != nil {
			return nil
		}
		return b[:n]
	}
	if _, err := io.ReadFull(c.conn, b[:4]); err != nil {
		return nil
	}
	n := 4 + (int(binary.BigEndian.Uint16(b[2:4]))+3)/4*4
	if b[0]>>6 == 0 {
		n = stunHeader + int(binary.BigEndian.Uint16(b[2:4]))
	}
	if _, err := io.ReadFull(c.conn, b[4:n]); err != nil {
		return nil
	}
	return b[:n]
}

// ask sends a message and returns the answer to it.
func (c *client) ask(m *stun.Message) *stun.Message {
	c.t.Helper()
	c.send(m.Raw)
	for range 10 {
		b := c.read(5 * time.Second)
		if b == nil {
			c.t.Fatalf("no answer to %v", m)
		}
		answer := &stun.Message{Raw: b}
		if isSTUN(b) && answer.Decode() == nil && answer.TransactionID == m.TransactionID {
			return answer
		}
	}
	c.t.Fatalf("no answer to %v among others", m)
	return nil
}

func (c *client) key() stun.MessageIntegrity {
	return stun.NewLongTermIntegrity(c.user, c.realm, c.password)
}

// request builds a request that is signed, once the client has been challenged.
func (c *client) request(method stun.Method, set ...stun.Setter) *stun.Message {
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, set...)
	if c.nonce != "" {
		all = append(all, stun.NewUsername(c.user), stun.NewRealm(c.realm), stun.NewNonce(c.nonce), c.key())
	}
	return stun.MustBuild(append(all, stun.Fingerprint)...)
}

// do sends a request, after being challenged if need be, and returns the answer, whose signature and
// fingerprint it checks, and its error code or 0.
func (c *client) do(method stun.Method, set ...stun.Setter) (*stun.Message, int) {
	c.t.Helper()
	answer := c.ask(c.request(method, set...))
	if code := codeFrom(answer); (code == 401 || code == 438) && c.challenged(answer) {
		answer = c.ask(c.request(method, set...))
	}
	code := codeFrom(answer)
	if code != 401 && code != 438 && code != 400 {
		if err := c.key().Check(answer); err != nil {
			c.t.Errorf("%v: %v", answer, err)
		}
	}
	// RFC 8489 section 14.8: "The reason phrase is meant for diagnostic purposes". pion gives none.
	var reason stun.ErrorCodeAttribute
	if code != 0 && !c.bare && (reason.GetFrom(answer) != nil || len(reason.Reason) == 0) {
		c.t.Errorf("%v has no words", answer)
	}
	if err := stun.Fingerprint.Check(answer); err != nil && !c.bare {
		c.t.Errorf("%v: %v", answer, err)
	}
	return answer, code
}

// challenged takes realm and nonce, and reports whether they are new.
func (c *client) challenged(answer *stun.Message) bool {
	var realm stun.Realm
	var nonce stun.Nonce
	if realm.GetFrom(answer) != nil || nonce.GetFrom(answer) != nil || c.nonce == nonce.String() {
		return false
	}
	c.realm, c.nonce = realm.String(), nonce.String()
	return true
}

func codeFrom(m *stun.Message) int {
	var code stun.ErrorCodeAttribute
	if m.Type.Class != stun.ClassErrorResponse || code.GetFrom(m) != nil {
		return 0
	}
	return int(code.Code)
}

var overUDP = stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{protocolUDP, 0, 0, 0}}

// allocate opens an allocation and returns its relay address.
func (c *client) allocate(set ...stun.Setter) netip.AddrPort {
	c.t.Helper()
	answer, code := c.do(stun.MethodAllocate, append([]stun.Setter{overUDP}, set...)...)
	if code != 0 {
		c.t.Fatalf("Allocate: %d", code)
	}
	return relayedAddr(c.t, answer)
}

func relayedAddr(t testing.TB, m *stun.Message) netip.AddrPort {
	t.Helper()
	v, err := m.Get(stun.AttrXORRelayedAddress)
	if err != nil {
		t.Fatal(err)
	}
	a, ok := parsePeer(v, m.TransactionID)
	if !ok {
		t.Fatalf("XOR-RELAYED-ADDRESS %x", v)
	}
	return a
}

func (c *client) permit(peers ...netip.AddrPort) int {
	c.t.Helper()
	set := make([]stun.Setter, len(peers))
	for i, p := range peers {
		set[i] = peerAddress(p)
	}
	_, code := c.do(stun.MethodCreatePermission, set...)
	return code
}

func channelNumber(n uint16) stun.RawAttribute {
	return stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{byte(n >> 8), byte(n), 0, 0}}
}

func (c *client) bind(n uint16, peer netip.AddrPort) int {
	c.t.Helper()
	_, code := c.do(stun.MethodChannelBind, channelNumber(n), peerAddress(peer))
	return code
}

// channelData is padded, as over TCP.
func channelData(n uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, n)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
	return append(b, make([]byte, (4-len(data)%4)%4)...)
}

func sendIndication(peer netip.AddrPort, data []byte) []byte {
	return stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		peerAddress(peer), stun.RawAttribute{Type: stun.AttrData, Value: data}).Raw
}
