package turn

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v2"
)

// A script is a link on which a test says what comes, and which pion is let read to the end.
type script struct {
	sink
	in []scripted
}

type scripted struct {
	data []byte
	from netip.AddrPort
}

func (s *script) next() ([]byte, netip.AddrPort, error) {
	if len(s.in) == 0 {
		return nil, netip.AddrPort{}, net.ErrClosed
	}
	d := s.in[0]
	s.in = s.in[1:]
	return d.data, d.from, nil
}

// FuzzFront gives a front, and pion behind it, what anybody may send: as a message of its own, and as
// the attributes of requests and indications by who has an allocation.
func FuzzFront(f *testing.F) {
	peer := netip.MustParseAddrPort("203.0.113.9:9")
	allocate := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP)
	f.Add(allocate.Raw, uint16(stun.MethodAllocate))
	f.Add(sendIndication(peer, []byte("hello")), uint16(stun.MethodRefresh))
	f.Add(channelData(0x4000, []byte("hello")), uint16(stun.MethodChannelBind))
	for _, b := range spins() {
		f.Add(b, uint16(stun.MethodCreatePermission))
	}
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest, channelNumber(0x4000), peerAddress(peer), lifetimeAttr(0)).Raw, uint16(stun.MethodChannelBind))
	f.Add([]byte{0, 0x12, 0, 0}, uint16(stun.MethodCreatePermission))
	f.Fuzz(func(t *testing.T, b []byte, method uint16) {
		s, err := New(testConfig())
		if err != nil {
			t.Fatal(err)
		}
		from := netip.MustParseAddrPort("192.0.2.1:4000")
		key := stun.NewLongTermIntegrity(testUser, s.cfg.Realm, testPassword)
		signed := func(m *stun.Message) {
			for _, set := range []stun.Setter{
				stun.NewUsername(testUser), stun.NewRealm(s.cfg.Realm),
				stun.NewNonce(s.rules().nonces.mint(time.Now(), from.Addr())), key,
			} {
				if set.AddTo(m) != nil {
					return
				}
			}
		}
		// raw is a message whose attributes are b, sound or not.
		raw := func(t stun.MessageType, sign bool) []byte {
			m := stun.MustBuild(stun.TransactionID, t)
			if sign && len(b)%4 == 0 {
				m.Raw = append(m.Raw, b...)
				m.Length += uint32(len(b))
				m.WriteLength()
				signed(m)
				return m.Raw
			}
			m.Raw = append(m.Raw, b...)
			m.Raw[2], m.Raw[3] = byte(len(b)>>8), byte(len(b))
			return m.Raw
		}
		open := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP)
		signed(open)
		request := stun.NewType(stun.Method(method&0xfff), stun.ClassRequest)
		l := &script{in: []scripted{
			{b, from},
			{open.Raw, from},
			{b, from},
			{raw(request, true), from},
			{raw(request, false), from},
			{raw(stun.NewType(stun.MethodSend, stun.ClassIndication), false), from},
			{channelData(0x4000, b), from},
		}}
		_ = s.serve(newFront(s, l, UDP, netip.MustParseAddrPort("127.0.0.1:3478")))
		if opened := s.Stats().Opened[UDP]; opened != 1 {
			t.Errorf("%d allocations were opened", opened)
		}
		s.Close()
		if n := s.Stats().Allocations[UDP]; n != 0 {
			t.Errorf("%d allocations are left", n)
		}
	})
}
