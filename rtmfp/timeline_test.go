package rtmfp_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/wire"
)

// inWords is a timeline, a word or two for each packet.
func inWords(list []rtmfp.PacketRecord) string {
	var words []string
	for _, r := range list {
		w := r.Fate
		if r.Sent {
			w = "sent"
		}
		if r.Startup {
			w += " startup"
		}
		for _, c := range r.Chunks {
			if c.Count > 0 {
				w += fmt.Sprintf(" %v", c.Type)
			}
		}
		words = append(words, w)
	}
	return strings.Join(words, "\n")
}

// A watched session's packets are noted, and what introduces it; another's not.
func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		introducing(server)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		bob := newParty(t, n, bobAddr, clientIdentity(t), func(c *rtmfp.Config) { c.Introductions = rtmfp.AnswerIntroductions })
		sa, sb := alice.open(uri(server.addr)), bob.open(uri(server.addr))
		alice.say(sa, "a")
		settle(time.Second)
		bob.say(sb, "b")
		settle(time.Second)

		var ofAlice, ofBob *rtmfp.Timeline
		server.do(func(e *rtmfp.Engine) {
			ofAlice, _ = e.Watch(e.SessionTo(alice.id.PeerID()))
			ofBob, _ = e.Watch(e.SessionTo(bob.id.PeerID()))
		})
		records := func(l *rtmfp.Timeline) (list []rtmfp.PacketRecord) {
			server.do(func(*rtmfp.Engine) { list, _ = l.Records() })
			return list
		}
		alice.open(peer(bob.id, server.addr))
		settle(200 * time.Millisecond)
		if got := inWords(records(ofAlice)); got != "taken startup IHello\nsent startup Redirect" {
			t.Errorf("who looks for a peer:\n%s", got)
		}
		if got := inWords(records(ofBob)); got != "sent FIHello" {
			t.Errorf("who is looked for:\n%s", got)
		}
		alice.say(sa, "hello")
		settle(time.Second)
		list := records(ofAlice)
		if got := inWords(list[2:]); !strings.Contains(got, "taken UserData") || !strings.Contains(got, "AckRanges") {
			t.Errorf("a message:\n%s", got)
		}
		for _, r := range list {
			if r.Peer != alice.addr || r.Local != server.addr || r.Size < 12 || r.At.IsZero() {
				t.Errorf("%+v", r)
			}
		}
		if len(records(ofBob)) != 1 {
			t.Error("a packet of another's is in the timeline")
		}
		before := len(list)
		server.do(func(e *rtmfp.Engine) { e.Unwatch(ofAlice) })
		alice.say(sa, "unseen")
		settle(time.Second)
		if after := len(records(ofAlice)); after != before {
			t.Errorf("%d packets noted after the end", after-before)
		}
	})
}

// What is not taken says why, wherever it comes from.
func TestTimelineTellsFates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		strict := func(c *rtmfp.Config) { c.Policy = flash.Policy{HMAC: flash.Require, SSEQ: flash.Require} }
		server := newParty(t, n, serverAddr, serverIdentity(t), strict)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), strict)
		s := alice.open(uri(server.addr))
		alice.say(s, "hello")
		settle(time.Second)
		var l *rtmfp.Timeline
		server.do(func(e *rtmfp.Engine) { l, _ = e.Watch(e.SessionTo(alice.id.PeerID())) })
		var seen []byte
		n.Watch(func(from, _ netip.AddrPort, data []byte) {
			if from == alice.addr && seen == nil {
				seen = bytes.Clone(data)
			}
		})
		alice.do(func(*rtmfp.Engine) { s.Inject(wire.Ping{Message: []byte("x")}.Append) })
		settle(time.Second)

		stranger := netip.MustParseAddrPort("192.0.2.66:6")
		forged := bytes.Clone(seen)
		forged[len(forged)-1] ^= 1
		server.do(func(e *rtmfp.Engine) {
			for _, d := range []rtmfp.Datagram{
				{Peer: alice.addr, Data: seen},
				{Peer: stranger, Data: forged},
				{Peer: alice.addr, Data: []byte("short")},
				{Peer: alice.addr, Data: []byte("nobody has this session")},
				{Peer: stranger, Data: []byte("nobody has this session")},
			} {
				d.Local = server.addr
				e.Receive(e.Now(), d)
			}
		})
		var list []rtmfp.PacketRecord
		server.do(func(*rtmfp.Engine) { list, _ = l.Records() })
		want := []string{"taken Ping", "sent PingReply", "replay", "hmac", "truncated", "unknown_session"}
		if got := inWords(list); !slices.Equal(strings.Split(got, "\n"), want) {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
}
