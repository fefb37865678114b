package wire

// FIHello hands an IHello on to the endpoint it names (section 2.3.3). Mode 1 or
// 2, in a session. The answer goes straight to ReplyAddress.
type FIHello struct {
	EPD          []byte // copied from the IHello
	ReplyAddress Address
	Tag          []byte // copied from the IHello
}

// ParseFIHello reads the payload of an FIHello chunk.
func ParseFIHello(body []byte) (c FIHello, err error) {
	epd, body, err := parseSized(body)
	if err != nil {
		return FIHello{}, err
	}
	addr, tag, err := ParseAddress(body)
	if err != nil {
		return FIHello{}, err
	}
	return FIHello{EPD: epd, ReplyAddress: addr, Tag: tag}, nil
}

// Append appends the whole chunk.
func (c FIHello) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkFIHello)
	b = appendSized(b, c.EPD)
	b = c.ReplyAddress.Append(b)
	b = append(b, c.Tag...)
	return endChunk(b, start)
}
