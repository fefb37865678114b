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

// PingReply answers a Ping (section 2.3.10). Mode 1 or 2.
type PingReply struct {
	Message []byte // from the Ping, unaltered
}

// ParsePingReply reads the payload of a Ping Reply chunk. It accepts everything.
func ParsePingReply(body []byte) (PingReply, error) { return PingReply{Message: body}, nil }

// Append appends the whole chunk.
func (c PingReply) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkPingReply)
	b = append(b, c.Message...)
	return endChunk(b, start)
}
