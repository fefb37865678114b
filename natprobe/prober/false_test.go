package prober_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v2"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// The results of other tools that are known to be false, each by its cause.

// A single answer that is lost is no filter, and changes nothing.
func TestSingleLostAnswer(t *testing.T) {
	for _, name := range []string{"N0", "N2", "N3", "N4", "N5", "N6"} {
		kind, _ := lab.KindNamed(name)
		for lost := 1; lost <= 24; lost++ {
			n := newNetwork(kind, true, 0, 3)
			n.drops = func(nth int) bool { return nth == lost }
			r, _, err := run(t, n, main)
			if err != nil || r.Class != wants[name].class && r.Class != natprobe.ClassUnknown {
				t.Errorf("%s without answer %d: %v, %v", name, lost, r.Class, err)
			}
		}
	}
}

// That the second address was written to opens the filter for it: the filter must
// have been tested before, and what was tested after does not count.
func TestSecondAddressOpenedByTheTest(t *testing.T) {
	kind, _ := lab.KindNamed("N3")
	r, _, err := run(t, newNetwork(kind, true, 0, 1), main)
	if err != nil || r.Behavior.Filtering != natprobe.ADF {
		t.Fatalf("%v %v", err, r.Behavior.Filtering)
	}
	began := r.Began()
	var opened []natprobe.Observation
	for _, o := range r.Runs[0].Observations {
		if o.Kind == natprobe.KindFilter { // as it would pass after the mapping test
			o.Since, o.At, o.Tries, o.Hits = r.End(), r.End().Add(time.Millisecond), 1, 1
		}
		opened = append(opened, o)
	}
	b := natprobe.Classify(opened, began.Add(time.Minute))
	if b.Filtering != natprobe.FilteringUnknown {
		t.Errorf("a filter that the test itself opened is %v", b.Filtering)
	}
}

// A firewall without translation is no NAT.
func TestFirewallWithoutNAT(t *testing.T) {
	kind, _ := lab.KindNamed("N1")
	r, _, err := run(t, newNetwork(kind, true, 0, 1), main)
	if err != nil || r.Class != natprobe.Firewall || r.Behavior.Public.Answer != natprobe.Yes || !strings.Contains(r.Verdict, "firewall") {
		t.Errorf("%v %q", err, r.Verdict)
	}
}

// A server whose second address is its first one tells no more than one address
// can.
func TestOtherAddressOfTheSameIP(t *testing.T) {
	for _, name := range []string{"N2", "N3", "N4", "N5"} {
		kind, _ := lab.KindNamed(name)
		n := newNetwork(kind, false, 0, 1)
		n.answers = func(answer []byte) []byte {
			var m stun.Message
			if stun.Decode(answer, &m) != nil {
				return answer
			}
			other := stun.OtherAddress{IP: lab.FirstNodeAddress.AsSlice(), Port: 3479}
			if other.AddTo(&m) != nil {
				return answer
			}
			return m.Raw
		}
		r, _, err := run(t, n, main)
		if err != nil || r.Class != natprobe.ClassUnknown || r.Behavior.Filtering != natprobe.FilteringUnknown || r.Behavior.Mapping == natprobe.EIM {
			t.Errorf("%s: %v %v %v", name, err, r.Class, r.Behavior.Filtering)
		}
		if len(r.Runs[0].Notes) == 0 || !strings.Contains(r.Runs[0].Notes[0], "its own address") {
			t.Errorf("%s: %q", name, r.Runs[0].Notes)
		}
	}
}

// A new mapping, though the old one lives, is no symmetric NAT: one change in the
// middle of the test explains all that differs.
func TestNewMappingWhileTheOldOneLives(t *testing.T) {
	kind, _ := lab.KindNamed("N4")
	r, _, err := run(t, newNetwork(kind, true, 0, 1), main)
	if err != nil {
		t.Fatal(err)
	}
	moved := netip.MustParseAddrPort("198.51.100.1:61234")
	var obs []natprobe.Observation
	mappings := 0
	for _, o := range r.Runs[0].Observations {
		if o.Kind == natprobe.KindMapping {
			mappings++
		}
		if mappings > 1 && (o.Kind == natprobe.KindMapping || o.Kind == natprobe.KindControlMapping || o.Kind == natprobe.KindObserved) {
			o.Seen = moved
		}
		obs = append(obs, o)
	}
	if b := natprobe.Classify(obs, r.End()); b.Mapping.Dependent() {
		t.Errorf("the mapping is %v", b.Mapping)
	}
}

// A symmetric NAT that keeps ports for the first destinations is seen under load.
func TestSymmetricOnlyAfterSomeDestinations(t *testing.T) {
	kind, _ := lab.KindNamed("N4")
	n := newNetwork(kind, true, 0, 1)
	synctest.Test(t, func(t *testing.T) {
		found, err := prober.Ask(t.Context(), prober.Config{Server: main, Listen: n.listen})
		if err != nil {
			t.Fatal(err)
		}
		b := natprobe.Classify(found.Observations, time.Now())
		for _, keeps := range []int{0, 5} {
			n.keeps = keeps
			d, _ := prober.Measure(t.Context(), prober.DepthConfig{
				Config: prober.Config{Server: main, Listen: n.listen}, Run: found, Behavior: b,
			})
			if d.Load == nil || d.Load.Changed() != (keeps > 0) || keeps > 0 && d.Load.KeptFor != keeps {
				t.Errorf("a NAT that keeps %d: %+v", keeps, d.Load)
			}
			rec := report.Record{Runs: []report.Run{found}, Depth: d}
			if r := report.New(rec, time.Now(), nil); (r.Behavior.Mapping == natprobe.EIM) != (keeps == 0) {
				t.Errorf("a NAT that keeps %d is called %q", keeps, r.Verdict)
			}
		}
	})
}
