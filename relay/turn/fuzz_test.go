package turn

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v2"
)

// A script is a link on which a test says what comes, and sees what goes out.
type script struct {
	in   chan scripted
	done chan struct{}

	mu  sync.Mutex
	out [][]byte
}

type scripted struct {
	data  []byte
	from  netip.AddrPort
	dealt chan struct{} // instead of a message: closed when all before are dealt with
}

func newScript() *script { return &script{in: make(chan scripted), done: make(chan struct{})} }

func (s *script) next() ([]byte, netip.AddrPort, error) {
	for {
		select {
		case d := <-s.in:
			if d.dealt == nil {
				return d.data, d.from, nil
			}
			close(d.dealt)
		case <-s.done:
			return nil, netip.AddrPort{}, net.ErrClosed
		}
	}
}

func (s *script) send(p []byte, _ netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, bytes.Clone(p))
	return nil
}

func (s *script) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	return nil
}

// say has a message dealt with, and returns what went out meanwhile.
func (s *script) say(data []byte, from netip.AddrPort) [][]byte {
	s.in <- scripted{data: data, from: from}
	dealt := make(chan struct{})
	s.in <- scripted{dealt: dealt}
	<-dealt
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.out
	s.out = nil
	return out
}

// Steps of a fuzzed conversation: two bytes say which and how many bytes follow, which are a message, or the
// attributes of one.
const (
	stepStranger   = iota // from who has no allocation
	stepMessage           // from who has one, as are the others
	stepAttributes        // of an unsigned request
	stepAllocate          // attributes of signed requests
	stepRefresh
	stepPermission
	stepChannel
	stepSend  // attributes of a Send indication
	stepData  // ChannelData of channel 0x4000
	stepShort // the same, said to be longer than it is
	numSteps
)

// maxSteps keeps a conversation short, so that there are many.
const maxSteps = 16

func step(kind byte, b []byte) []byte { return append([]byte{kind, byte(len(b))}, b...) }

// attributes are those of a message.
func attributes(set ...stun.Setter) []byte {
	return stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, set...)...).Raw[stunHeader:]
}

