package bench

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

const (
	junkRate   = 100_000 // per second
	helloRate  = 50_000
	floodFirst = 1 << 15 // sources of floods, apart from those of peers
	floodPeers = 30_000
	floodBurst = 200 // packets between two looks at the socket
	junkSize   = 100 // bytes
)

// junk sends random bytes from many sources, while peers join.
func (l *load) junk() ([]Value, error) {
	random := rand.NewChaCha8([32]byte(l.keys.seed()))
	b := make([]byte, junkSize)
	return l.flood(junkRate, func(source int) {
		_, _ = random.Read(b) // never fails
		l.send(source, b)
	})
}

// helloFlood sends IHellos as Flash would from many sources, while peers join.
func (l *load) helloFlood() ([]Value, error) {
	var tag [16]byte
	copy(tag[8:], l.keys.run[:])
	n := uint64(0)
	return l.flood(helloRate, func(source int) {
		n++
		binary.BigEndian.PutUint64(tag[:], n)
		l.send(source, l.hello(l.keys.epd, tag[:]))
	})
}

// flood sends packets at a rate for the configured time. Peers join in the
// first half; memory is what the last quarter left behind, when they have
// settled.
func (l *load) flood(rate int, send func(source int)) ([]Value, error) {
	joined, begun, answered := 0, 0, 0
	l.onReady = func(*peer) { joined++ }
	l.onStray = func(int, []byte) { answered++ }
	defer func() { l.onReady, l.onStray = nil, nil }()

	start := time.Now()
	packets, joins := pace{start: start, perSecond: rate}, pace{start: start, perSecond: joinRate}
	quarter := time.Duration(l.cfg.Seconds) * time.Second / 4
	var used [5]usage // at the end of each quarter
	for i := range used {
		var err error
		if used[i], err = l.usage(); err != nil {
			return nil, err
		}
		if i == len(used)-1 {
			break
		}
		if err := l.run(quarter, func() (time.Time, bool) {
			for range min(packets.due(l.now), floodBurst) {
				send(floodFirst + packets.sent%floodPeers)
				packets.sent++
			}
			for i < 2 && joins.due(l.now) > 0 {
				l.open(begun, group2, true)
				begun++
				joins.sent++
			}
			return packets.next(), false
		}); err != nil {
			return nil, err
		}
	}
	all := used[4].since(used[0])
	values := []Value{
		{"sent", float64(packets.sent) / all.time.Seconds(), "/s"},
		{"answered", percent(answered, packets.sent), "%"},
		{"joins", percent(joined, begun), "%"},
	}
	values = append(values, all.core()...)
	values = append(values, used[4].since(used[3]).memory("memory", packets.sent/4, "B/packet", 1)...)
	return values, l.closeAll()
}
