package wire

// IIKeying asks a responder for a session (section 2.3.7). Mode 3, session ID 0.
type IIKeying struct {
	SessionID   SessionID // for packets to the initiator
	Cookie      []byte    // from the RHello
	Certificate []byte    // of the initiator
	Component   []byte    // session key initiator component
	Signature   []byte
}

// ParseIIKeying reads the payload of an IIKeying chunk.
func ParseIIKeying(body []byte) (c IIKeying, err error) {
	if len(body) < len(c.SessionID) {
		return IIKeying{}, ErrTruncated
	}
	body = body[copy(c.SessionID[:], body):]
	if c.Cookie, body, err = parseSized(body); err != nil {
		return IIKeying{}, err
	}
	if c.Certificate, body, err = parseSized(body); err != nil {
		return IIKeying{}, err
	}
	if c.Component, c.Signature, err = parseSized(body); err != nil {
		return IIKeying{}, err
	}
	return c, nil
}

// Append appends the whole chunk.
func (c IIKeying) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkIIKeying)
	b = append(b, c.SessionID[:]...)
	b = appendSized(b, c.Cookie)
	b = appendSized(b, c.Certificate)
	b = appendSized(b, c.Component)
	b = append(b, c.Signature...)
	return endChunk(b, start)
}
