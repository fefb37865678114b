package flow

import (
	"testing"
	"time"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// victim is a session whose far end says whatever a fuzzer likes. What its
// application does is chosen by the fuzzer, too.
type victim struct {
	now   time.Time
	mux   *Mux
	flows []*RecvFlow
	seed  byte

	account Account
}

func (v *victim) Now() time.Time { return v.now }
func (v *victim) Wake()          {}
func (v *victim) Incoming(f *RecvFlow) (Accept, error) {
	v.flows = append(v.flows, f)
	switch v.seed++; v.seed % 5 {
	case 0:
		return Accept{}, &Exception{Code: 7}
	case 1:
		return Accept{Receiver: v, AsReceived: true, Capacity: 3000}, nil
	case 2:
		f.SetHold(true)
	case 3:
		return Accept{Receiver: v, Capacity: -1}, nil
	}
	return Accept{Receiver: v}, nil
}

func (v *victim) Message(f *RecvFlow, msg []byte) {
	if len(msg) > fuzzMaxMessage {
		panic("message above the limit")
	}
	switch v.seed++; v.seed % 16 {
	case 0:
		f.Reject(1)
	case 1:
		f.SetHold(true)
	case 2:
		_, _ = v.mux.Open(msg[:min(len(msg), MaxMetadata)], SendOptions{ReturnOf: f, Events: v})
	case 3:
		f.SetCapacity(int(v.seed) * 50)
	case 4:
		if len(msg) == 13 {
			v.mux.Abort(nil)
		}
	}
}
func (v *victim) Ended(*RecvFlow, error)          {}
func (v *victim) Writable(f *SendFlow)            { _ = f.Write([]byte("more"), WriteOptions{}) }
func (v *victim) Exception(f *SendFlow, _ uint64) { f.Close() }
func (v *victim) Closed(*SendFlow, error)         {}

const fuzzMaxMessage = 5000

// FuzzMux gives a Mux any chunks: it never panics and never exceeds its bounds.
func FuzzMux(f *testing.F) {
	seeds := 0
	for _, x := range vectors.Exchanges(f) {
		var all []byte
		for i := range x.Datagrams {
			if d := &x.Datagrams[i]; d.Dir != "" && len(all) < 3000 {
				_, rest, err := wire.ParseHeader(d.PacketBytes())
				if err != nil {
					f.Fatal(err)
				}
				all = append(all, rest...)
			}
		}
		if len(all) > 0 {
			f.Add(byte(seeds), all)
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(runVictim)
}

func runVictim(t *testing.T, seed byte, input []byte) {
	v := &victim{now: time.Unix(1e9, 0), seed: seed}
	var whole Account
	whole.Init(nil, int64(seed)*1000) // 0: no limit
	v.account.Init(&whole, 0)
	v.mux = NewMux(v, Config{MaxMessage: fuzzMaxMessage, MaxFlows: 8, Account: &v.account})
	for i := range 4 {
		s, err := v.mux.Open([]byte("flow"), SendOptions{Events: v, Priority: Priority(i)})
		if err != nil {
			t.Fatal(err)
		}
		for j := range 6 {
			if err := s.Write(content(j, 900*i), WriteOptions{FinishBy: time.Duration(j) * time.Second}); err != nil && err != ErrMemory {
				t.Fatal(err)
			}
		}
		if i == 3 {
			s.Close()
		}
	}
	for packets := 0; len(input) > 0; packets++ {
		for n := 0; ; n++ {
			typ, body, rest, ok := wire.NextChunk(input)
			if !ok {
				input = input[min(1, len(input)):] // go on anywhere
				break
			}
			v.mux.ReceiveChunk(typ, body)
			input = rest
			if n == int(seed%7) {
				break
			}
		}
		v.mux.ReceiveEnd(PacketInfo{ECN: uint8(packets), TimeCritical: seed&1 != 0})
		for range 50 {
			out, _ := v.mux.Fill(nil, DefaultRoom)
			if len(out) == 0 {
				break
			}
			if len(out) > DefaultRoom {
				t.Fatalf("packet of %d bytes", len(out))
			}
		}
		v.now = v.now.Add(time.Duration(seed) * 10 * time.Millisecond)
		v.mux.Advance()
		v.check(t)
	}
	for _, f := range v.flows {
		f.SetHold(false)
	}
	v.check(t)
	v.mux.Abort(nil)
	if d := v.mux.Deadline(); !d.IsZero() || !v.mux.Idle() || whole.Held() != 0 {
		t.Fatalf("deadline %v and %d bytes after the end", d, whole.Held())
	}
}

func (v *victim) check(t *testing.T) {
	m := v.mux
	if m.err != nil {
		return
	}
	if len(m.recv) > 8 || len(m.send) > 8 {
		t.Fatalf("%d receiving, %d sending flows", len(m.recv), len(m.send))
	}
	outstanding, booked := int32(0), int64(0)
	for _, f := range m.send {
		outstanding += f.outstanding
		f.checkQueue(t)
		if want := flowMemory + int32(cap(f.options)) + f.queue.memory; f.booked != want {
			t.Fatalf("%d bytes booked of a sending flow, it has %d", f.booked, want)
		}
		booked += int64(f.booked)
	}
	if outstanding != m.cc.outstanding {
		t.Fatalf("%d bytes outstanding in flows, %d in the session", outstanding, m.cc.outstanding)
	}
	for _, f := range m.recv {
		bytes, memory := int32(0), int32(0)
		for i := range f.held.list {
			bytes += f.held.list[i].cost()
			memory += f.held.list[i].memory()
		}
		if bytes != f.held.bytes || memory != f.held.memory {
			t.Fatalf("%d bytes held in %d, counted %d and %d", bytes, memory, f.held.bytes, f.held.memory)
		}
		if want := flowMemory + int32(len(f.metadata)) + memory + int32(runMemory*cap(f.seen.runs)); f.booked != want {
			t.Fatalf("%d bytes booked of a receiving flow, it has %d", f.booked, want)
		}
		booked += int64(f.booked)
		// The next in sequence is always let in: a message more than the bound.
		if most := max(int(f.capacity), DefaultCapacity) + 2*fuzzMaxMessage + receiveSlack; int(bytes) > most+fragmentOverhead*maxFragments(fuzzMaxMessage) {
			t.Fatalf("%d bytes held", bytes)
		}
		if len(f.seen.runs) > maxGaps {
			t.Fatalf("%d runs", len(f.seen.runs))
		}
	}
	if held := v.account.Held(); held != booked {
		t.Fatalf("%d bytes in the account, %d booked", held, booked)
	}
}

// checkQueue checks all that the send queue counts.
func (f *SendFlow) checkQueue(t testing.TB) {
	var resend, memory, outstanding int32
	messages := map[*message]bool{}
	unsent := false
	last := uint64(0)
	for e := f.queue.head; e != nil; e = e.next {
		if g := e.msg; !messages[g] {
			messages[g] = true
			memory += g.memory
			if want := messageMemory(cap(g.data), 1+len(g.rest)); int(g.memory) != want {
				t.Fatalf("a message of %d bytes counts %d, takes %d", len(g.data), g.memory, want)
			}
		}
		if e == f.queue.unsent {
			unsent = true
		}
		switch {
		case e.everSent == unsent:
			t.Fatalf("fragment %d: sent %v", e.seq, e.everSent)
		case e.inFlight:
			outstanding += int32(e.size)
		case e.everSent:
			resend++
		}
		if e.seq <= last || !e.queued || e.next != nil && e.next.prev != e || e.next == nil && f.queue.tail != e {
			t.Fatalf("fragment %d after %d is out of order", e.seq, last)
		}
		last = e.seq
	}
	if resend != f.queue.resend || memory != f.queue.memory || outstanding != f.outstanding || unsent != (f.queue.unsent != nil) {
		t.Fatalf("queue counts %d to resend, %d bytes, %d outstanding; has %d, %d, %d",
			f.queue.resend, f.queue.memory, f.outstanding, resend, memory, outstanding)
	}
}
