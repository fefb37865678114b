package wire

// RIKeying grants the session that an IIKeying asked for (section 2.3.8). Mode 3,
// with the initiator's session ID, under the default key.
type RIKeying struct {
	SessionID SessionID // for packets to the responder
	Component []byte    // session key responder component
	Signature []byte
}

// ParseRIKeying reads the payload of an RIKeying chunk.
func ParseRIKeying(body []byte) (c RIKeying, err error) {
	if len(body) < len(c.SessionID) {
		return RIKeying{}, ErrTruncated
	}
	body = body[copy(c.SessionID[:], body):]
	if c.Component, c.Signature, err = parseSized(body); err != nil {
		return RIKeying{}, err
	}
	return c, nil
}

// Append appends the whole chunk.
func (c RIKeying) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkRIKeying)
	b = append(b, c.SessionID[:]...)
	b = appendSized(b, c.Component)
	b = append(b, c.Signature...)
	return endChunk(b, start)
}
