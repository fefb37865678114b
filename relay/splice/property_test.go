package splice

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pileus/relay/limit"
	"pileus/rtmfp/wire"
)

// client is a peer with a NAT: its source at each relay address is its own.
type client struct {
	peer
	symmetric bool
	port      uint16
	sources   map[netip.AddrPort]netip.AddrPort
	lastID    byte
}

func (c *client) source(at netip.AddrPort) netip.AddrPort {
	if !c.symmetric {
		return netip.AddrPortFrom(c.addr.Addr(), c.port)
	}
	if c.sources[at] == (netip.AddrPort{}) {
		c.port++
		c.sources[at] = netip.AddrPortFrom(c.addr.Addr(), c.port)
	}
	return c.sources[at]
}

func (c *client) rebind() {
	c.port += 100
	clear(c.sources)
}

// id is the next session ID that the client gives: as other clients do, all count
// from the same.
func (c *client) id() wire.SessionID {
	c.lastID++
	return wire.SessionID{2 + c.lastID}
}

// talk is a session of two clients, as far as it has got.
type talk struct {
	caller, called *client
	g              Grant
	ids            [2]wire.SessionID // caller's, called's
	open           bool
}

// speech is a packet of a session that says whose it is.
func speech(id wire.SessionID, from, to int) []byte {
	b := data(id, 100)
	binary.BigEndian.PutUint16(b[20:], uint16(from))
	binary.BigEndian.PutUint16(b[22:], uint16(to))
	id.Scramble(b)
	return b
}

// Clients behind random NATs call each other, lose packets, move, hang up and call
// again, while a stranger sends on what it overheard: every packet has one fate,
// none reaches anybody but the two, and in the end nothing is left.
func TestProperty(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { property(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func property(t *testing.T, random *rand.Rand) {
	const people, steps = 6, 400
	config := worldConfig{ports: []int{3, 6, 16}[random.IntN(3)]}
	if random.IntN(2) == 0 {
		config.limits = limit.Config{Splice: 64_000}
	}
	w := newWorld(t, config)
	clients := make([]*client, people)
	number := make(map[netip.Addr]int)
	for i := range clients {
		p := newPeer(t, fmt.Sprintf("203.0.113.%d:5000", 10+i))
		clients[i] = &client{peer: p, symmetric: random.IntN(2) == 0, port: 5000, sources: make(map[netip.AddrPort]netip.AddrPort)}
		number[p.addr.Addr()] = i
	}
	var overheard []sent
	look := func() (out []sent) {
		for _, s := range w.took() {
			who, ok := number[s.to.Addr()]
			if !ok {
				t.Fatalf("sent to a stranger: %v", s.to)
			}
			if id, _ := wire.Unscramble(s.data); id != (wire.SessionID{}) && len(s.data) == 100 {
				if to := int(binary.BigEndian.Uint16(s.data[22:])); to != who {
					t.Fatalf("what %d said to %d reached %d", binary.BigEndian.Uint16(s.data[20:]), to, who)
				}
			}
			if len(overheard) < 200 {
				overheard = append(overheard, s)
			}
			out = append(out, s)
		}
		return out
	}
	lost := func() bool { return random.IntN(10) == 0 }
	send := func(c *client, at netip.AddrPort, packet []byte) {
		if !lost() {
			w.receive(c.source(at), at, uint8(random.IntN(4)), packet)
		}
		look()
	}
	var talks []*talk
	relayed := 0
	for step := range steps {
		w.wait(time.Duration(random.IntN(800)) * time.Millisecond)
		look()
		switch action := random.IntN(10); {
		case action < 3: // call, both at once now and then
			a, b := clients[random.IntN(people)], clients[random.IntN(people)]
			tag := fmt.Sprintf("tag %d", step)
			g, err := w.try(request(a.peer, b.peer, tag))
			if err != nil {
				continue
			}
			c := &talk{caller: a, called: b, g: g, ids: [2]wire.SessionID{a.id(), b.id()}}
			cookie := []byte("cookie of " + tag)
			send(a, g.Initiator, w.ihello(b.peer, tag))
			send(b, g.Target, w.rhello(b.peer, tag, cookie))
			w.wait(time.Second) // of repeats
			look()
			before := w.table.Stats().Forwarded
			send(a, g.Initiator, w.iikeying(a.peer, c.ids[0], cookie))
			if w.table.Stats().Forwarded == before {
				continue
			}
			send(b, g.Target, w.rikeying(c.ids[0], c.ids[1]))
			c.open = true
			talks = append(talks, c)
		case action < 8 && len(talks) > 0: // talk
			c := talks[random.IntN(len(talks))]
			before := w.table.Stats().Forwarded
			for range 5 {
				send(c.caller, c.g.Initiator, speech(c.ids[1], number[c.caller.addr.Addr()], number[c.called.addr.Addr()]))
				send(c.called, c.g.Target, speech(c.ids[0], number[c.called.addr.Addr()], number[c.caller.addr.Addr()]))
			}
			relayed += int(w.table.Stats().Forwarded - before)
		case action == 8:
			clients[random.IntN(people)].rebind()
		case len(overheard) > 0:
			s := overheard[random.IntN(len(overheard))]
			w.receive(addr("198.51.100.66:6666"), s.from, 0, s.data)
			look()
			if random.IntN(4) == 0 {
				w.table.Gone(w.now, clients[random.IntN(people)].cert.PeerID())
			}
		}
		w.limits.Advance(w.now)
	}
	w.wait(time.Hour)
	look()
	w.nothingLeft()
	w.table.wholly(t)
	if s := w.table.Stats(); relayed < 50 || s.Rebound == 0 && config.ports > 6 {
		t.Errorf("%d packets of sessions were relayed, %d rebindings: %+v", relayed, s.Rebound, s)
	}
}
