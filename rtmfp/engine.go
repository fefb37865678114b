package rtmfp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"net/netip"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/share"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// A Datagram is one UDP payload and its addresses. Local may be the zero value
// on the way out: the driver then picks a socket of Peer's family.
type Datagram struct {
	Local, Peer netip.AddrPort
	TOS         uint8 // the two low bits are ECN
	Data        []byte
}

// Engine is one RTMFP endpoint without IO. Use it from one goroutine: call
// [Engine.Receive], [Engine.Advance] and any other method, then take what they
// produced with [Engine.Flush] and [Engine.NextJob].
type Engine struct {
	cfg   Config
	now   time.Time
	epoch time.Time

	sealer   *flash.Sealer // Default Session Key (RFC 7425 4.1)
	opener   *flash.Opener
	cookies  *cookieJar
	mobility cipher.Block
	seed     maphash.Seed

	sessions map[wire.SessionID]*Session
	byAddr   map[netip.AddrPort]*Session // S_OPEN sessions by far address, chained; those not in unproven
	openings map[string]*Session         // S_IHELLO_SENT and S_KEYING_SENT, by tag
	awaited  map[string]func(local, from netip.AddrPort)
	keyings  map[uint64]struct{} // IIKeyings with a job under way
	asked    uint64              // IIKeyings that got one
	unproven unproven
	seen     seenFilter

	handshakes  *udp.Limiter
	shortHellos *udp.Limiter
	keys        *flash.KeyPool

	lastID uint32
	timers timerQueue
	dirty  []*Session
	behind []func() // see Behind
	out    []Datagram
	free   [][]byte
	jobs   jobQueue
	plain  [MaxReceive]byte
	defrag defragmenter
	sweep  *Timer // of defrag
	shared flow.Shared
	shares shares
	stats  Stats
	tap    *tap // nil: nobody is watched
}

// NewEngine makes an engine whose time starts at now.
func NewEngine(c Config, now time.Time) (*Engine, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	jar, err := newCookieJar(now, c.Rand)
	if err != nil {
		return nil, err
	}
	var secret [16]byte
	if _, err := io.ReadFull(c.Rand, secret[:]); err != nil {
		return nil, err
	}
	mobility, err := aes.NewCipher(secret[:])
	if err != nil {
		return nil, err
	}
	sealer, opener := flash.NewStartup()
	e := &Engine{
		cfg: c, now: now, epoch: now,
		sealer: sealer, opener: opener, cookies: jar, mobility: mobility, seed: maphash.MakeSeed(),
		sessions:    make(map[wire.SessionID]*Session),
		byAddr:      make(map[netip.AddrPort]*Session),
		openings:    make(map[string]*Session),
		keyings:     make(map[uint64]struct{}),
		handshakes:  udp.NewLimiter(c.HandshakeRate, c.HandshakeBurst),
		shortHellos: udp.NewLimiter(shortHelloRate, shortHelloBurst),
		keys:        newKeyPool(c),
		lastID:      1,
		shares:      shares{ledger: share.NewLedger(sharedThings)},
	}
	e.shares.set(c.Shared)
	return e, nil
}

// Receive takes one datagram; its Data is not kept.
func (e *Engine) Receive(now time.Time, d Datagram) {
	e.now = now
	if e.cfg.Beside != nil && e.cfg.Beside(e, d) {
		e.stats.Beside++
		return
	}
	if e.tap == nil {
		e.receive(d)
		return
	}
	t := e.tap // whatever the datagram brings about
	t.begin(e, d)
	e.receive(d)
	t.end()
}

func (e *Engine) receive(d Datagram) {
	e.stats.ReceivedPackets++
	e.stats.ReceivedBytes += uint64(len(d.Data))
	if len(d.Data) > MaxReceive {
		e.drop(DropOversize)
		return
	}
	id, ok := wire.Unscramble(d.Data)
	if !ok {
		e.drop(DropTruncated)
		return
	}
	if id == (wire.SessionID{}) {
		e.receiveStartup(d)
		return
	}
	s := e.sessions[id]
	if s == nil {
		if !e.foreignPacket(d) {
			e.drop(DropUnknownSession)
		}
		return
	}
	s.receive(d)
}

func (e *Engine) foreignPacket(d Datagram) bool {
	if e.cfg.Foreign == nil || !e.cfg.Foreign.Packet(d) {
		return false
	}
	e.countForeign()
	return true
}

func (e *Engine) foreignStartup(d Datagram, typ wire.ChunkType, body []byte) bool {
	if e.cfg.Foreign == nil || !e.cfg.Foreign.Startup(d, typ, body) {
		return false
	}
	e.countForeign()
	return true
}

func (e *Engine) countForeign() {
	e.stats.Foreign++
	if e.tap != nil {
		e.tap.fate(FateForeign)
	}
}

// Advance runs what is due at now.
func (e *Engine) Advance(now time.Time) {
	e.now = now
	at := now.Sub(e.epoch)
	for t := e.timers.due(at); t != nil; t = e.timers.due(at) {
		t.owner.advance()
	}
}

// Deadline is when Advance is wanted next; zero if never.
func (e *Engine) Deadline() time.Time {
	at, ok := e.timers.next()
	if !ok {
		return time.Time{}
	}
	return e.epoch.Add(at)
}

// Now is the instant of the latest Receive or Advance.
func (e *Engine) Now() time.Time { return e.now }

