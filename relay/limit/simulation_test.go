package limit

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"
)

const tick = 250 * time.Microsecond

// A world is a relay in pure time, with senders at it.
type world struct {
	now     time.Time
	c       *Controller
	backlog Backlog
	senders []*sender
	pairs   int
}

// A sender offers packets to one flow: at a constant rate, or as a congestion window allows that grows
// by a packet in a round-trip time and is halved once in one by marks or loss.
type sender struct {
	w      *world
	pair   *Pair
	f      *Flow
	ecn    uint8
	rate   float64 // bits per second; 0: by window
	credit float64

	rtt       time.Duration
	window    float64
	threshold float64 // where slow start ends
	cut       time.Time
	flying    int
	drops     uint64
	feedback  []feedback

	bytes  int
	second []int // bytes delivered, by second
	delays []time.Duration
}

type feedback struct {
	at           time.Time
	marked, lost bool
}

func newWorld(cfg Config) *world { return &world{now: start, c: New(cfg, nil)} }

// pair opens one of peers that have no other; from names the sending one, unless it is "".
func (w *world) open(t *testing.T, from, tenant string) *Pair {
	t.Helper()
	w.pairs++
	if from == "" {
		from = fmt.Sprint("from", w.pairs)
	}
	p, err := w.c.Open(w.now, Splice, Party{Peer: from, Tenant: tenant}, Party{Peer: fmt.Sprint("to", w.pairs), Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// add lets a sender loose in a pair.
func (w *world) add(p *Pair, s sender) *sender {
	s.w, s.pair, s.f = w, p, p.Forward
	s.window, s.threshold = 10, 1e9
	s.f.Owner = &s
	w.senders = append(w.senders, &s)
	return &s
}

func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(tick) {
		if w.now.Sub(start)%Interval == 0 {
			w.c.Advance(w.now)
		}
		for {
			f, data, ecn, ok := w.backlog.Pop(w.now)
			if !ok {
				break
			}
			f.Owner.(*sender).deliver(data, ecn)
		}
		for _, s := range w.senders {
			s.turn()
		}
	}
}

func (s *sender) turn() {
	if s.rate > 0 {
		for s.credit += s.rate * tick.Seconds(); s.credit >= 8*packetSize; s.credit -= 8 * packetSize {
			s.send()
		}
		return
	}
	if d := s.f.Counts().Dropped(); d > s.drops {
		for range d - s.drops {
			s.feedback = append(s.feedback, feedback{at: s.w.now.Add(s.rtt), lost: true})
		}
		s.drops = d
	}
	for len(s.feedback) > 0 && !s.feedback[0].at.After(s.w.now) {
		fb := s.feedback[0]
		s.feedback = s.feedback[1:]
		s.flying--
		switch {
		case fb.marked || fb.lost:
			if s.w.now.Sub(s.cut) > s.rtt+markDelay {
				s.cut = s.w.now
				s.window = max(2, s.window/2)
				s.threshold = s.window
			}
		case s.window < s.threshold:
			s.window++
		default:
			s.window += 1 / s.window
		}
	}
	for s.flying < int(s.window) {
		s.flying++
		s.send()
	}
}

func (s *sender) send() {
	var data [packetSize - 28]byte
	binary.BigEndian.PutUint64(data[:], uint64(s.w.now.UnixNano()))
	if s.f.Offer(s.w.now, packetSize) == Pass {
		s.deliver(data[:], s.ecn)
		return
	}
	s.f.Push(s.w.now, data[:], packetSize, s.ecn)
	s.w.backlog.Add(s.w.now, s.f)
}

func (s *sender) deliver(data []byte, ecn uint8) {
	s.delays = append(s.delays, time.Duration(s.w.now.UnixNano()-int64(binary.BigEndian.Uint64(data))))
	s.bytes += packetSize
	for second := int(s.w.now.Sub(start) / time.Second); len(s.second) <= second; {
		s.second = append(s.second, 0)
	}
	s.second[len(s.second)-1] += packetSize
	if s.rate == 0 {
		s.feedback = append(s.feedback, feedback{at: s.w.now.Add(s.rtt), marked: ecn == ce})
	}
}

// forget begins to measure.
func (s *sender) forget() { s.bytes, s.delays = 0, nil }

func (s *sender) bits(d time.Duration) float64 { return float64(8*s.bytes) / d.Seconds() }

func (s *sender) p99() time.Duration {
	slices.Sort(s.delays)
	return s.delays[len(s.delays)*99/100]
}

// jain is Jain's index of fairness: 1 if all are equal, 1/n if one has everything.
func jain(x []float64) float64 {
	sum, squares := 0., 0.
	for _, v := range x {
		sum += v
		squares += v * v
	}
	return sum * sum / (float64(len(x)) * squares)
}

// A sender that slows down when it is told to gets its limit, without loss if it can be marked.
func TestReactingSender(t *testing.T) {
	for _, test := range []struct {
		rate   Rate
		ecn    uint8
		atMost time.Duration // of waiting, 99th percentile
		share  float64
	}{
		{2e6, ect0, 60 * time.Millisecond, 0.95},
		{2e6, notECT, 60 * time.Millisecond, 0.90},
		{10e6, ect0, 60 * time.Millisecond, 0.95},
		{10e6, notECT, 60 * time.Millisecond, 0.90},
		{500e3, ect0, 160 * time.Millisecond, 0.95}, // 8 KB are 131 ms of it
		{500e3, notECT, 200 * time.Millisecond, 0.90},
	} {
		w := newWorld(Config{Splice: test.rate})
		s := w.add(w.open(t, "", "t"), sender{ecn: test.ecn, rtt: 40 * time.Millisecond})
		w.run(2 * time.Second) // of slow start, and what it overshoots
		s.forget()
		before := s.f.Counts()
		w.run(20 * time.Second)
		counts := s.f.Counts().since(before)
		got := s.bits(20*time.Second) / float64(test.rate)
		t.Logf("%d bit/s, ECN %02b: %.3f of it, p99 %v, %d drops, %d marks of %d", test.rate, test.ecn, got, s.p99(), counts.Dropped(), counts.Marks, counts.Packets)
		if got < test.share || got > 1.01 {
			t.Errorf("%d bit/s, ECN %02b: %.3f of it, want %.2f", test.rate, test.ecn, got, test.share)
		}
		// The first window is more than 200 ms of the slowest.
		if all := s.f.Counts(); test.ecn == ect0 && (counts.Dropped() != 0 || test.rate > 1e6 && all.Dropped() != 0) {
			t.Errorf("%d bit/s: drops of a flow that can be marked: %+v", test.rate, all.Drops)
		}
		if s.p99() > test.atMost {
			t.Errorf("%d bit/s, ECN %02b: p99 of waiting %v, want %v", test.rate, test.ecn, s.p99(), test.atMost)
		}
		for i, n := range s.second {
			if n == 0 {
				t.Errorf("%d bit/s, ECN %02b: nothing came in second %d", test.rate, test.ecn, i)
			}
		}
	}
}

// Twenty greedy flows share each kind of limit alike, beside one that wants little and gets it at once.
func TestGreedyFlowsShare(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  Config
		from string // all of one peer, or of one each
	}{
		{"node", Config{Node: 20e6}, ""},
		{"tenant", Config{Tenant: 20e6}, ""},
		{"peer", Config{Peer: 20e6}, "one"},
		{"all", Config{Node: 21e6, Tenant: 20e6, Peer: 22e6, Splice: 10e6}, "one"},
	} {
		w := newWorld(test.cfg)
		const flows, span = 20, 10 * time.Second
		var greedy []*sender
		for i := range flows {
			s := sender{ecn: ect0, rtt: 40 * time.Millisecond}
			if i%4 == 0 {
				s = sender{rate: 5e6} // one that does not listen
			}
			greedy = append(greedy, w.add(w.open(t, test.from, "t"), s))
		}
		modest := w.add(w.open(t, test.from, "t"), sender{rate: 300e3})
		w.run(2 * time.Second)
		for _, s := range w.senders {
			s.forget()
		}
		w.run(span)
		sum := 0.
		var shares []float64
		for _, s := range greedy {
			shares = append(shares, s.bits(span))
			sum += s.bits(span)
			if slices.Contains(s.second[1:len(s.second)-1], 0) {
				t.Errorf("%s: a flow had nothing for a second: %v", test.name, s.second)
			}
		}
		sum += modest.bits(span)
		t.Logf("%s: Jain %.4f, %.2f Mbit/s of 20, modest p99 %v", test.name, jain(shares), sum/1e6, modest.p99())
		if jain(shares) < 0.98 {
			t.Errorf("%s: Jain's index %.3f of %.0f", test.name, jain(shares), shares)
		}
		if sum < 0.93*20e6 || sum > 1.005*20e6 {
			t.Errorf("%s: %.2f Mbit/s together, want 20", test.name, sum/1e6)
		}
		if got := modest.bits(span); got < 0.99*300e3 || modest.p99() > 2*time.Millisecond {
			t.Errorf("%s: the modest flow has %.0f bit/s and waits %v", test.name, got, modest.p99())
		}
	}
}

// What some flows do not want, the others have, and give back when it is wanted.
func TestSpareCapacityMoves(t *testing.T) {
	w := newWorld(Config{Node: 10e6})
	greedy := w.add(w.open(t, "", "t"), sender{rate: 50e6})
	late := w.open(t, "", "t")
	w.run(2 * time.Second)
	if got := greedy.bits(2 * time.Second); got < 9.5e6 {
		t.Errorf("alone it has %.1f Mbit/s of 10", got/1e6)
	}
	second := w.add(late, sender{rate: 50e6})
	w.run(time.Second)
	greedy.forget()
	second.forget()
	w.run(2 * time.Second)
	for _, s := range []*sender{greedy, second} {
		if got := s.bits(2 * time.Second); got < 4.8e6 || got > 5.2e6 {
			t.Errorf("of two, one has %.2f Mbit/s of 10", got/1e6)
		}
	}
	w.c.Reload(Config{Node: 2e6})
	greedy.forget()
	w.run(2 * time.Second)
	if got := greedy.bits(2 * time.Second); got > 1.1e6 {
		t.Errorf("after the limit fell to 2 it has %.2f Mbit/s", got/1e6)
	}
	w.c.Reload(Config{})
	greedy.forget()
	w.run(2 * time.Second)
	if got := greedy.bits(2 * time.Second); got < 48e6 {
		t.Errorf("after the limit went it has %.2f Mbit/s of 50", got/1e6)
	}
}
