package introducer

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// fuzzedIdentities are those of two clients: keys take longer than all else.
var fuzzedIdentities = sync.OnceValue(func() (list [2]*flash.Identity) {
	for i := range list {
		list[i], _ = flash.NewIdentity(flash.IdentityOptions{})
	}
	return list
})

// What a fuzzed client can do beside calling commands.
const (
	fuzzJoin = iota
	fuzzJoinGroup
	fuzzLeave
	fuzzSay
	fuzzWait
	fuzzEnd
	fuzzSteps
)

// Whatever two clients call and join, each step a kind, whose it is, a length and so many
// bytes: when they have gone nothing of it is left, and what came out of it was no more
// than may be.
func FuzzNode(f *testing.F) {
	names := slices.Sorted(maps.Keys(rpcs))
	step := func(kind, who byte, body []byte) []byte { return append([]byte{kind, who, byte(len(body))}, body...) }
	text := amf.Append(nil, amf.String("alice"))
	for i := range names {
		kind := byte(fuzzSteps + i)
		f.Add(slices.Concat(step(kind, 0, text), step(kind, 3, text), step(fuzzWait, 0, nil), step(kind, 1, text), step(fuzzEnd, 0, nil), step(kind, 3, nil)))
	}
	at := func(name string) byte { return byte(fuzzSteps + slices.Index(names, name)) }
	f.Add(slices.Concat(
		step(at("presence.watch"), 1, text), step(at("presence.register"), 0, text), step(at("presence.release"), 0, text),
		step(at("watch"), 3, nil), step(at("relay"), 3, references(0, 20, 40)), step(at("broadcast"), 0, references(0, 100, 20))))
	f.Add(slices.Concat(
		step(fuzzJoinGroup, 0, []byte("g")), step(fuzzJoinGroup, 1, []byte("g")), step(fuzzJoinGroup, 1, []byte("h")), step(fuzzWait, 0, nil),
		step(fuzzLeave, 1, nil), step(fuzzJoin, 0, []byte{1, 5, 0x10, 's'}), step(fuzzSay, 0, hashedJoin("g")), step(fuzzEnd, 1, nil)))
	f.Fuzz(func(t *testing.T, script []byte) {
		n := newNetwork(t)
		node, _, home := n.node(Config{})
		var users [2]*bare
		var joined [2]*flow.SendFlow
		for i, addr := range []string{"198.51.100.1:5000", "203.0.113.1:6000"} {
			users[i] = n.bareAs(home, addr, "app", nil, fuzzedIdentities()[i])
			users[i].got = nil
		}
		join := func(who int, message []byte) {
			g, err := users[who].session.OpenFlow(groupMetadata, flow.SendOptions{})
			if err == nil && g.Write(message, flow.WriteOptions{}) == nil {
				joined[who] = g
			}
		}
		sent := 0
		for steps := 0; len(script) >= 3 && steps < 64; steps++ {
			kind, who, target, size := int(script[0]), int(script[1]&1), int(script[1]>>1&1), min(int(script[2]), len(script)-3)
			body := script[3 : 3+size]
			script = script[3+size:]
			if kind %= fuzzSteps + len(names); kind >= fuzzSteps {
				var first amf.Args
				if target != 0 {
					first = amf.Args{amf.String(users[1-who].id.PeerID().String())}
				}
				payload := append(amf.Append(nil, append(amf.Args{amf.String(names[kind-fuzzSteps]), amf.Number(7), amf.Null{}}, first...)...), body...)
				_ = users[who].control.Write(netconn.Message{Type: netconn.TypeCommand, Payload: payload}.Append(nil), flow.WriteOptions{})
				sent += len(payload)
				continue
			}
			switch kind {
			case fuzzJoin:
				join(who, body)
			case fuzzJoinGroup:
				join(who, hashedJoin(string(body)))
			case fuzzSay:
				if joined[who] != nil {
					_ = joined[who].Write(body, flow.WriteOptions{})
				}
			case fuzzLeave:
				if joined[who] != nil {
					joined[who].Close()
				}
			case fuzzWait:
				n.wait(300 * time.Millisecond)
			case fuzzEnd:
				users[who].session.Close()
			}
		}
		n.wait(time.Second)
		for i, u := range users {
			got := 0
			for _, c := range u.got {
				if c.Name == "onRelay" {
					got += c.Size
				}
			}
			// Of each call, to both.
			if most := growth*sent + 64*2*slack; got > most {
				t.Fatalf("%d got %d bytes of messages, for %d", i, got, sent)
			}
			u.session.Close()
		}
		n.wait(2 * estateLife)
		if node.ledger.Places() != 0 || len(node.tenants) != 0 || len(node.followers) != 0 || len(node.rooms) != 0 ||
			node.everybody.len() != 0 || len(node.peers) != 0 || !node.groups.Empty() || node.spreads.queue.Len() != 0 {
			t.Fatalf("left: %d prefixes, %d tenants, %d followed, %d applications, %d listed, %d peers, groups %v, %d on their way",
				node.ledger.Places(), len(node.tenants), len(node.followers), len(node.rooms), node.everybody.len(), len(node.peers),
				!node.groups.Empty(), node.spreads.queue.Len())
		}
	})
}

// bareAs is bareOf for a client that has an identity.
func (n *network) bareAs(at netip.AddrPort, addr, app string, args []byte, id *flash.Identity) *bare {
	n.t.Helper()
	b := &bare{net: n, id: id, app: app, args: args}
	e, _ := n.add(addr, rtmfp.Config{Identity: b.id, Handler: b, SequentialIDs: true})
	var err error
	b.session, err = e.Open(rtmfp.Target{EPD: flash.EPD{HasAncillary: true, Ancillary: []byte("rtmfp://x/app")}, Addrs: []netip.AddrPort{at}}, b)
	if err != nil {
		n.t.Fatal(err)
	}
	n.wait(100 * time.Millisecond)
	return b
}
