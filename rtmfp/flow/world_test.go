package flow

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pileus/rtmfp/wire"
)

// world is two Muxes and the network between them, driven by a virtual clock.
type world struct {
	t    testing.TB
	now  time.Time
	rng  *rand.Rand
	net  network
	a, b *end
	wire arrivals
	sent int // packets
}

// network says what happens to a packet on its way.
type network struct {
	loss, duplicate float64
	delay           time.Duration // one way
	jitter          time.Duration // added at random: reorders
	mark            float64       // CE on ECN-capable packets
	rate            int           // bytes a second, 0: unlimited
	queue           time.Duration // longest wait for a limited rate before packets are dropped
	bleach          bool          // ECN-capable is erased
	drop            func(from *end, n int) bool
}

type arrival struct {
	at     time.Time
	n      int
	to     *end
	packet []byte
	info   PacketInfo
}

type arrivals []arrival

func (h arrivals) Len() int { return len(h) }
func (h arrivals) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].n < h[j].n
}
func (h arrivals) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *arrivals) Push(x any)   { *h = append(*h, x.(arrival)) }
func (h *arrivals) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// end is one end of the world: the session of its Mux.
type end struct {
	*world
	name     string
	mux      *Mux
	far      *end
	incoming func(f *RecvFlow) (Accept, error)
	got      map[uint64]*inbox
	busy     time.Time // when the link is free
	packets  int
	data     int // packets with data
	trace    func(packet []byte, info FillInfo)
}

func (e *end) Now() time.Time { return e.now }
func (e *end) Wake()          {}
func (e *end) Incoming(f *RecvFlow) (Accept, error) {
	if e.incoming != nil {
		return e.incoming(f)
	}
	return Accept{Receiver: e.box(f)}, nil
}

// inbox is a Receiver that keeps everything.
type inbox struct {
	messages [][]byte
	seqs     []uint64
	gaps     int
	ended    int
	err      error
	onData   func(f *RecvFlow, msg []byte)
}

func (e *end) box(f *RecvFlow) *inbox {
	b := &inbox{}
	e.got[f.ID()] = b
	return b
}

func (b *inbox) Message(f *RecvFlow, msg []byte) {
	b.messages = append(b.messages, bytes.Clone(msg))
	b.seqs = append(b.seqs, f.Seq())
	if b.onData != nil {
		b.onData(f, msg)
	}
}
func (b *inbox) Gap(*RecvFlow) { b.gaps++ }
func (b *inbox) Ended(_ *RecvFlow, err error) {
	b.ended++
	b.err = err
}

// outbox is a SendEvents that keeps everything.
type outbox struct {
	writable, closed int
	codes            []uint64
	err              error
	onWritable       func()
}

func (o *outbox) Writable(*SendFlow) {
	o.writable++
	if o.onWritable != nil {
		o.onWritable()
	}
}
func (o *outbox) Exception(_ *SendFlow, code uint64) { o.codes = append(o.codes, code) }
func (o *outbox) Closed(_ *SendFlow, err error) {
	o.closed++
	o.err = err
}

func newWorld(t testing.TB, net network, configs ...Config) *world {
	w := &world{t: t, now: time.Unix(1_700_000_000, 0), rng: rand.New(rand.NewPCG(1, 2)), net: net}
	var ca, cb Config
	if len(configs) > 0 {
		ca, cb = configs[0], configs[len(configs)-1]
	}
	w.a = &end{world: w, name: "a", got: map[uint64]*inbox{}}
	w.b = &end{world: w, name: "b", got: map[uint64]*inbox{}, far: w.a}
	w.a.far = w.b
	w.a.mux, w.b.mux = NewMux(w.a, ca), NewMux(w.b, cb)
	if net.delay > 0 {
		w.a.measure()
		w.b.measure()
	}
	return w
}

// measure stands for the timestamp echo of a packet.
func (e *end) measure() {
	rtt := 2*e.net.delay + e.net.jitter
	e.mux.SetRTT(rtt, rtt+e.net.jitter+200*time.Millisecond)
}

const testLimit = 1150

// flush sends all that e's Mux has to send now.
func (e *end) flush() {
	for range 10_000 {
		packet, info := e.mux.Fill(make([]byte, 0, 1500), testLimit)
		if len(packet) == 0 {
			return
		}
		if len(packet) > testLimit {
			e.t.Fatalf("packet of %d bytes above the limit", len(packet))
		}
		if e.trace != nil {
			e.trace(packet, info)
		}
		e.transmit(packet, info)
	}
	e.t.Fatal("Fill never ends")
}

