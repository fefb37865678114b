package prober_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// measured is the depth of a site whose first NAT was changed.
func measured(t *testing.T, name string, loss float64, lifetime time.Duration, change func(*lab.Behavior)) (d report.Depth, notes []string) {
	t.Helper()
	kind, ok := lab.KindNamed(name)
	if !ok {
		t.Fatal("no such kind")
	}
	change(&kind.Chain[0])
	n := newNetwork(kind, true, loss, 1)
	synctest.Test(t, func(t *testing.T) {
		found, err := prober.Ask(t.Context(), prober.Config{Server: main, Listen: n.listen})
		if err != nil {
			t.Fatal(err)
		}
		d, notes = prober.Measure(t.Context(), prober.DepthConfig{
			Config: prober.Config{Server: main, Listen: n.listen}, Run: found,
			Behavior: natprobe.Classify(found.Observations, time.Now()), Lifetime: lifetime,
		})
	})
	return d, notes
}

// Whatever the NAT, the lifetime is known within a tenth, and whether packets from
// outside prolong it.
func TestLifetime(t *testing.T) {
	for _, name := range []string{"N1", "N2", "N4", "N6"} {
		for _, life := range []time.Duration{12 * time.Second, 30 * time.Second, 61 * time.Second, 120 * time.Second, 300 * time.Second} {
			for _, refresh := range []bool{false, true} {
				for _, loss := range []float64{0, 0.1} {
					t.Run(fmt.Sprintf("%s/%v/refresh=%v/loss=%v", name, life, refresh, loss), func(t *testing.T) {
						d, notes := measured(t, name, loss, life*3/2, func(b *lab.Behavior) { b.Lifetime, b.InboundRefresh = life, refresh })
						if d.Lifetime == nil {
							t.Fatalf("not measured: %q", notes)
						}
						for what, s := range map[string]report.Span{"fresh": d.Lifetime.Fresh, "used": d.Lifetime.Used} {
							if off := math.Abs(s.Seconds()/life.Seconds() - 1); off > 0.1 {
								t.Errorf("%s: %v, %.0f %% off", what, s, off*100)
							}
						}
						want := map[bool]natprobe.Answer{false: natprobe.No, true: natprobe.Yes}[refresh]
						if got := d.Lifetime.InboundRefresh; got.Answer != want && (loss == 0 || got.Answer != natprobe.Unknown) {
							t.Errorf("inbound refresh: %+v", got)
						}
					})
				}
			}
		}
	}
}

func TestLifetimeBeyondTheLimit(t *testing.T) {
	d, notes := measured(t, "N4", 0, 20*time.Second, func(b *lab.Behavior) { b.Lifetime = time.Minute })
	if l := d.Lifetime; l == nil || l.Fresh.Below != 0 || l.Fresh.AtLeast < 18 || l.InboundRefresh.Answer != natprobe.Unknown {
		t.Errorf("%+v %q", l, notes)
	}
}

// Somebody who rewrites addresses in payloads is found, and nobody else.
func TestALG(t *testing.T) {
	for _, mangles := range []bool{false, true} {
		d, _ := measured(t, "N2", 0, 0, func(b *lab.Behavior) { b.ALG = mangles })
		if d.ALG == nil || d.ALG.Answers == 0 || (d.ALG.Mangled == d.ALG.Answers) != mangles || (d.ALG.Mangled > 0) != mangles {
			t.Errorf("mangles %t: %+v", mangles, d.ALG)
		}
	}
}
