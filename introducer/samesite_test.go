package introducer

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp"
)

// Two hosts of one site: they meet at the address that NATS measured, or it takes
// a relay.
func TestSameSite(t *testing.T) {
	for name, want := range map[string]string{
		"N9": "local", "N9f": "local", "N9y": "local", "N10": "local",
		"N10s": "observed", "N10c": "observed",
		"N9s": "relay", "N9c": "relay",
	} {
		for _, order := range [][2]int{{0, 1}, {1, 0}} {
			t.Run(name, func(t *testing.T) {
				n := newNetwork(t)
				n.slow(20 * time.Millisecond)
				node, at := n.probingNode(2)
				var plan PlanInfo
				node.cfg.Observe = func(e Event) {
					if e.Kind == PeersIntroduced {
						plan = e.Plan
					}
				}
				hosts := [2]*user{n.resident(at, name, 1, 5000), n.lodger(at, 1, 6000)}
				initiator, target := hosts[order[0]], hosts[order[1]]
				public := node.peers[target.id.PeerID()].Addr()
				if public.Addr() != node.peers[initiator.id.PeerID()].Addr().Addr() {
					t.Fatal("they are not at one site")
				}
				s, err := initiator.engine.Open(rtmfp.Target{EPD: target.id.Certificate().EPD(), Addrs: []netip.AddrPort{at}}, sessions{initiator})
				if err != nil {
					t.Fatal(err)
				}
				began := n.Now()
				n.WaitUntil(1200*time.Millisecond, s.Open)
				took, got := n.Now().Sub(began), "relay"
				switch {
				case s.Open() && s.Addr() == target.addr:
					got = "local"
				case s.Open() && s.Addr().Addr() == public.Addr():
					got = "observed"
				case s.Open():
					got = s.Addr().String()
				}
				most := map[string]time.Duration{"local": 60 * time.Millisecond, "observed": 120 * time.Millisecond, "relay": 1300 * time.Millisecond}
				if got != want || took > most[want] {
					t.Errorf("%s after %v, want %s; plan %v: %s", got, took, want, plan.Strategy, plan.Why)
				}
				if want == "relay" && !strings.Contains(plan.Why, "does not turn packets around") {
					t.Errorf("the plan does not know: %s", plan.Why)
				}
			})
		}
	}
}
