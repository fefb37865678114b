package wire

// CookieChange tells an initiator to send its IIKeying again with another cookie,
// because its address has changed (section 2.3.6, RHello Cookie Change). Mode 3,
// with the initiator's session ID, under the default key.
type CookieChange struct {
	OldCookie []byte
	NewCookie []byte
}

// ParseCookieChange reads the payload of a Cookie Change chunk.
func ParseCookieChange(body []byte) (c CookieChange, err error) {
	c.OldCookie, c.NewCookie, err = parseSized(body)
	return c, err
}

// Append appends the whole chunk.
func (c CookieChange) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkCookieChange)
	b = appendSized(b, c.OldCookie)
	b = append(b, c.NewCookie...)
	return endChunk(b, start)
}
