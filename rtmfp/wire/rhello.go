package wire

// RHello answers an IHello or FIHello that named the responder (section 2.3.4).
// Mode 3, session ID 0.
type RHello struct {
	Tag         []byte // from the IHello
	Cookie      []byte // to be echoed in IIKeying
	Certificate []byte // of the responder
}

// ParseRHello reads the payload of an RHello chunk.
func ParseRHello(body []byte) (c RHello, err error) {
	tag, body, err := parseSized(body)
	if err != nil {
		return RHello{}, err
	}
	cookie, cert, err := parseSized(body)
	if err != nil {
		return RHello{}, err
	}
	return RHello{Tag: tag, Cookie: cookie, Certificate: cert}, nil
}

// Append appends the whole chunk.
func (c RHello) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkRHello)
	b = appendSized(b, c.Tag)
	b = appendSized(b, c.Cookie)
	b = append(b, c.Certificate...)
	return endChunk(b, start)
}
