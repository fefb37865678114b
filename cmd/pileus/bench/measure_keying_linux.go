package bench

import (
	"math/rand/v2"
	"time"

	"pileus/rtmfp/wire"
)

const (
	keyingRate     = 4_200 // per second: 20 Mbit/s with the IHellos before them
	keyingNetworks = 250   // they come from, a /24 in each of so many /16s; peers join from one other
)

// keyingFlood has prefixes of many networks ask for public-key work without end, each
// time with another certificate and a cookie of its own, while peers join.
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
	defer func() { l.onStray = nil }()

	u, err := l.usage()
	if err != nil {
		return nil, err
	}
	honest, hellos := l.honest(), pace{start: time.Now(), perSecond: keyingRate}
	if err := l.run(time.Duration(l.cfg.Seconds)*time.Second, func() (time.Time, bool) {
		for range min(hellos.due(l.now), floodBurst) {
			_, _ = random.Read(tag[:]) // never fails
			l.send((1+hellos.sent%keyingNetworks)<<8, l.hello(l.keys.epd, tag[:]))
			hellos.sent++
		}
		honest.join()
		return hellos.next(), false
	}); err != nil {
		return nil, err
	}
	d, err := l.since(u)
	if err != nil {
		return nil, err
	}
	values := []Value{
		{"sent", float64(sent) / d.time.Seconds(), "/s"},
		{"load", float64((l.bytesOut-before)*8) / d.time.Seconds() / 1e6, "Mbit/s"},
	}
	l.onStray = nil
	joins, err := honest.values()
	if err != nil {
		return nil, err
	}
	return append(append(values, joins...), d.core()...), l.closeAll()
}
