package wire

// Ping asks for a PingReply with the same message (section 2.3.9). Mode 1 or 2.
type Ping struct {
	Message []byte // may be empty
}

// ParsePing reads the payload of a Ping chunk. It accepts everything.
func ParsePing(body []byte) (Ping, error) { return Ping{Message: body}, nil }

// Append appends the whole chunk.
func (c Ping) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkPing)
	b = append(b, c.Message...)
	return endChunk(b, start)
}
