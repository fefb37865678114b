package rtmfp_test

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/wire"
)

// observer sees what passes on the network and sends under any address, but has
// nobody's key.
type observer struct {
	t       *testing.T
	net     *memnet.Network
	server  netip.AddrPort
	keyings map[netip.AddrPort]wire.IIKeying // the latest by source
	sealer  *flash.Sealer
	mu      sync.Mutex // of keyings, sealer and ids: several forge at once
	ids     byte

	// A component under a static key does not name it: her own is as good as any.
	id     *flash.Identity
	policy flash.Policy
	far    flash.Certificate
}

func watch(t *testing.T, n *memnet.Network, server *party, policy flash.Policy) *observer {
	sealer, opener := flash.NewStartup()
	o := &observer{
		t: t, net: n, server: server.addr, sealer: sealer, keyings: make(map[netip.AddrPort]wire.IIKeying),
		id: clientIdentity(t), policy: policy, far: server.id.Certificate(),
	}
	n.Watch(func(from, _ netip.AddrPort, data []byte) {
		data = bytes.Clone(data)
		if id, ok := wire.Unscramble(data); !ok || id != (wire.SessionID{}) {
			return
		}
		packet, err := opener.Open(make([]byte, rtmfp.MaxReceive), data)
		if err != nil {
			return
		}
		if _, b, err := wire.ParseHeader(packet); err == nil {
			if typ, body, _, ok := wire.NextChunk(b); ok && typ == wire.ChunkIIKeying {
				if c, err := wire.ParseIIKeying(body); err == nil {
					o.mu.Lock()
					o.keyings[from] = c
					o.mu.Unlock()
				}
			}
		}
	})
	return o
}

// forge sends an IIKeying as the victim would, with a component of its own.
func (o *observer) forge(victim netip.AddrPort) {
	o.t.Helper()
	// The network calls the observer under its own lock.
	o.net.Inject(victim, o.server, o.forged(victim))
}

func (o *observer) forged(victim netip.AddrPort) []byte {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	c, ok := o.keyings[victim]
	if !ok {
		o.t.Fatal("no IIKeying was seen")
	}
	o.ids++
	c.SessionID = wire.SessionID{0xee, o.ids, 1, 1}
	k, err := o.id.BeginKeying(o.far, o.policy, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	c.Component = k.Component()
	b := wire.Header{Mode: wire.ModeStartup}.Append(o.sealer.Begin(nil))
	return o.sealer.Finish(c.Append(b), wire.SessionID{})
}

var strict = flash.Policy{HMAC: flash.Require, SSEQ: flash.Require}

// An open session is not touched by IIKeyings that nobody can use.
func TestForgedIIKeyingsChangeNothing(t *testing.T) {
	for name, policy := range map[string]flash.Policy{"checksum": {}, "hmac": strict} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(20, line)
				server := newParty(t, n, serverAddr, serverIdentity(t), func(c *rtmfp.Config) { c.Policy = policy })
				alice := newParty(t, n, aliceAddr, clientIdentity(t), func(c *rtmfp.Config) { c.Policy = policy })
				eve := watch(t, n, server, policy)
				s := alice.open(uri(server.addr))
				alice.say(s, "one")
				settle(time.Second)
				for range 20 {
					eve.forge(alice.addr)
				}
				settle(100 * time.Millisecond)
				alice.say(s, "two")
				settle(10 * time.Second)
				for range 20 {
					eve.forge(alice.addr)
				}
				settle(100 * time.Millisecond)
				st := server.stats()
				if len(server.reasons()) != 0 || server.opened() != 1 || st.Overridden != 0 || st.Unproven == 0 || st.Unproven > 4 {
					t.Errorf("closed: %v, %d opened, %+v", server.reasons(), server.opened(), st)
				}
				server.do(func(e *rtmfp.Engine) {
					if e.At(alice.addr) != server.session(0) {
						t.Error("another session is at the address")
					}
				})
				server.say(server.session(0), "back")
				settle(40 * time.Second)
				if got := server.got(); !slices.Equal(got, []string{"one", "two"}) {
					t.Errorf("server got %q", got)
				}
				if got := alice.got(); !slices.Equal(got, []string{"back"}) {
					t.Errorf("alice got %q", got)
				}
				if st := server.stats(); st.Sessions != 1 || st.Unproven != 0 || len(server.reasons()) != 0 {
					t.Errorf("closed: %v, %+v", server.reasons(), st)
				}
			})
		})
	}
}