// Flush builds the packets that sessions want to send and hands every waiting
// datagram to send, whose argument is valid during the call only.
func (e *Engine) Flush(send func([]Datagram)) {
	e.relieve()
	e.pack()
	for len(e.behind) > 0 {
		fs := e.behind
		e.behind = nil
		for _, f := range fs {
			f()
		}
		e.pack()
	}
	if len(e.out) == 0 {
		return
	}
	for i := range e.out {
		e.stats.SentPackets++
		e.stats.SentBytes += uint64(len(e.out[i].Data))
	}
	send(e.out)
	for i := range e.out {
		if len(e.free) < maxFree {
			e.free = append(e.free, e.out[i].Data[:0])
		}
		e.out[i] = Datagram{}
	}
	e.out = e.out[:0]
}

// pack builds the packets that sessions want to send.
func (e *Engine) pack() {
	for len(e.dirty) > 0 {
		batch := e.dirty
		e.dirty = nil
		for _, s := range batch {
			s.queued = false
			s.flush()
		}
		if e.dirty == nil {
			clear(batch)
			e.dirty = batch[:0]
		}
	}
}

// Behind has f called, once, when what sessions want to send has been made into
// packets: what f sends leaves in the same turn, behind these.
func (e *Engine) Behind(f func()) { e.behind = append(e.behind, f) }

// maxFree bounds the send buffers kept for reuse.
const maxFree = 256

// buffer is an empty send buffer.
func (e *Engine) buffer() []byte {
	if n := len(e.free); n > 0 {
		b := e.free[n-1]
		e.free = e.free[:n-1]
		return b
	}
	return make([]byte, 0, MaxDatagram+32)
}

// Send sends a datagram of another protocol; its Data is copied.
func (e *Engine) Send(d Datagram) {
	d.Data = append(e.buffer(), d.Data...)
	e.emit(d)
}

func (e *Engine) emit(d Datagram) { e.out = append(e.out, d) }

func (e *Engine) drop(r DropReason) {
	e.stats.Drops[r]++
	if e.tap != nil {
		e.tap.fate(r.String())
	}
}

// dropError counts a failed flash.Opener.Open.
func (e *Engine) dropError(err error) {
	switch {
	case errors.Is(err, flash.ErrHMAC):
		e.drop(DropHMAC)
	case errors.Is(err, flash.ErrReplay):
		e.drop(DropReplay)
	case errors.Is(err, flash.ErrChecksum):
		e.drop(DropChecksum)
	default:
		e.drop(DropTruncated)
	}
}

// Stats is a copy of the counters.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Sessions, s.Unproven, s.Openings = len(e.sessions), len(e.unproven.byKey), len(e.openings)
	s.Memory, s.MemoryLimit, s.Prefixes = e.shares.memory().Held(), e.shares.memory().Limit(), e.shares.ledger.Places()
	s.Waiting = e.jobs.others.Len()
	return s
}

// FlowStats is a copy of the counters of all sessions' flows.
func (e *Engine) FlowStats() flow.Stats { return e.shared.Stats }

// SetHandshakeRate replaces Config.HandshakeRate and HandshakeBurst, whose meaning
// it has; what each prefix has used up is forgotten.
func (e *Engine) SetHandshakeRate(rate, burst int) {
	if rate == 0 {
		rate, burst = defaultHandshakeRate, defaultHandshakeBurst
	}
	e.handshakes = udp.NewLimiter(rate, burst)
}

// Identity is the endpoint's own.
func (e *Engine) Identity() *flash.Identity { return e.cfg.Identity }

// newID picks a receive session ID no session uses. Zero is the startup ID.
func (e *Engine) newID() (wire.SessionID, error) {
	for {
		var id wire.SessionID
		if e.cfg.SequentialIDs {
			// 2 is the first, in little endian: what other clients count from.
			e.lastID++
			binary.LittleEndian.PutUint32(id[:], e.lastID)
		} else if _, err := io.ReadFull(e.cfg.Rand, id[:]); err != nil {
			return id, err
		}
		if _, taken := e.sessions[id]; !taken && id != (wire.SessionID{}) {
			return id, nil
		}
	}
}

var keyGroups = []flash.Group{flash.Group2, flash.Group5, flash.Group14, flash.Group16}

// newKeyPool makes a pool for the groups of which handshakes need fresh keys.
func newKeyPool(c Config) *flash.KeyPool {
	size := c.KeyPool
	if size == 0 {
		size = defaultKeyPool
	}
	var groups []flash.Group
	for _, g := range keyGroups {
		if size > 0 && c.Identity.Certificate().Ephemeral(g) {
			groups = append(groups, g)
		}
	}
	return flash.NewKeyPool(size, groups...)
}

// Refill returns work that generates one key pair for handshakes to come, for
// any goroutine that has nothing better to do; nil if there are enough. It may
// be called from any goroutine.
func (e *Engine) Refill() (work func()) {
	for _, g := range keyGroups {
		if w := e.keys.Refill(g); w != nil {
			return w
		}
	}
	return nil
}

// Sessions calls f for every session that is open and has a handler.
func (e *Engine) Sessions(f func(*Session)) {
	for _, s := range e.sessions {
		if s.state == stateOpen && s.handler != nil {
			f(s)
		}
	}
}

// At is the open session whose far end is at addr, or nil. One opened to us counts once
// it is proven.
func (e *Engine) At(addr netip.AddrPort) *Session { return e.byAddr[addr] }

// quiet reports whether no session waits for anything but a far end's repeats.
func (e *Engine) quiet() bool {
	for _, s := range e.sessions {
		if s.state != stateFarCloseLinger {
			return false
		}
	}
	return len(e.openings) == 0
}

// CloseAll closes every session politely.
func (e *Engine) CloseAll() {
	for _, s := range e.openings {
		s.Close()
	}
	for _, s := range e.sessions {
		s.Close()
	}
}
