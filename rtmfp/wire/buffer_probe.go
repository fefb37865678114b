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
