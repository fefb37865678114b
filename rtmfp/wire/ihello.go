package wire

// IHello begins a session (section 2.3.2). Mode 3, session ID 0.
type IHello struct {
	EPD []byte // endpoint discriminator: whom the initiator wants
	Tag []byte // echoed in RHello and Redirect
}

// ParseIHello reads the payload of an IHello chunk.
func ParseIHello(body []byte) (c IHello, err error) {
	c.EPD, c.Tag, err = parseSized(body)
	return c, err
}

// Append appends the whole chunk.
func (c IHello) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkIHello)
	b = appendSized(b, c.EPD)
	b = append(b, c.Tag...)
	return endChunk(b, start)
}
