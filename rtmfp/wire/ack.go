package wire

// AckRange is a run of received sequence numbers, both ends included.
type AckRange struct {
	From, To uint64
}

// AppendAck appends the acknowledgement of 0 through cumAck and of ranges as an
// AckRanges or an AckBitmap chunk, whichever is shorter: a receiver "SHOULD choose
// whichever format has the most compact encoding" (section 2.3.13). On a tie it
// takes AckRanges, which every known endpoint reads in full.
//
// bufferBlocks is the space left in the receive buffer, in blocks of 1024 bytes.
// ranges are as AppendAckRanges wants them, and what does not fit below limit is
// left out as it does.
func AppendAck(b []byte, flow, bufferBlocks, cumAck uint64, ranges []AckRange, limit int) []byte {
	if bitmap, ok := bitmapLen(cumAck, ranges); ok && bitmap < rangesLen(cumAck, ranges) &&
		len(b)+ackLen(flow, bufferBlocks, cumAck)+bitmap <= limit {
		return AppendAckBitmap(b, flow, bufferBlocks, cumAck, ranges, limit)
	}
	return AppendAckRanges(b, flow, bufferBlocks, cumAck, ranges, limit)
}

// ackLen is the length of an acknowledgement chunk of 0 through cumAck alone.
func ackLen(flow, bufferBlocks, cumAck uint64) int {
	return ChunkHeaderLen + VLULen(flow) + VLULen(bufferBlocks) + VLULen(cumAck)
}

func parseAck(body []byte) (flow, bufferBlocks, cumAck uint64, rest []byte, err error) {
	if flow, body, err = ParseVLU(body); err != nil {
		return 0, 0, 0, nil, err
	}
	if bufferBlocks, body, err = ParseVLU(body); err != nil {
		return 0, 0, 0, nil, err
	}
	if cumAck, body, err = ParseVLU(body); err != nil {
		return 0, 0, 0, nil, err
	}
	return flow, bufferBlocks, cumAck, body, nil
}

func appendAck(b []byte, t ChunkType, flow, bufferBlocks, cumAck uint64) []byte {
	b = beginChunk(b, t)
	b = AppendVLU(b, flow)
	b = AppendVLU(b, bufferBlocks)
	return AppendVLU(b, cumAck)
}

// follows reports whether r can be written behind cursor: at least one missing
// sequence number stands between them.
func (r AckRange) follows(cursor uint64) bool {
	return r.From > cursor && r.From-cursor >= 2 && r.To >= r.From
}
