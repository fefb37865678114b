package wire

// ECNReport tells how many packets arrived marked Congestion Experienced, just
// before acknowledgements. It is in no RFC: the reference implementation sends it
// once an ECN-capable packet has arrived, and a data sender that gets
// acknowledgements without it gives ECN up. Mode 1 or 2.
type ECNReport struct {
	Count uint8 // modulo 256
}

// ParseECNReport reads the payload of an ECN Report chunk. Bytes behind the count
// are ignored. The only error is ErrTruncated.
func ParseECNReport(body []byte) (ECNReport, error) {
	if len(body) == 0 {
		return ECNReport{}, ErrTruncated
	}
	return ECNReport{Count: body[0]}, nil
}

// Append appends the whole chunk.
func (c ECNReport) Append(b []byte) []byte {
	return append(b, byte(ChunkECNReport), 0, 1, c.Count)
}