func (e *end) transmit(packet []byte, info FillInfo) {
	e.packets++
	e.sent++
	if info.Data {
		e.data++
	}
	net := e.net
	if net.drop != nil && net.drop(e, e.packets) || e.rng.Float64() < net.loss {
		return
	}
	p := PacketInfo{TimeCritical: info.TimeCritical, TimeCriticalReverse: e.mux.TimeCriticalReverse()}
	if info.ECT && !net.bleach {
		p.ECN = 2
		if e.rng.Float64() < net.mark {
			p.ECN = 3
		}
	}
	at := e.now
	if net.rate > 0 {
		at = latest(at, e.busy)
		if at.Sub(e.now) > net.queue {
			return
		}
		at = at.Add(time.Duration(len(packet)+48) * time.Second / time.Duration(net.rate))
		e.busy = at
	}
	for copies := 1; copies > 0; copies-- {
		arrive := at.Add(net.delay)
		if net.jitter > 0 {
			arrive = arrive.Add(time.Duration(e.rng.Int64N(int64(net.jitter))))
		}
		heap.Push(&e.wire, arrival{at: arrive, n: e.sent, to: e.far, packet: packet, info: p})
		if e.rng.Float64() < net.duplicate {
			copies++
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// receive has a Mux process a packet.
func receive(m *Mux, packet []byte, info PacketInfo) {
	for rest := packet; ; {
		typ, body, next, ok := wire.NextChunk(rest)
		if !ok {
			break
		}
		m.ReceiveChunk(typ, body)
		rest = next
	}
	m.ReceiveEnd(info)
}

// step does the next thing that happens until end. It reports false when nothing does.
func (w *world) step(until time.Time) bool {
	w.a.flush()
	w.b.flush()
	next := until
	for _, e := range []*end{w.a, w.b} {
		if d := e.mux.Deadline(); !d.IsZero() && d.Before(next) {
			next = d
		}
	}
	if len(w.wire) > 0 && !w.wire[0].at.After(next) {
		p := heap.Pop(&w.wire).(arrival)
		w.now = latest(w.now, p.at)
		receive(p.to.mux, p.packet, p.info)
		p.to.measure()
		return true
	}
	if !next.Before(until) {
		w.now = until
		return false
	}
	w.now = latest(w.now, next)
	w.a.mux.Advance()
	w.b.mux.Advance()
	return true
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for n := 0; w.step(end); n++ {
		if n > 2_000_000 {
			w.t.Fatal("the world does not come to rest")
		}
	}
}

// until runs until done, at most for d.
func (w *world) until(d time.Duration, done func() bool) {
	w.t.Helper()
	end := w.now.Add(d)
	for !done() {
		if !w.step(end) {
			w.t.Fatalf("not done after %v", d)
		}
	}
}

// rest checks that after all lingering nothing is left of any flow.
func (w *world) rest() {
	w.t.Helper()
	w.run(15 * time.Second)
	for _, e := range []*end{w.a, w.b} {
		if !e.mux.Idle() {
			w.t.Errorf("%s is not idle", e.name)
		}
	}
	w.run(140 * time.Second)
	for _, e := range []*end{w.a, w.b} {
		m := e.mux
		if d := m.Deadline(); !d.IsZero() {
			w.t.Errorf("%s has a deadline in %v", e.name, d.Sub(w.now))
		}
		if len(m.send) != 0 || len(m.recv) != 0 || m.cc.outstanding != 0 || m.flight.head != nil || m.ready != nil || m.owing.head != nil || m.probes != 0 || m.account.Held() != 0 {
			w.t.Errorf("%s holds on to something: %+v", e.name, m)
		}
	}
}

// open opens a flow that must open.
func (e *end) open(metadata string, o SendOptions) *SendFlow {
	e.t.Helper()
	f, err := e.mux.Open([]byte(metadata), o)
	if err != nil {
		e.t.Fatal(err)
	}
	return f
}

func write(t testing.TB, f *SendFlow, msg []byte, o WriteOptions) {
	t.Helper()
	if err := f.Write(msg, o); err != nil {
		t.Fatal(err)
	}
}

// message makes n bytes that depend on seed.
func content(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed*31 + i*7 + i>>8)
	}
	return b
}

func sameMessages(t testing.TB, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("message %d: %s, want %s", i, brief(got[i]), brief(want[i]))
		}
	}
}

func brief(b []byte) string { return fmt.Sprintf("%d bytes %x", len(b), b[:min(len(b), 8)]) }
