package wire

import (
	"iter"
	"math"
)

// AckRanges acknowledges a flow's sequence numbers by run lengths (section 2.3.14,
// Range Ack). Mode 1 or 2.
type AckRanges struct {
	Flow         uint64
	BufferBlocks uint64 // free receive buffer, in blocks of 1024 bytes
	CumAck       uint64 // 0 through CumAck are acknowledged
	Ranges       []byte // encoded pairs of runs, for All
}

// ParseAckRanges reads the payload of a Range Ack chunk. A truncated last pair is
// no error: the chunk counts "as though it was properly formed up to the last
// completely encoded range" (section 2.3.14). The only error is ErrTruncated.
func ParseAckRanges(body []byte) (c AckRanges, err error) {
	c.Flow, c.BufferBlocks, c.CumAck, c.Ranges, err = parseAck(body)
	return c, err
}

// All yields the ranges acknowledged above CumAck, ascending and never adjacent.
// Their number is at most half the length of Ranges, their size is anything: a
// receiver must not count through one. A range that reaches 2^64-1 is the last.
func (c AckRanges) All() iter.Seq[AckRange] {
	cumAck, list := c.CumAck, c.Ranges
	return func(yield func(AckRange) bool) { eachAckRange(cumAck, list, yield) }
}

func eachAckRange(cursor uint64, list []byte, yield func(AckRange) bool) {
	for {
		holes, rest, err := ParseVLU(list)
		if err != nil {
			return
		}
		received, rest, err := ParseVLU(rest)
		if err != nil {
			return
		}
		list = rest

		if cursor > math.MaxUint64-2 || holes > math.MaxUint64-2-cursor {
			return
		}
		r := AckRange{From: cursor + holes + 2, To: math.MaxUint64}
		if received <= math.MaxUint64-r.From {
			r.To = r.From + received
		}
		if !yield(r) {
			return
		}
		cursor = r.To
	}
}

// Append appends the whole chunk.
func (c AckRanges) Append(b []byte) []byte {
	start := len(b)
	b = appendAck(b, ChunkAckRanges, c.Flow, c.BufferBlocks, c.CumAck)
	b = append(b, c.Ranges...)
	return endChunk(b, start)
}

// AppendAckRanges appends a Range Ack chunk as long as len(b) stays within limit.
// What does not fit is left out from the highest range down; b comes back
// unchanged when not even cumAck fits.
//
// ranges ascend, start at cumAck+2 or later, and have gaps between them; one that
// does not follow the range before it is skipped.
func AppendAckRanges(b []byte, flow, bufferBlocks, cumAck uint64, ranges []AckRange, limit int) []byte {
	start := len(b)
	limit = min(limit, start+ChunkHeaderLen+math.MaxUint16)
	if start+ackLen(flow, bufferBlocks, cumAck) > limit {
		return b
	}
	b = appendAck(b, ChunkAckRanges, flow, bufferBlocks, cumAck)
	cursor := cumAck
	for _, r := range ranges {
		if !r.follows(cursor) {
			continue
		}
		holes, received := r.From-cursor-2, r.To-r.From
		if len(b)+VLULen(holes)+VLULen(received) > limit {
			break
		}
		b = AppendVLU(AppendVLU(b, holes), received)
		cursor = r.To
	}
	return endChunk(b, start)
}

// rangesLen is the length of the pairs that AppendAckRanges writes without limit.
func rangesLen(cursor uint64, ranges []AckRange) (n int) {
	for _, r := range ranges {
		if r.follows(cursor) {
			n += VLULen(r.From-cursor-2) + VLULen(r.To-r.From)
			cursor = r.To
		}
	}
	return n
}
