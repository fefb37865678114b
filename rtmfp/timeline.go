package rtmfp

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"pileus/rtmfp/wire"
)

// What an engine notes of packets while somebody looks.
const (
	// TimelineRecords is how many packets a Timeline keeps: some seconds of a
	// session in use, minutes of an idle one.
	TimelineRecords = 256
	// maxTimelines bounds the far ends that are watched at once: each startup
	// packet is compared with all of them.
	maxTimelines = 8
	// maxChunkRuns is how many kinds of chunks in a row a record tells apart.
	maxChunkRuns = 8
)

// ErrTimelines refuses to watch more far ends.
var ErrTimelines = errors.New("rtmfp: 8 far ends are watched already; end one of those first")

// What becomes of a packet that arrived, beside the names of DropReasons.
const (
	FateTaken   = "taken"
	FateForeign = "foreign" // it was [Config.Foreign]'s
)

// PacketRecord is one packet of a watched far end: whose it was, not what it said.
type PacketRecord struct {
	At          time.Time
	Sent        bool           // by this engine
	Startup     bool           // under the Default Session Key
	Local, Peer netip.AddrPort // Local may be unset of one that was sent
	Size        int            // bytes of UDP payload
	Fate        string         // of one that arrived: FateTaken, FateForeign, a DropReason's name
	Chunks      [maxChunkRuns]ChunkRun
	More        bool // there were more chunks
}

// ChunkRun is chunks of one type in a row.
type ChunkRun struct {
	Type  wire.ChunkType
	Count int // 0: no more runs
}

// note adds the chunks of a packet, from behind its header on.
func (r *PacketRecord) note(chunks []byte) {
	n := 0
	for n < maxChunkRuns && r.Chunks[n].Count > 0 {
		n++
	}
	for {
		typ, _, rest, ok := wire.NextChunk(chunks)
		switch {
		case !ok:
			return
		case n > 0 && r.Chunks[n-1].Type == typ:
			r.Chunks[n-1].Count++
		case n == maxChunkRuns:
			r.More = true
			return
		default:
			r.Chunks[n] = ChunkRun{typ, 1}
			n++
		}
		chunks = rest
	}
}

// Timeline keeps the latest packets exchanged with one far end. It is its
// engine's, as sessions are.
type Timeline struct {
	session *Session // the latest; its address is where startup packets are looked for
	ring    [TimelineRecords]PacketRecord
	total   uint64
}

// add puts r over the oldest record.
func (t *Timeline) add(r PacketRecord) *PacketRecord {
	at := &t.ring[t.total%TimelineRecords]
	*at = r
	t.total++
	return at
}

// Records copies what is kept, the oldest first; total counts those that were
// overwritten as well.
func (t *Timeline) Records() (list []PacketRecord, total uint64) {
	oldest := int(t.total % TimelineRecords)
	if t.total <= TimelineRecords {
		return slices.Clone(t.ring[:t.total]), t.total
	}
	return slices.Concat(t.ring[oldest:], t.ring[:oldest]), t.total
}

// Follow has t note the packets of s from now on, and no longer those of the
// session before: a far end may come back.
func (t *Timeline) Follow(s *Session) {
	if t.session.timeline == t {
		t.session.timeline = nil
	}
	t.session, s.timeline = s, t
}

// Watch notes the packets of s, and startup packets from and to its address,
// until Unwatch. A session has one timeline at most, the latest. The error is
// ErrTimelines.
func (e *Engine) Watch(s *Session) (*Timeline, error) {
	if e.tap == nil {
		e.tap = new(tap)
	}
	if len(e.tap.timelines) >= maxTimelines {
		return nil, ErrTimelines
	}
	t := &Timeline{session: s}
	s.timeline = t
	e.tap.timelines = append(e.tap.timelines, t)
	return t, nil
}

// Unwatch ends t.
func (e *Engine) Unwatch(t *Timeline) {
	if t.session.timeline == t {
		t.session.timeline = nil
	}
	if e.tap == nil {
		return
	}
	e.tap.timelines = slices.DeleteFunc(e.tap.timelines, func(u *Timeline) bool { return u == t })
	if len(e.tap.timelines) == 0 {
		e.tap = nil // one nil check is all that packets pay for again
	}
}

// tap is where timelines are fed, in an engine that has any.
type tap struct {
	timelines []*Timeline
	current   [maxTimelines]*PacketRecord // of the datagram that is being received
}

// begin notes that a datagram arrived. What becomes of it follows until end.
func (t *tap) begin(e *Engine, d Datagram) {
	r := PacketRecord{At: e.now, Local: d.Local, Peer: d.Peer, Size: len(d.Data), Fate: FateTaken}
	id, ok := wire.Unscramble(d.Data)
	if s := e.sessions[id]; s != nil {
		if s.timeline != nil {
			t.current[0] = s.timeline.add(r)
		}
		return
	}
	r.Startup = ok && id == wire.SessionID{}
	for i, l := range t.timelines {
		if l.session.addr == d.Peer {
			t.current[i] = l.add(r)
		}
	}
}

func (t *tap) end() { clear(t.current[:]) }

func (t *tap) fate(name string) {
	for _, r := range t.current {
		if r != nil {
			r.Fate = name
		}
	}
}

func (t *tap) chunks(b []byte) {
	for _, r := range t.current {
		if r != nil {
			r.note(b)
		}
	}
}

// sending notes a startup packet, which has one chunk.
func (t *tap) sending(now time.Time, local, to netip.AddrPort, size int, chunk wire.ChunkType) {
	for _, l := range t.timelines {
		if l.session.addr == to {
			l.add(PacketRecord{At: now, Sent: true, Startup: true, Local: local, Peer: to, Size: size, Chunks: [maxChunkRuns]ChunkRun{{chunk, 1}}})
		}
	}
}

// sending notes a packet of the session before it is sealed.
func (t *Timeline) sending(now time.Time, local, to netip.AddrPort, packet []byte) *PacketRecord {
	r := t.add(PacketRecord{At: now, Sent: true, Local: local, Peer: to})
	if _, chunks, err := wire.ParseHeader(packet); err == nil {
		r.note(chunks)
	}
	return r
}
