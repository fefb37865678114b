package wire

import (
	"iter"
	"math"
	"math/bits"
)

// AckBitmap acknowledges a flow's sequence numbers by a bit each (section 2.3.13,
// Bitmap Ack). Mode 1 or 2.
type AckBitmap struct {
	Flow         uint64
	BufferBlocks uint64 // free receive buffer, in blocks of 1024 bytes
	CumAck       uint64 // 0 through CumAck are acknowledged
	Bitmap       []byte // bit 0 of the first byte is CumAck+2; for All
}

// ParseAckBitmap reads the payload of a Bitmap Ack chunk. The only error is
// ErrTruncated.
func ParseAckBitmap(body []byte) (c AckBitmap, err error) {
	c.Flow, c.BufferBlocks, c.CumAck, c.Bitmap, err = parseAck(body)
	return c, err
}

// All yields the ranges acknowledged above CumAck, ascending and never adjacent.
// It stops at 2^64-1.
func (c AckBitmap) All() iter.Seq[AckRange] {
	cumAck, bitmap := c.CumAck, c.Bitmap
	return func(yield func(AckRange) bool) { eachBitmapRange(cumAck, bitmap, yield) }
}

func eachBitmapRange(cumAck uint64, bitmap []byte, yield func(AckRange) bool) {
	if cumAck > math.MaxUint64-2 {
		return
	}
	base := cumAck + 2
	last := math.MaxUint64 - base // the highest bit that stands for a number
	for i, end := uint64(0), uint64(len(bitmap))*8; i < end && i <= last; {
		from := i + nextBit(bitmap, i, 0x00)
		if from >= end || from > last {
			return
		}
		i = from + nextBit(bitmap, from, 0xff)
		if !yield(AckRange{From: base + from, To: base + min(i-1, last)}) {
			return
		}
	}
}

// nextBit counts the bits from bit i of bitmap on that equal those of fill, which
// is 0x00 or 0xff.
func nextBit(bitmap []byte, i uint64, fill byte) (n uint64) {
	skip := i % 8
	for _, b := range bitmap[i/8:] {
		run := uint64(bits.TrailingZeros8((b ^ fill) >> skip))
		if run < 8-skip {
			return n + run
		}
		n += 8 - skip
		skip = 0
	}
	return n
}

// Append appends the whole chunk.
func (c AckBitmap) Append(b []byte) []byte {
	start := len(b)
	b = appendAck(b, ChunkAckBitmap, c.Flow, c.BufferBlocks, c.CumAck)
	b = append(b, c.Bitmap...)
	return endChunk(b, start)
}

// AppendAckBitmap appends a Bitmap Ack chunk as long as len(b) stays within limit.
// What lies behind the last byte that fits is left out; b comes back unchanged
// when not even cumAck fits. ranges are as AppendAckRanges wants them.
func AppendAckBitmap(b []byte, flow, bufferBlocks, cumAck uint64, ranges []AckRange, limit int) []byte {
	start := len(b)
	limit = min(limit, start+ChunkHeaderLen+math.MaxUint16)
	if start+ackLen(flow, bufferBlocks, cumAck) > limit {
		return b
	}
	b = appendAck(b, ChunkAckBitmap, flow, bufferBlocks, cumAck)
	bitmap := len(b)
	end := uint64(limit-bitmap) * 8 // bits
	cursor := cumAck
	for _, r := range ranges {
		if !r.follows(cursor) {
			continue
		}
		from := r.From - cumAck - 2
		if from >= end {
			break
		}
		to := min(r.To-cumAck-2, end-1)
		for uint64(len(b)-bitmap) <= to/8 {
			b = append(b, 0)
		}
		setBits(b[bitmap:], from, to)
		cursor = r.To
	}
	return endChunk(b, start)
}

// setBits sets bits from through to.
func setBits(bitmap []byte, from, to uint64) {
	first, last := from/8, to/8
	head, tail := byte(0xff)<<(from%8), byte(0xff)>>(7-to%8)
	if first == last {
		bitmap[first] |= head & tail
		return
	}
	bitmap[first] |= head
	for i := first + 1; i < last; i++ {
		bitmap[i] = 0xff
	}
	bitmap[last] |= tail
}

// bitmapLen is the length of the bitmap that AppendAckBitmap writes without limit.
// ok is false when no chunk can hold it.
func bitmapLen(cumAck uint64, ranges []AckRange) (n int, ok bool) {
	cursor := cumAck
	for _, r := range ranges {
		if r.follows(cursor) {
			cursor = r.To
		}
	}
	if cursor == cumAck {
		return 0, true
	}
	bytes := (cursor-cumAck-2)/8 + 1
	return int(min(bytes, math.MaxUint16)), bytes < math.MaxUint16
}
