package flow

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// sentFragment is one transmission of a fragment, or a buffer probe if seq is 0.
type sentFragment struct {
	flow, seq  uint64
	fra        wire.Fragment
	abn, fin   bool
	hasOptions bool
}

func (s sentFragment) String() string {
	flags := ""
	if s.abn {
		flags += "A"
	}
	if s.fin {
		flags += "F"
	}
	if s.hasOptions {
		flags += "o"
	}
	if s.abn {
		return fmt.Sprintf("%d:%d%s", s.flow, s.seq, flags) // of no message any more
	}
	return fmt.Sprintf("%d:%d/%d%s", s.flow, s.seq, s.fra, flags)
}

// recordedRoom is the space for chunks in the recorded packets (NOTES 31), plus what
// we keep free for acknowledgements and the recorded sender does not.
const recordedRoom = 1169 + ackReserve

// sendRecorded lets a sending Mux do what the recorded sender's application did, feeds
// it the recorded acknowledgements, and returns both transmission logs.
func sendRecorded(t *testing.T, name string) (ours, recorded []sentFragment, r *replay) {
	x := vectors.Load(t, name)
	s := &x.Sessions[0]
	r = newReplay(t, x, s, "r2i", Config{Room: recordedRoom})
	var flow, seq uint64
	r.sent = func(typ wire.ChunkType, body []byte) {
		switch typ {
		case wire.ChunkUserData:
			c, err := wire.ParseUserData(body)
			if err != nil {
				t.Error(err)
			}
			flow, seq = c.Flow, c.Seq
			ours = append(ours, sentFragment{flow, seq, c.Fragment, c.Abandon, c.Final, c.HasOptions})
		case wire.ChunkNextUserData:
			c, _ := wire.ParseNextUserData(body)
			seq++
			ours = append(ours, sentFragment{flow, seq, c.Fragment, c.Abandon, c.Final, c.HasOptions})
		case wire.ChunkBufferProbe:
			ours = append(ours, sentFragment{flow: flow})
		}
	}
	written := map[uint64]int{}
	receipts := map[uint64]*Receipt{} // by sequence number; abandoning is recorded for one flow only
	list := events(x, s, s.Initiator)
	for i, e := range list {
		r.until(at(e.us))
		if e.received {
			for typ, body := range e.chunks {
				switch typ {
				case wire.ChunkAckRanges, wire.ChunkAckBitmap, wire.ChunkFlowException, wire.ChunkECNReport:
					r.mux.ReceiveChunk(typ, body)
				}
			}
			r.mux.ReceiveEnd(e.packetInfo())
			r.mux.SetRTT(0, 0) // loopback
			r.flush()
			if i+1 < len(list) && !list[i+1].received {
				// What is sent next as abandoned was abandoned by then.
				for _, c := range list[i+1].datagram.Packet.Chunks {
					if c.Abn && receipts[c.Seq] != nil {
						receipts[c.Seq].Abandon()
					}
				}
			}
			continue
		}
		for _, c := range e.datagram.Packet.Chunks {
			if c.Name == "BufferProbe" {
				recorded = append(recorded, sentFragment{flow: c.Flow})
			}
			if c.Name != "UserData" && c.Name != "NextUserData" {
				continue
			}
			recorded = append(recorded, sentFragment{c.Flow, c.Seq, fragmentByName(c.Fra), c.Abn, c.Fin, len(c.Options) > 0})
			i := slices.IndexFunc(x.Flows, func(f vectors.Flow) bool {
				return f.Session == s.ID && f.Dir == "i2r" && f.Flow == c.Flow
			})
			f := r.mux.findSend(c.Flow)
			for _, msg := range x.Flows[i].Messages[written[c.Flow]:] {
				if msg.Seq[0] > c.Seq && name != "s05_buffer_probe" { // which queued all at once
					break
				}
				written[c.Flow]++
				if !msg.Abandoned {
					f.nextSeq = msg.Seq[0] // over messages that were never sent
					receipt := new(Receipt)
					for seq := msg.Seq[0]; seq <= msg.Seq[1]; seq++ {
						receipts[seq] = receipt
					}
					write(t, f, bytes.Repeat([]byte{'x'}, msg.Len), WriteOptions{Receipt: receipt})
				}
				if msg.Fin {
					f.Close()
				}
			}
		}
		if len(e.datagram.Packet.Chunks) > 0 {
			r.flush()
		}
	}
	return ours, recorded, r
}

func fragmentByName(name string) wire.Fragment {
	return wire.Fragment(slices.Index([]string{"whole", "begin", "end", "middle"}, name))
}

func join(list []sentFragment) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "%v ", s)
	}
	return b.String()
}

// TestSendRecorded compares what our sender transmits with what the recorded one did:
// the same fragments, with the same flags, in the same order, retransmissions and
// buffer probes included.
func TestSendRecorded(t *testing.T) {
	for _, name := range []string{
		"s05_small", "s05_fragmented", "s05_loss_ack_ranges", "s05_reorder_dup_corrupt_checksum",
		"s05_reorder_dup_corrupt_sseq", "s05_reject", "s05_buffer_probe", "s05_zero_buffer", "s05_abandon_fsn",
		"s05_return_flow", "s05_priority_tc", "s05_empty_metadata", "s05_multi_flows", "s05_long_sseq_checksum",
		// The recorded sender reads only the cumulative part of a Bitmap Ack (NOTES
		// 36), but losses are few enough that it makes no difference here.
		"s05_loss_ack_bitmap",
	} {
		t.Run(name, func(t *testing.T) {
			ours, recorded, _ := sendRecorded(t, name)
			if name == "s05_fragmented" || name == "s05_buffer_probe" {
				// The recorded sender began with a smaller window or more slowly, so that
				// a packet less went out before the first acknowledgement.
				ours, recorded = withoutOptions(ours), withoutOptions(recorded)
			}
			if a, b := join(ours), join(recorded); a != b {
				t.Errorf("\nsent     %s\nrecorded %s", a, b)
			}
		})
	}
}

func withoutOptions(list []sentFragment) []sentFragment {
	for i := range list {
		list[i].hasOptions = false
	}
	return list
}
