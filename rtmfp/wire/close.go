package wire

// AppendCloseRequest appends a Session Close Request chunk, which has no payload
// (section 2.3.17). Mode 1 or 2.
func AppendCloseRequest(b []byte) []byte {
	return append(b, byte(ChunkCloseRequest), 0, 0)
}

// AppendCloseAck appends a Session Close Acknowledgement chunk, which has no
// payload (section 2.3.18). Mode 1 or 2.
func AppendCloseAck(b []byte) []byte {
	return append(b, byte(ChunkCloseAck), 0, 0)
}
