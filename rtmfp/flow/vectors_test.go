package flow

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// replay is one end of a recorded session: our Mux gets what it got.
type replay struct {
	t     *testing.T
	now   time.Time
	mux   *Mux
	limit int // of the packets filled
	got   map[uint64]*inbox
	flows map[uint64]*RecvFlow
	sent  func(typ wire.ChunkType, body []byte)
	out   outbox
}

func (r *replay) Now() time.Time { return r.now }
func (r *replay) Wake()          {}
func (r *replay) Incoming(f *RecvFlow) (Accept, error) {
	b := &inbox{}
	r.got[f.ID()] = b
	r.flows[f.ID()] = f
	return Accept{Receiver: b}, nil
}

var replayEpoch = time.Unix(1_700_000_000, 0)

func at(us int64) time.Time { return replayEpoch.Add(time.Duration(us) * time.Microsecond) }

// newReplay makes the Mux of the end of s that receives packets of direction dir,
// with the sending flows that it had.
func newReplay(t *testing.T, x *vectors.Exchange, s *vectors.Session, dir string, c Config) *replay {
	r := &replay{t: t, now: replayEpoch, got: map[uint64]*inbox{}, flows: map[uint64]*RecvFlow{}, limit: max(DefaultRoom, c.Room)}
	r.mux = NewMux(r, c)
	var ids []uint64
	for _, f := range x.Flows {
		if f.Session == s.ID && f.Dir != dir {
			ids = append(ids, f.Flow)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		for _, f := range x.Flows {
			if f.Session == s.ID && f.Dir != dir && f.Flow == id {
				r.mux.nextID = uint32(id)
				if _, err := r.mux.Open(f.Metadata, SendOptions{Events: &r.out}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return r
}

// until lets the clock go on, with everything that is due on the way.
func (r *replay) until(now time.Time) {
	for {
		d := r.mux.Deadline()
		if d.IsZero() || d.After(now) {
			break
		}
		r.now = latest(r.now, d)
		r.mux.Advance()
		r.flush()
	}
	r.now = latest(r.now, now)
}

func (r *replay) flush() {
	for {
		packet, _ := r.mux.Fill(nil, r.limit)
		if len(packet) == 0 {
			return
		}
		for {
			typ, body, rest, ok := wire.NextChunk(packet)
			if !ok {
				break
			}
			if r.sent != nil {
				r.sent(typ, body)
			}
			packet = rest
		}
	}
}

// event is a packet received or sent by one end.
type event struct {
	us       int64
	received bool
	datagram *vectors.Datagram
}

// events are what the end who saw of s, in its order.
func events(x *vectors.Exchange, s *vectors.Session, who string) (list []event) {
	for i := range x.Datagrams {
		d := &x.Datagrams[i]
		if d.Key != s.ID {
			continue
		}
		if d.From == who {
			list = append(list, event{d.TimeUS, false, d})
		}
		for _, rx := range d.Rx {
			if rx.Who == who && (rx.Accepted || rx.AcceptedOnReplay) {
				list = append(list, event{rx.TimeUS, true, d})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b event) int { return cmp.Compare(a.us, b.us) })
	return list
}

func (e event) packetInfo() PacketInfo {
	return PacketInfo{
		TimeCritical: e.datagram.Packet.TC, TimeCriticalReverse: e.datagram.Packet.TCR,
		ECN: e.datagram.TOS & 3,
	}
}

func (e event) chunks(yield func(wire.ChunkType, []byte) bool) {
	_, rest, err := wire.ParseHeader(e.datagram.PacketBytes())
	if err != nil {
		panic(err)
	}
	for {
		typ, body, next, ok := wire.NextChunk(rest)
		if !ok || !yield(typ, body) {
			return
		}
		rest = next
	}
}

// ackSet is what an acknowledgement chunk says of the sequence numbers.
type ackSet struct {
	flow   uint64
	cum    uint64
	ranges []wire.AckRange
}

func parseAckSet(typ wire.ChunkType, body []byte) (a ackSet, ok bool) {
	switch typ {
	case wire.ChunkAckRanges:
		c, err := wire.ParseAckRanges(body)
		return ackSet{c.Flow, c.CumAck, slices.Collect(c.All())}, err == nil
	case wire.ChunkAckBitmap:
		c, err := wire.ParseAckBitmap(body)
		return ackSet{c.Flow, c.CumAck, slices.Collect(c.All())}, err == nil
	}
	return ackSet{}, false
}

func (a ackSet) String() string { return fmt.Sprintf("flow %d: 0-%d %v", a.flow, a.cum, a.ranges) }

// TestReceiveRecorded feeds every recorded session to a receiving Mux, in the order
// of reception. It delivers the recorded messages, and whenever the recorded
// receiver acknowledged, ours has the same set.
func TestReceiveRecorded(t *testing.T) {
	flows, messages, acks := 0, 0, 0
	for _, x := range vectors.Exchanges(t) {
		t.Run(x.Scenario, func(t *testing.T) {
			for i := range x.Sessions {
				s := &x.Sessions[i]
				for _, dir := range []string{"i2r", "r2i"} {
					f, m, a := receiveRecorded(t, x, s, dir)
					flows, messages, acks = flows+f, messages+m, acks+a
				}
			}
		})
	}
	if flows < 100 || messages < 300 || acks < 300 {
		t.Errorf("only %d flows, %d messages, %d acknowledgements replayed", flows, messages, acks)
	}
	t.Logf("%d flows, %d messages, %d acknowledgements", flows, messages, acks)
}

func receiveRecorded(t *testing.T, x *vectors.Exchange, s *vectors.Session, dir string) (flows, messages, acks int) {
	who := s.Responder
	if dir == "r2i" {
		who = s.Initiator
	}
	r := newReplay(t, x, s, dir, Config{})
	last := map[uint64]ackSet{}
	r.sent = func(typ wire.ChunkType, body []byte) {
		if a, ok := parseAckSet(typ, body); ok {
			last[a.flow] = a
		}
	}
	fragments := map[uint64]map[uint64]bool{} // flow → sequence numbers received with data
	recorded := map[uint64]ackSet{}
	for _, e := range events(x, s, who) {
		if e.received && e.datagram.Dir == dir {
			r.until(at(e.us))
			for typ, body := range e.chunks {
				if typ == wire.ChunkUserData || typ == wire.ChunkNextUserData || typ == wire.ChunkBufferProbe {
					r.mux.ReceiveChunk(typ, body)
				}
			}
			r.mux.ReceiveEnd(e.packetInfo())
			r.flush()
			for _, c := range e.datagram.Packet.Chunks {
				if (c.Name == "UserData" || c.Name == "NextUserData") && !c.Abn {
					if fragments[c.Flow] == nil {
						fragments[c.Flow] = map[uint64]bool{}
					}
					fragments[c.Flow][c.Seq] = true
				}
			}
		}
		if !e.received && e.datagram.Dir != dir {
			for typ, body := range e.chunks {
				want, ok := parseAckSet(typ, body)
				if !ok {
					continue
				}
				acks++
				recorded[want.flow] = want
				_, f := r.mux.findRecv(want.flow)
				if f == nil {
					t.Errorf("datagram %d acknowledges flow %d, which we do not have", e.datagram.N, want.flow)
					continue
				}
				got := ackSet{f.id, f.seen.cum, f.seen.runs}
				if got.String() != want.String() {
					t.Errorf("datagram %d acknowledges %v, we have %v", e.datagram.N, want, got)
				}
			}
		}
	}
	r.until(r.now.Add(time.Second))
	for id, want := range recorded {
		if got := last[id]; got.String() != want.String() {
			t.Errorf("our last acknowledgement is %v, recorded %v", got, want)
		}
	}
	for _, f := range x.Flows {
		if f.Session != s.ID || f.Dir != dir || fragments[f.Flow] == nil {
			continue
		}
		flows++
		in := r.got[f.Flow]
		if in == nil {
			t.Errorf("%s flow %d did not open", dir, f.Flow)
			continue
		}
		rf := r.flows[f.Flow]
		if !bytes.Equal(rf.Metadata(), f.Metadata) {
			t.Errorf("%s flow %d has metadata %x, recorded %x", dir, f.Flow, rf.Metadata(), f.Metadata)
		}
		if back := rf.ReturnOf(); (back != nil) != (f.ReturnAssociation != nil) || back != nil && back.ID() != *f.ReturnAssociation {
			t.Errorf("%s flow %d is in return of %v, recorded %v", dir, f.Flow, back, f.ReturnAssociation)
		}
		messages += len(in.messages)
		sameRecorded(t, f, fragments[f.Flow], in.messages)
	}
	for reason, n := range r.mux.Stats().Dropped {
		if n != 0 && DropReason(reason) != DropDuplicate {
			t.Errorf("%d chunks dropped: %v", n, DropReason(reason))
		}
	}
	return flows, messages, acks
}

// sameRecorded checks that got are the messages of f whose fragments all arrived.
func sameRecorded(t *testing.T, f vectors.Flow, arrived map[uint64]bool, got [][]byte) {
	t.Helper()
	for _, want := range f.Messages {
		all := !want.Abandoned
		for seq := want.Seq[0]; seq <= want.Seq[1]; seq++ {
			all = all && arrived[seq]
		}
		if !all {
			continue
		}
		if len(got) == 0 {
			t.Errorf("flow %d message %v is missing", f.Flow, want.Seq)
			return
		}
		if sum := sha256.Sum256(got[0]); len(got[0]) != want.Len || !bytes.Equal(sum[:], want.SHA256) {
			t.Errorf("flow %d message %v: got %s, want %d bytes", f.Flow, want.Seq, brief(got[0]), want.Len)
		}
		got = got[1:]
	}
	if len(got) != 0 {
		t.Errorf("flow %d: %d messages too many", f.Flow, len(got))
	}
}
