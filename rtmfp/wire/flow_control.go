package wire

// BufferProbe asks for an acknowledgement, to learn the receiver's free buffer
// (section 2.3.15). Mode 1 or 2.
type BufferProbe struct {
	Flow uint64
}

// ParseBufferProbe reads the payload of a Buffer Probe chunk. The only error is
// ErrTruncated.
func ParseBufferProbe(body []byte) (c BufferProbe, err error) {
	c.Flow, _, err = ParseVLU(body)
	return c, err
}

// Append appends the whole chunk.
func (c BufferProbe) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkBufferProbe)
	b = AppendVLU(b, c.Flow)
	return endChunk(b, start)
}

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
