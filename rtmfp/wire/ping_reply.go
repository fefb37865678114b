package wire

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
