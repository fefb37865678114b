package introducer

import (
	"testing"
	"time"

	"pileus/relay/limit"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
)

// The two of an introduction are told how they were to meet, and where a relay
// stands: there is the far end, if they met by it.
func TestExplain(t *testing.T) {
	for _, c := range []struct{ a, b, strategy string }{
		{"N4", "N4", "punch"}, {"N5", "N4", "relay"},
	} {
		t.Run(c.a+" to "+c.b, func(t *testing.T) {
			n := newNetwork(t)
			n.slow(20 * time.Millisecond)
			n.withRelay(2, limit.Config{})
			_, at := n.probingNode(2)
			a, b := n.site(at, c.a, 1), n.site(at, c.b, 2)
			explain := func(u *user, id *flash.Identity) (amf.Object, string) {
				return u.call("introduction.explain", amf.String(id.PeerID().String()))
			}
			if _, code := explain(a, b.id); code != codeNotIntroduced {
				t.Errorf("before: %q", code)
			}
			s, _ := a.meet(b, at, 1200*time.Millisecond)
			s.Ping() // the first packet has the far end accept
			n.wait(100 * time.Millisecond)
			if !s.Open() || len(b.opened) != 1 {
				t.Fatal("they do not meet")
			}
			_, relayed := n.relay.socket[s.Addr()]
			for _, side := range []struct {
				by        *user
				of        *flash.Identity
				initiator bool
				far       string
			}{{a, b.id, true, s.Addr().String()}, {b, a.id, false, b.opened[0].Addr().String()}} {
				o, code := explain(side.by, side.of)
				if code != "" || o.String("strategy") != c.strategy || o.String("reason") == "" || o.Boolean("initiator") != side.initiator {
					t.Errorf("initiator %v is told %v, %q", side.initiator, o, code)
				}
				if (o.String("relay") == side.far) != relayed || relayed != (c.strategy == "relay") {
					t.Errorf("the relay is said to be at %v, the far end is at %v; relayed %v", o.Get("relay"), side.far, relayed)
				}
			}
		})
	}
	n := newNetwork(t)
	_, at := n.probingNode(1)
	u := n.site(at, "N0", 1)
	if _, code := u.call("introduction.explain"); code != codeBadArguments {
		t.Errorf("without a peer: %q", code)
	}
}