// restarted is a client whose program was killed and runs again at the same port, under
// the same certificate, while its old session stands.
func restarted(t *testing.T, n *memnet.Network, policy flash.Policy) (server, again *party) {
	strictly := func(c *rtmfp.Config) { c.Policy = policy }
	server = newParty(t, n, serverAddr, serverIdentity(t), strictly)
	alice := newParty(t, n, aliceAddr, clientIdentity(t), strictly)
	alice.say(alice.open(uri(server.addr)), "one")
	settle(time.Second)
	n.Cut(alice.addr)
	return server, newParty(t, n, aliceAddr, alice.id, strictly)
}

// The client that comes back is connected by its first repeat if the RIKeying was lost,
// whenever somebody forges others.
func TestRestartedClientAmongForgedIIKeyings(t *testing.T) {
	for name, c := range map[string]struct {
		policy flash.Policy
		at     []time.Duration // forged IIKeyings
	}{
		"alone":    {},
		"before":   {at: slices.Repeat([]time.Duration{45 * time.Millisecond}, 20)},
		"after":    {at: slices.Repeat([]time.Duration{65 * time.Millisecond}, 20)},
		"hmac":     {policy: strict, at: slices.Repeat([]time.Duration{65 * time.Millisecond}, 20)},
		"all over": {at: []time.Duration{45e6, 70e6, 100e6, 150e6, 200e6, 300e6, 400e6, 500e6, 600e6, 700e6, 800e6, 900e6, 950e6, 990e6, 1010e6, 1020e6, 1030e6, 1040e6, 1050e6, 1070e6}},
		"during":   {at: slices.Repeat([]time.Duration{1070 * time.Millisecond}, 20)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(20, line)
				server, again := restarted(t, n, c.policy)
				eve := watch(t, n, server, c.policy)
				again.say(again.open(uri(server.addr)), "two")
				start := time.Now()
				// The IIKeying leaves after 40 ms, is there after 60, and its answer is lost.
				for _, at := range c.at {
					time.AfterFunc(at, func() { eve.forge(again.addr) })
				}
				time.AfterFunc(50*time.Millisecond, func() { n.SetPath(memnet.Path{Delay: line.Delay, Loss: 1}) })
				time.AfterFunc(90*time.Millisecond, func() { n.SetPath(line) })
				settle(1030 * time.Millisecond)
				if r := server.reasons(); len(r) != 0 {
					t.Fatalf("closed before the new session was proven: %v", r)
				}
				settle(130*time.Millisecond - time.Since(start)%time.Millisecond)
				if r := server.reasons(); len(r) != 1 || r[0] != rtmfp.ErrOverridden {
					t.Errorf("closed: %v; %+v", r, server.stats())
				}
				if got := server.got(); !slices.Equal(got, []string{"one", "two"}) {
					t.Errorf("got %q", got)
				}
				settle(time.Minute)
				server.do(func(e *rtmfp.Engine) {
					if e.At(again.addr) != server.session(1) {
						t.Error("the new session is not at the address")
					}
				})
				if st := server.stats(); st.Sessions != 1 || st.Unproven != 0 || st.Overridden != 1 || server.opened() != 2 {
					t.Errorf("%d opened, %+v", server.opened(), st)
				}
			})
		})
	}
}

// A session asked for before the one that stands does not come back by a late packet.
func TestLatePacketOfAnOlderSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(20, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		first := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		var late [][]byte // what the first sends under its session key
		first.say(first.open(uri(server.addr)), "one")
		settle(70 * time.Millisecond) // the RIKeying is on its way
		n.Watch(func(_, to netip.AddrPort, data []byte) {
			if to == server.addr {
				late = append(late, bytes.Clone(data))
			}
		})
		n.SetPath(memnet.Path{Loss: 1})
		settle(50 * time.Millisecond)
		n.Watch(nil)
		n.SetPath(line)
		n.Cut(first.addr)
		again := newParty(t, n, aliceAddr, first.id, nil)
		again.say(again.open(uri(server.addr)), "two")
		settle(time.Second)
		if len(late) == 0 || !slices.Equal(server.got(), []string{"two"}) {
			t.Fatalf("%d late packets, server got %q", len(late), server.got())
		}
		for _, p := range late {
			n.Inject(again.addr, server.addr, p)
		}
		settle(time.Second)
		if r := server.reasons(); len(r) != 0 || server.opened() != 1 {
			t.Errorf("closed: %v, %d opened, got %q", r, server.opened(), server.got())
		}
	})
}
