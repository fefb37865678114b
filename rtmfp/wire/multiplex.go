package wire

import "encoding/hex"

// SessionID names a session to the end that receives it. It is the 4 bytes that
// stand in the keying chunks; they are echoed, never read as a number. The zero
// value is the startup pseudo-session (section 2.2.2).
type SessionID [4]byte

// String returns the ID as 8 hexadecimal digits, in wire order.
func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// multiplexMin is the shortest datagram whose session ID is read: the scrambled
// ID and the 8 bytes that scramble it. (Section 2.2.2 would zero-pad shorter
// ones; no block cipher makes any.)
const multiplexMin = 12

// Scramble writes the scrambled session ID to datagram[0:4]. The encrypted packet
// stands at datagram[4:] already and has at least 8 bytes.
func (id SessionID) Scramble(datagram []byte) {
	d := datagram[:multiplexMin]
	for i := range id {
		d[i] = id[i] ^ d[4+i] ^ d[8+i]
	}
}

// Unscramble returns the session ID of a datagram, which it leaves as it is. ok
// is false when the datagram is shorter than 12 bytes.
func Unscramble(datagram []byte) (id SessionID, ok bool) {
	if len(datagram) < multiplexMin {
		return SessionID{}, false
	}
	d := datagram[:multiplexMin]
	for i := range id {
		id[i] = d[i] ^ d[4+i] ^ d[8+i]
	}
	return id, true
}
