package kernel

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"pileus/natprobe/lab"
)

// internet carries IP packets from line to line.
type internet struct {
	delay time.Duration // of each line, one way
	loss  atomic.Uint64 // packets lost of 2^32
	done  chan struct{}
	work  sync.WaitGroup

	mu     sync.RWMutex
	routes map[netip.Addr]*line
	lines  []*line

	unroutable, lost, overflown atomic.Uint64
}

// maxWaiting bounds the packets that wait on a line, each way: 1500 bytes each
// are 100 Mbit/s at 500 ms.
const maxWaiting = 4096

// maxPacket is the longest packet a line carries, its MTU.
const maxPacket = 1500

// line is the way between a site and the rest.
type line struct {
	net      *internet
	device   io.ReadWriteCloser // reads and writes whole IP packets
	delay    time.Duration
	up, down chan timed

	mu  sync.Mutex
	nat *lab.NAT // at the site's end; nil for none
}

// timed is a packet, and when it has crossed the line.
type timed struct {
	packet []byte
	due    time.Time
}

func newInternet(delay time.Duration) *internet {
	return &internet{delay: delay, done: make(chan struct{}), routes: make(map[netip.Addr]*line)}
}

// setLoss has a share of all packets lost, once between any two lines.
func (n *internet) setLoss(share float64) { n.loss.Store(uint64(share * (1 << 32))) }

// connect runs a line until the internet is closed; packets to addrs leave by it.
// extra is how much longer it is than others.
func (n *internet) connect(device io.ReadWriteCloser, nat *lab.NAT, extra time.Duration, addrs ...netip.Addr) {
	l := &line{net: n, device: device, nat: nat, delay: n.delay + extra, up: make(chan timed, maxWaiting), down: make(chan timed, maxWaiting)}
	n.mu.Lock()
	n.lines = append(n.lines, l)
	for _, a := range addrs {
		n.routes[a] = l
	}
	n.mu.Unlock()
	n.work.Go(l.read)
	n.work.Go(func() { l.carry(l.up, n.cross) })
	n.work.Go(func() { l.carry(l.down, l.deliver) })
}

func (n *internet) close() error {
	close(n.done)
	errs := make([]error, 0, len(n.lines))
	for _, l := range n.lines {
		errs = append(errs, l.device.Close())
	}
	n.work.Wait()
	return errors.Join(errs...)
}

// read takes what the site sends.
func (l *line) read() {
	buffer := make([]byte, 1<<16)
	for {
		n, err := l.device.Read(buffer)
		if err != nil {
			if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
				return
			}
			select {
			case <-l.net.done:
				return
			case <-time.After(10 * time.Millisecond): // the device is down for now
				continue
			}
		}
		packet := append([]byte(nil), buffer[:n]...)
		now := time.Now()
		switch l.translate(packet, now, (*lab.NAT).Outbound) {
		case lab.ToOutside:
			l.net.queue(l.up, timed{packet, now.Add(l.delay)})
		case lab.ToInside:
			_, _ = l.device.Write(packet) // a write fails only as the device goes down
		default:
		}
	}
}

// carry hands on what comes, when it is due.
func (l *line) carry(queue chan timed, on func(timed)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.net.done:
			return
		case t := <-queue:
			if wait := time.Until(t.due); wait > 0 {
				timer.Reset(wait)
				select {
				case <-l.net.done:
					return
				case <-timer.C:
				}
			}
			on(t)
		}
	}
}

// cross takes a packet from one line to another. What is late is not made
// later: its time on the second line counts from when it was due.
func (n *internet) cross(t timed) {
	h, ok := parseHeaders(t.packet)
	if !ok {
		return
	}
	n.mu.RLock()
	to := n.routes[h.to.Addr()]
	n.mu.RUnlock()
	switch {
	case to == nil:
		n.unroutable.Add(1)
	case uint64(rand.Uint32()) < n.loss.Load():
		n.lost.Add(1)
	default:
		n.queue(to.down, timed{t.packet, t.due.Add(to.delay)})
	}
}

func (l *line) deliver(t timed) {
	if l.translate(t.packet, time.Now(), (*lab.NAT).Inbound).Dropped() {
		return
	}
	_, _ = l.device.Write(t.packet) // a write fails only as the device goes down
}

// translate rewrites a packet as the line's NAT will have it. A NAT knows UDP
// only.
func (l *line) translate(packet []byte, now time.Time, way func(*lab.NAT, time.Time, lab.Packet) (lab.Packet, lab.Fate)) lab.Fate {
	if l.nat == nil {
		return lab.ToOutside
	}
	h, ok := parseHeaders(packet)
	if !ok || h.udp == nil {
		return lab.DroppedFiltered
	}
	l.mu.Lock()
	p, fate := way(l.nat, now, lab.Packet{Src: h.from, Dst: h.to})
	l.mu.Unlock()
	if !fate.Dropped() {
		h.rewrite(p.Src, p.Dst)
		if l.nat.Behavior().ALG && lab.Mangle(h.udp[udpHeaderLen:], h.to, p.Dst) {
			clear(h.udp[6:8]) // no checksum is as good as the right one (RFC 768)
		}
	}
	return fate
}

func (n *internet) queue(q chan timed, t timed) {
	select {
	case q <- t:
	default:
		n.overflown.Add(1)
	}
}
