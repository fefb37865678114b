package bench

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"pileus/rtmfp/wire"
)

const (
	keyingRate     = 4_200 // per second: 20 Mbit/s with the IHellos before them
	keyingPrefixes = 256
	keyingLate     = 3 * time.Second // for who joins when the flood ends
)

// keyingFlood has 256 prefixes ask for public-key work without end, each time with
// another certificate and a cookie of its own, while peers join.
func (l *load) keyingFlood() ([]Value, error) {
	random := rand.NewChaCha8([32]byte(l.keys.seed()))
	var tag [16]byte
	var component []byte // one for all: the server's work is the same
	sent, before := 0, l.bytesOut
	l.onStray = func(source int, datagram []byte) {
		chunks, ok := l.startup(datagram)
		if !ok {
			return
		}
		typ, body, _, ok := wire.NextChunk(chunks)
		if !ok || typ != wire.ChunkRHello {
			return
		}
		c, err := wire.ParseRHello(body)
		if err != nil {
			return
		}
		cert := l.keys.certificate(group14, floodFirst+sent)
		if component == nil {
			keying, err := l.keys.begin(group14, cert, c.Certificate)
			if err != nil {
				return
			}
			component = keying.Component()
		}
		b := wire.IIKeying{
			SessionID: nearID, Cookie: c.Cookie, Certificate: cert, Component: component, Signature: []byte{'X'},
		}.Append(l.beginStartup())
		l.send(source, l.sealer.Finish(b, wire.SessionID{}))
		sent++
	}
	var times []time.Duration
	l.onReady = func(p *peer) { times = append(times, l.now.Sub(p.began)) }
	defer func() { l.onReady, l.onStray = nil, nil }()

	u, err := l.usage()
	if err != nil {
		return nil, err
	}
	start, length := time.Now(), time.Duration(l.cfg.Seconds)*time.Second
	hellos, joins := pace{start: start, perSecond: keyingRate}, pace{start: start, perSecond: joinRate}
	if err := l.run(length, func() (time.Time, bool) {
		for range min(hellos.due(l.now), floodBurst) {
			_, _ = random.Read(tag[:]) // never fails
			l.send(floodFirst+hellos.sent%keyingPrefixes, l.hello(l.keys.epd, tag[:]))
			hellos.sent++
		}
		for joins.due(l.now) > 0 {
			l.open(joins.sent, group2, true)
			joins.sent++
		}
		return hellos.next(), false
	}); err != nil {
		return nil, err
	}
	flooded, out := sent, l.bytesOut-before
	d, err := l.since(u)
	if err != nil {
		return nil, err
	}
	l.onStray = nil
	if err := l.sleep(keyingLate); err != nil {
		return nil, err
	}
	if len(times) == 0 {
		return nil, errors.New("nobody could join")
	}
	slices.Sort(times)
	values := []Value{
		{"sent", float64(flooded) / d.time.Seconds(), "/s"},
		{"load", float64(out*8) / d.time.Seconds() / 1e6, "Mbit/s"},
		{"joins", percent(len(times), joins.sent), "%"},
		{"median", 1e3 * times[len(times)/2].Seconds(), "ms"},
		{"99%", 1e3 * times[len(times)*99/100].Seconds(), "ms"},
	}
	return append(values, d.core()...), l.closeAll()
}
