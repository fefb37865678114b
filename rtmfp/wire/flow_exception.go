package wire

// FlowException tells a flow's sender that the receiver does not want the flow
// (section 2.3.16, Flow Exception Report). Mode 1 or 2.
type FlowException struct {
	Flow uint64
	Code uint64 // the application's; 0 when RTMFP itself rejects
}

// ParseFlowException reads the payload of a Flow Exception Report chunk. The only
// error is ErrTruncated.
func ParseFlowException(body []byte) (c FlowException, err error) {
	if c.Flow, body, err = ParseVLU(body); err != nil {
		return FlowException{}, err
	}
	if c.Code, _, err = ParseVLU(body); err != nil {
		return FlowException{}, err
	}
	return c, nil
}

// Append appends the whole chunk.
func (c FlowException) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkFlowException)
	b = AppendVLU(b, c.Flow)
	b = AppendVLU(b, c.Code)
	return endChunk(b, start)
}
