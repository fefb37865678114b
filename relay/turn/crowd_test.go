package turn

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v2"

	"pileus/relay/limit"
)

// A starter is a client that wants a relay, and repeats its requests as RFC 8489 section 6.2.1 has it:
// after an RTO of 500 ms, then of twice as much, seven times in all.
type starter struct {
	client
	sent int // packets
}

const (
	firstRTO = 500 * time.Millisecond
	requests = 7 // Rc
)

// transact gives the answer to a request; nil if none comes.
func (s *starter) transact(m *stun.Message) *stun.Message {
	rto := firstRTO
	for range requests {
		if _, err := s.conn.Write(m.Raw); err != nil {
			return nil
		}
		s.sent++
		for end := time.Now().Add(rto); ; {
			b := s.read(time.Until(end))
			if b == nil {
				break
			}
			if answer := (&stun.Message{Raw: b}); answer.Decode() == nil && answer.TransactionID == m.TransactionID {
				return answer
			}
		}
		rto *= 2
	}
	return nil
}

// relay asks for one as a stranger does: without a name first, then with it.
func (s *starter) relay() (netip.AddrPort, error) {
	answer := s.transact(s.request(stun.MethodAllocate, overUDP))
	if answer == nil || !s.challenged(answer) {
		return netip.AddrPort{}, fmt.Errorf("no challenge after %d packets: %v", s.sent, answer)
	}
	if answer = s.transact(s.request(stun.MethodAllocate, overUDP)); answer == nil || codeFrom(answer) != 0 {
		return netip.AddrPort{}, fmt.Errorf("no relay after %d packets: %v", s.sent, answer)
	}
	return relayedAddr(s.t, answer), nil
}

// An office, a school or a carrier starts at once behind one address. Each gets its relay at its first
// question, but for what the sockets may lose.
func TestCrowdBehindOneAddress(t *testing.T) {
	for _, clients := range []int{20, 50, 100} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) {
			s, at := serve(t, testConfig())
			var (
				mu      sync.Mutex
				relays  = map[netip.AddrPort]bool{}
				packets int
				all     sync.WaitGroup
			)
			crowd := make([]*starter, clients)
			for i := range crowd {
				crowd[i] = &starter{client: *dial(t, at, testUser, testPassword)}
			}
			begun := time.Now()
			for _, c := range crowd {
				all.Go(func() {
					relay, err := c.relay()
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					relays[relay], packets = true, packets+c.sent
				})
			}
			all.Wait()
			t.Logf("%d clients have their relays after %v, with %d packets", clients, time.Since(begun), packets)
			st := s.Stats()
			if len(relays) != clients || st.Opened[UDP] != uint64(clients) {
				t.Errorf("%d relay addresses, %d allocations", len(relays), st.Opened[UDP])
			}
			if st.Drops[DropRationed] != 0 {
				t.Errorf("%d challenges were rationed", st.Drops[DropRationed])
			}
			// Two each, and some repeats of a busy machine.
			if packets > 3*clients {
				t.Errorf("%d packets", packets)
			}
		})
	}
}

// As many clients come over TCP as allocations of one prefix are allowed.
func TestCrowdOfStreams(t *testing.T) {
	const clients = 1000
	cfg := testConfig()
	cfg.Limits = limit.New(limit.Config{Quotas: [2]limit.Quota{limit.Allocation: {Prefix: clients}}}, nil)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := serveStream(t, s, nil)
	var all sync.WaitGroup
	working := make(chan struct{}, 50) // at a time: listen queues are short
	crowd := make([]*client, clients)
	for i := range crowd {
		working <- struct{}{}
		all.Go(func() {
			defer func() { <-working }()
			conn, err := net.Dial("tcp", at.String())
			if err != nil {
				t.Error(err)
				return
			}
			c := &client{t: t, conn: conn, stream: true, user: testUser, password: testPassword}
			crowd[i] = c
			if err := c.mayAllocate(); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if st := s.Stats(); st.Allocations[TCP] != clients || st.Drops[DropStreamLimit] != 0 {
		t.Errorf("%d allocations over %d streams, %d refused", st.Allocations[TCP], st.Streams, st.Drops[DropStreamLimit])
	}
	for _, c := range crowd {
		if c != nil {
			_ = c.conn.Close()
		}
	}
}

// mayAllocate opens an allocation, and says why it cannot.
func (c *client) mayAllocate() error {
	for range 2 {
		m := c.request(stun.MethodAllocate, overUDP)
		if _, err := c.conn.Write(m.Raw); err != nil {
			return err
		}
		answer := &stun.Message{Raw: c.read(10 * time.Second)}
		if err := answer.Decode(); err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		switch code := codeFrom(answer); {
		case code == 0:
			return nil
		case code != 401 || !c.challenged(answer):
			return fmt.Errorf("error %d", code)
		}
	}
	return fmt.Errorf("challenged twice")
}
