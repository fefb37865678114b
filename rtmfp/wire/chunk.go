package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ChunkType is a chunk's type code (section 2.3).
type ChunkType uint8

const (
	ChunkIgnore         ChunkType = 0x00
	ChunkPing           ChunkType = 0x01
	ChunkCloseRequest   ChunkType = 0x0c
	ChunkFIHello        ChunkType = 0x0f
	ChunkUserData       ChunkType = 0x10
	ChunkNextUserData   ChunkType = 0x11
	ChunkBufferProbe    ChunkType = 0x18
	ChunkIHello         ChunkType = 0x30
	ChunkIIKeying       ChunkType = 0x38
	ChunkPingReply      ChunkType = 0x41
	ChunkCloseAck       ChunkType = 0x4c
	ChunkAckBitmap      ChunkType = 0x50
	ChunkAckRanges      ChunkType = 0x51
	ChunkFlowException  ChunkType = 0x5e
	ChunkRHello         ChunkType = 0x70
	ChunkRedirect       ChunkType = 0x71
	ChunkRIKeying       ChunkType = 0x78
	ChunkCookieChange   ChunkType = 0x79
	ChunkPacketFragment ChunkType = 0x7f
	ChunkECNReport      ChunkType = 0xec // in no RFC: see ECNReport
	ChunkPadding        ChunkType = 0xff
)

var chunkNames = [256]string{
	ChunkIgnore:         "Ignore",
	ChunkPing:           "Ping",
	ChunkCloseRequest:   "CloseRequest",
	ChunkFIHello:        "FIHello",
	ChunkUserData:       "UserData",
	ChunkNextUserData:   "NextUserData",
	ChunkBufferProbe:    "BufferProbe",
	ChunkIHello:         "IHello",
	ChunkIIKeying:       "IIKeying",
	ChunkPingReply:      "PingReply",
	ChunkCloseAck:       "CloseAck",
	ChunkAckBitmap:      "AckBitmap",
	ChunkAckRanges:      "AckRanges",
	ChunkFlowException:  "FlowException",
	ChunkRHello:         "RHello",
	ChunkRedirect:       "Redirect",
	ChunkRIKeying:       "RIKeying",
	ChunkCookieChange:   "CookieChange",
	ChunkPacketFragment: "PacketFragment",
	ChunkECNReport:      "ECNReport",
	ChunkPadding:        "Padding",
}

// String returns the chunk's name, or "0x" and two digits if it has none.
func (t ChunkType) String() string {
	if name := chunkNames[t]; name != "" {
		return name
	}
	return fmt.Sprintf("0x%02x", uint8(t))
}

// AllowedIn reports whether a packet of mode m may carry chunks of this type. "A
// receiver MUST ignore a chunk appearing in a packet having a mode inappropriate
// to that chunk type" (section 2.3). It is false for types this package does not
// know, which are ignored as well.
func (t ChunkType) AllowedIn(m Mode) bool {
	switch t {
	case ChunkIHello, ChunkRHello, ChunkRedirect, ChunkCookieChange, ChunkIIKeying, ChunkRIKeying:
		return m == ModeStartup
	case ChunkFIHello, ChunkPing, ChunkPingReply, ChunkUserData, ChunkNextUserData,
		ChunkAckBitmap, ChunkAckRanges, ChunkBufferProbe, ChunkFlowException,
		ChunkCloseRequest, ChunkCloseAck, ChunkECNReport:
		return m == ModeInitiator || m == ModeResponder
	case ChunkPacketFragment:
		return m != ModeForbidden
	case ChunkIgnore, ChunkPadding:
		return false
	default:
		return false
	}
}

// ChunkHeaderLen is the number of bytes before a chunk's payload: type and length.
const ChunkHeaderLen = 3

// NextChunk cuts the first chunk off b, a packet from behind its header on. ok is
// false at the end of the packet: fewer than 3 bytes are left, or the chunk's
// length does not fit, which is how padding looks (section 2.2.4).
func NextChunk(b []byte) (typ ChunkType, body, rest []byte, ok bool) {
	if len(b) < ChunkHeaderLen {
		return 0, nil, nil, false
	}
	end := ChunkHeaderLen + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < end {
		return 0, nil, nil, false
	}
	return ChunkType(b[0]), b[ChunkHeaderLen:end:end], b[end:], true
}

// beginChunk appends the header of a chunk whose length endChunk will fill in.
func beginChunk(b []byte, t ChunkType) []byte {
	return append(b, byte(t), 0, 0)
}

// endChunk fills in the length of the chunk that starts at b[start]. It takes a
// chunk too long for the field off again: a cut length would make the rest of the
// packet be read as other chunks.
func endChunk(b []byte, start int) []byte {
	n := len(b) - start - ChunkHeaderLen
	if n > math.MaxUint16 {
		return b[:start]
	}
	binary.BigEndian.PutUint16(b[start+1:], uint16(n))
	return b
}
