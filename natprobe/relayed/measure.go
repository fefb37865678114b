package relayed

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of a measurement: it loads a server that others use.
const (
	MaxRate  = 50_000_000 // bits a second of payload
	MaxTime  = time.Minute
	MaxBytes = 100_000_000 // of payload, each way: the rate times the time
)

const (
	payload     = 1000        // bytes of a packet
	headerBytes = 16          // magic, number, time
	magic       = 0x6e61_7470 // in every packet: others may send here, too
	tick        = 5 * time.Millisecond
	straggle    = time.Second // for the last packets

	helloTries = 20
	helloEvery = 100 * time.Millisecond
)

// Way is what became of the packets of one direction.
type Way struct {
	Sent       int     `json:"sent"`
	Received   int     `json:"received"`
	Loss       float64 `json:"loss"`                // share of the packets sent, for good
	PacketLoss float64 `json:"packetLoss,omitzero"` // through a splice: share that was lost on the way, and sent again
	Rate       float64 `json:"bitsPerSecond"`       // of payload, as received
	Delay      float64 `json:"delayMs,omitzero"`    // one way, mean; through TURN
	Jitter     float64 `json:"jitterMs"`            // RFC 3550 section 6.4.1
	OutOfOrder int     `json:"outOfOrder"`
}

// Schema names the form of a Result, which relay.schema.json describes.
const Schema = "natprobe/relay/1"

// Splice is how a Result calls the relay of a node for RTMFP peers.
const Splice = "splice"

// Result is what a relay does to packets at a given rate.
type Result struct {
	Schema    string         `json:"schema"`
	Server    string         `json:"server"`
	Over      string         `json:"over"` // "udp", "tcp" or "tls", to a TURN server; Splice
	Relayed   netip.AddrPort `json:"relayed"`
	Asked     float64        `json:"askedBitsPerSecond"` // each way
	Seconds   float64        `json:"seconds"`
	RTT       float64        `json:"rttMs"`                // through TURN: the two delays together
	LoadedRTT float64        `json:"loadedRttMs,omitzero"` // through a splice, where RTT is that without a load
	ToRelay   Way            `json:"toRelay"`              // through a splice: to the other end
	Back      Way            `json:"back"`
	Notes     []string       `json:"notes,omitzero"`
}

// Measure sends packets through a relay at rate bits a second for a time, both ways
// at once: between the client of the relay and a plain socket of this host, which
// is its peer. Both have one clock, so that delays are true ones.
func Measure(ctx context.Context, s Server, rate float64, duration time.Duration) (Result, error) {
	r := Result{Schema: Schema, Server: s.String(), Over: s.Transport, Asked: rate}
	a, err := allocate(ctx, s, names)
	if err != nil {
		return r, errors.New(s.reason(err, time.Now()))
	}
	defer a.close()
	r.Relayed = a.relayed
	var lc net.ListenConfig
	peer, err := lc.ListenPacket(ctx, "udp", netip.AddrPortFrom(a.local, 0).String())
	if err != nil {
		return r, err
	}
	defer peer.Close()
	at, err := a.meet(ctx, peer)
	if err != nil {
		return r, err
	}
	began := time.Now()
	out, back := &way{epoch: began, from: a.relay, to: net.UDPAddrFromAddrPort(at), at: peer}, &way{epoch: began, from: peer, to: a.relay.LocalAddr(), at: a.relay}
	var work sync.WaitGroup
	for _, w := range []*way{out, back} {
		work.Go(w.receive)
		work.Go(func() { w.send(ctx, rate, duration) })
	}
	wait := time.NewTimer(duration + straggle)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	r.Seconds = min(time.Since(began), duration).Seconds()
	_ = peer.SetReadDeadline(time.Now())
	_ = a.relay.SetReadDeadline(time.Now())
	work.Wait()
	r.ToRelay, r.Back = out.result(r.Seconds), back.result(r.Seconds)
	r.RTT = r.ToRelay.Delay + r.Back.Delay
	return r, nil
}

var errNotMet = errors.New("the relay is granted, but no packet comes through it: the server forbids this peer's address, or a firewall its ports")

// meet has the peer write to the relay until that hears it, and returns where from:
// behind some NATs this cannot be known before.
func (a *allocation) meet(ctx context.Context, peer net.PacketConn) (netip.AddrPort, error) {
	// Permissions are for an address, whatever the port (RFC 8656 section 9).
	for _, addr := range []netip.Addr{a.mapped.Addr(), a.local} {
		if addr.IsValid() {
			_ = a.client.CreatePermission(net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9))) // forbidden, maybe: see errNotMet
		}
	}
	hello := make([]byte, headerBytes)
	binary.BigEndian.PutUint32(hello, magic)
	buf := make([]byte, payload)
	for range helloTries {
		if ctx.Err() != nil {
			return netip.AddrPort{}, ctx.Err()
		}
		_, _ = peer.WriteTo(hello, a.relay.LocalAddr()) // a loss
		if err := a.relay.SetReadDeadline(time.Now().Add(helloEvery)); err != nil {
			return netip.AddrPort{}, err
		}
		n, from, err := a.relay.ReadFrom(buf)
		if err == nil && n == headerBytes && binary.BigEndian.Uint32(buf) == magic {
			return addrPort(from), a.relay.SetReadDeadline(time.Time{})
		}
	}
	return netip.AddrPort{}, errNotMet
}

// way sends and receives in one direction. Its counts belong to the two goroutines
// until both are done.
type way struct {
	epoch time.Time // of the times in packets
	from  net.PacketConn
	to    net.Addr
	at    net.PacketConn

	sent, received, disorder int
	delays, jitter           float64 // seconds
	last                     float64 // delay of the packet before
	highest                  uint32
}

// send paces by the time that has passed: a late tick sends more.
func (w *way) send(ctx context.Context, rate float64, duration time.Duration) {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	packet := make([]byte, payload)
	binary.BigEndian.PutUint32(packet, magic)
	for {
		elapsed := time.Since(w.epoch)
		if elapsed >= duration {
			return
		}
		for owed := int(elapsed.Seconds() * rate / 8 / payload); w.sent < owed; {
			w.sent++
			binary.BigEndian.PutUint32(packet[4:], uint32(w.sent))
			binary.BigEndian.PutUint64(packet[8:], uint64(time.Since(w.epoch)))
			_, _ = w.from.WriteTo(packet, w.to) // a failure is a loss
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// receive counts until its socket is told to stop.
func (w *way) receive() {
	buf := make([]byte, payload+1)
	for {
		n, _, err := w.at.ReadFrom(buf)
		if err != nil {
			return
		}
		if n != payload || binary.BigEndian.Uint32(buf) != magic {
			continue
		}
		number := binary.BigEndian.Uint32(buf[4:])
		delay := (time.Since(w.epoch) - time.Duration(binary.BigEndian.Uint64(buf[8:]))).Seconds()
		if w.received > 0 {
			w.jitter += (math.Abs(delay-w.last) - w.jitter) / 16
		}
		w.received++
		w.delays += delay
		w.last = delay
		if number < w.highest {
			w.disorder++
		}
		w.highest = max(w.highest, number)
	}
}

func (w *way) result(seconds float64) Way {
	r := Way{Sent: w.sent, Received: w.received, OutOfOrder: w.disorder, Jitter: w.jitter * 1000}
	if w.sent > 0 {
		r.Loss = max(0, 1-float64(w.received)/float64(w.sent))
	}
	if w.received > 0 {
		r.Delay = w.delays / float64(w.received) * 1000
	}
	if seconds > 0 {
		r.Rate = float64(w.received) * payload * 8 / seconds
	}
	return r
}
