package rtmfp

// Inject sends chunks as they are, in a packet of their own.
func (s *Session) Inject(chunks func([]byte) []byte) {
	if s.state == stateOpen {
		s.sendChunk(chunks)
	}
}