// FuzzFront has one client of a server, and pion behind its front, say anything in any order, and a stranger, too.
func FuzzFront(f *testing.F) {
	peer, client, other := netip.MustParseAddrPort("203.0.113.9:9"), netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("198.51.100.1:1")
	zero := [stun.TransactionIDSize]byte{}
	// An XOR-PEER-ADDRESS is for one transaction: these conversations have all the same.
	to := func(set ...stun.Setter) []byte {
		return attributes(append([]stun.Setter{stun.NewTransactionIDSetter(zero), peerAddress(peer)}, set...)...)
	}
	data := stun.RawAttribute{Type: stun.AttrData, Value: []byte("hello")}
	f.Add(slices.Concat(step(stepPermission, to()), step(stepChannel, to(channelNumber(0x4000))), step(stepData, []byte("hello")), step(stepSend, to(data))))
	f.Add(slices.Concat(step(stepChannel, to(channelNumber(0x4000))), step(stepRefresh, attributes(lifetimeAttr(0))), step(stepData, []byte("hello")), step(stepAllocate, attributes(overUDP))))
	f.Add(slices.Concat(step(stepAllocate, attributes(overUDP, stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}})), step(stepSend, attributes(data))))
	f.Add(slices.Concat(step(stepStranger, stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP).Raw), step(stepShort, []byte("hello"))))
	f.Add(step(stepSend, []byte{0, 0x12, 0, 0}))
	for _, b := range spins() {
		f.Add(slices.Concat(step(stepMessage, b), step(stepAttributes, b), step(stepStranger, b)))
	}

	cfg := testConfig()
	cfg.AnswersPerPrefix = -1
	s, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	link := newScript()
	served := make(chan struct{})
	front := newFront(s, link, UDP, netip.MustParseAddrPort("127.0.0.1:3478"))
	go func() { _ = s.serve(front); close(served) }()
	f.Cleanup(func() { s.Close(); <-served })

	key := stun.NewLongTermIntegrity(testUser, s.cfg.Realm, testPassword)
	// message has attributes that are sound or not; if they cannot be signed, it is not.
	message := func(t stun.MessageType, sign bool, attributes []byte, transaction [stun.TransactionIDSize]byte) []byte {
		m := stun.MustBuild(stun.NewTransactionIDSetter(transaction), t)
		m.Raw = append(m.Raw, attributes...)
		m.Length = uint32(len(attributes))
		m.WriteLength()
		if sign && len(attributes)%4 == 0 {
			for _, set := range []stun.Setter{
				stun.NewUsername(testUser), stun.NewRealm(s.cfg.Realm),
				stun.NewNonce(s.rules().nonces.mint(time.Now(), client.Addr())), key,
			} {
				if set.AddTo(m) != nil {
					break
				}
			}
		}
		return m.Raw
	}
	methods := map[byte]stun.Method{
		stepAttributes: stun.MethodAllocate, stepAllocate: stun.MethodAllocate, stepRefresh: stun.MethodRefresh,
		stepPermission: stun.MethodCreatePermission, stepChannel: stun.MethodChannelBind,
	}
	sound := func(t *testing.T, question []byte, proven bool, answers [][]byte) {
		t.Helper()
		for _, a := range answers {
			if isChannelData(a) || isSTUN(a) && isData(a) {
				continue // of a peer
			}
			m := &stun.Message{Raw: a}
			if m.Decode() != nil || !bytes.Equal(a[8:stunHeader], question[8:stunHeader]) {
				t.Errorf("%x is answered with %x", question, a)
			}
			if in, out := ipBytes(len(question), client.Addr()), ipBytes(len(a), client.Addr()); !proven && out > 3*in {
				t.Errorf("%x, of a stranger, is answered with %d bytes: %x", question, out, a)
			}
		}
	}
	request := func(m stun.Method) stun.MessageType { return stun.NewType(m, stun.ClassRequest) }
	open := [stun.TransactionIDSize]byte{1}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := s.Stats()
		link.say(message(request(stun.MethodAllocate), true, attributes(overUDP), open), client)
		for n := 0; n < maxSteps && len(b) >= 2; n++ {
			kind, size := b[0]%numSteps, min(int(b[1]), len(b)-2)
			part := b[2 : 2+size]
			b = b[2+size:]
			said, from := part, client
			switch kind {
			case stepStranger:
				from = other
			case stepMessage:
			case stepSend:
				said = message(stun.NewType(stun.MethodSend, stun.ClassIndication), false, part, zero)
			case stepData, stepShort:
				said = channelData(0x4000, part)
				if kind == stepShort {
					binary.BigEndian.PutUint16(said[2:], uint16(len(part)+4))
				}
			default:
				said = message(request(methods[kind]), kind != stepAttributes, part, zero)
			}
			sound(t, said, kind >= stepAllocate, link.say(bytes.Clone(said), from))
		}
		end := link.say(message(request(stun.MethodRefresh), true, attributes(lifetimeAttr(0)), open), client)
		after := s.Stats()
		if after.Opened[UDP] == before.Opened[UDP] {
			t.Error("no allocation was opened")
		}
		if n := after.Allocations[UDP]; n != 0 || front.find(client) != nil || front.find(other) != nil {
			t.Errorf("%d allocations are left; the end is answered with %x", n, end)
		}
		if n := s.reserved.count(); n != 0 {
			t.Errorf("%d reservations are left", n)
		}
	})
}

// pieces is a connection of which so many bytes can be read at once.
type pieces struct {
	net.Conn
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (*pieces) SetReadDeadline(time.Time) error { return nil }

// FuzzStream: whatever a stream's pieces are, its frames are the same; none is longer than what is relayed, and
// one that is hides nothing behind it.
func FuzzStream(f *testing.F) {
	binding := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	f.Add(slices.Concat(binding, channelData(0x4000, make([]byte, 2000)), binding, channelData(0x4000, nil)), uint16(7))
	f.Add(slices.Concat(binding, channelData(0x7fff, make([]byte, 3000)), channelData(0x4000, []byte("hello"))), uint16(4000))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(0))
	for _, b := range spins() {
		f.Add(b, uint16(3))
		f.Add(slices.Concat(binding, b, binding), uint16(50))
	}
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		var want [][]byte
		for rest := b; ; {
			n, err := frameLen(rest)
			if err != nil || n == 0 || n > len(rest) || n > maxDatagram && len(want) == 0 {
				break
			}
			if n <= maxDatagram {
				want = append(want, rest[:n])
			}
			rest = rest[n:]
		}
		l := &streamLink{conn: &pieces{rest: b, size: 1 + int(size)}, count: new(counters)}
		l.front = &front{}
		var got [][]byte
		for {
			data, _, err := l.next()
			if err != nil {
				break
			}
			got = append(got, bytes.Clone(data))
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%x\nin pieces of %d: %x\nwant %x", b, 1+int(size), got, want)
		}
	})
}
