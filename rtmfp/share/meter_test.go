package share

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp/flow"
)

var epoch = time.Unix(1_700_000_000, 0)

// taking has each of some sources ask a thousand times a second, for ten seconds, and tells
// how much each got in the last five.
func taking(m *Meter, r Rate, sources []netip.AddrPort, cost float64) map[netip.AddrPort]float64 {
	got := map[netip.AddrPort]float64{}
	for i := range 10_000 {
		for _, s := range sources {
			if m.Take(epoch.Add(time.Duration(i)*time.Millisecond), s, cost, r) == flow.Granted && i >= 5000 {
				got[s] += cost
			}
		}
	}
	return got
}

func TestMeter(t *testing.T) {
	r := Rate{PerSecond: 1000, Burst: 2000, Peer: 5, Prefix: 10, Wide: 50}
	source := func(a, b, c byte, port uint16) netip.AddrPort { return netip.AddrPortFrom(at(a, b, c, 1), port) }

	// Alone one peer has all of the burst that others do not want, and its share of the rate.
	var alone Meter
	n := 0
	for alone.Take(epoch, source(10, 1, 1, 5), 1, r) == flow.Granted {
		n++
	}
	if n < 1000+90 || n > 1000+101 {
		t.Errorf("alone it has %d", n)
	}
	// A crowd of one prefix, and one of a whole network, leave others what they want.
	var crowd []netip.AddrPort
	for i := range uint16(100) {
		crowd = append(crowd, source(10, 1, 1, 1000+i), source(10, 2, byte(i), 1000))
	}
	honest := source(198, 51, 100, 5000)
	var m Meter
	got := taking(&m, r, crowd, 1)
	sum := 0.0
	for _, n := range got {
		sum += n
	}
	if sum > 5*1000+50 {
		t.Errorf("%v in five seconds", sum)
	}
	served := 0
	for i := range 100 {
		now := epoch.Add(10*time.Second + time.Duration(i)*100*time.Millisecond)
		for _, s := range crowd {
			m.Take(now, s, 1, r)
		}
		if m.Take(now, honest, 1, r) == flow.Granted {
			served++
		}
	}
	if served != 100 {
		t.Errorf("one that asks ten times a second got %d of 100", served)
	}
	// 200 networks that want all of it: the next one gets as much as each of them.
	crowd = crowd[:0]
	for i := range byte(200) {
		crowd = append(crowd, source(i, 1, 1, 1000))
	}
	var full Meter
	got = taking(&full, r, append(crowd, honest), 1)
	if got[honest] < 5*1000/201*0.5 {
		t.Errorf("it got %v, another %v", got[honest], got[crowd[0]])
	}
	// What is larger than the burst passes, and the next waits.
	var large Meter
	if large.Take(epoch, honest, 10_000, r) != flow.Granted || large.Take(epoch.Add(7900*time.Millisecond), honest, 1, r) != flow.OverLimit {
		t.Error("a large one is not paid for")
	}
	if !large.Strained(epoch.Add(8500*time.Millisecond), r) || large.Take(epoch.Add(8500*time.Millisecond), honest, 1, r) != flow.Granted {
		t.Error("nothing after it was paid for")
	}
	if large.Strained(epoch.Add(9500*time.Millisecond), r) {
		t.Error("strained for ever")
	}
	if large.Take(epoch, honest, 1e9, Rate{}) != flow.Granted {
		t.Error("no rate refuses")
	}
}

// Parts are forgotten as soon as nobody has to be held back.
func TestMeterForgets(t *testing.T) {
	r := Rate{PerSecond: 100, Burst: 100, Prefix: 10}
	var m Meter
	for i := range 3 * maxParts {
		m.Take(epoch, netip.MustParseAddrPort(fmt.Sprintf("10.%d.%d.1:1", i>>8, i&255)), 0.01, r)
	}
	if len(m.parts) > maxParts {
		t.Errorf("%d parts", len(m.parts))
	}
	m.Take(epoch.Add(time.Minute), netip.MustParseAddrPort("10.0.0.1:1"), 1, r)
	if m.parts != nil {
		t.Errorf("%d parts, strained no more", len(m.parts))
	}
}
