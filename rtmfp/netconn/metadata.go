package netconn

import (
	"errors"

	"pileus/rtmfp/wire"
)

// ErrMetadata is returned for metadata that is not that of an RTMP message
// flow; a receiver rejects the flow (RFC 7425 5.1.1).
var ErrMetadata = errors.New("netconn: not the metadata of a message flow")

const (
	flagStreamID     = 0x04 // SID
	flagNetworkOrder = 0x01 // RXI
)

// Metadata is the user metadata of a flow of RTMP messages (RFC 7425 5.1.1).
type Metadata struct {
	StreamID uint32 // 24 bits; 0 is the NetConnection

	// NetworkOrder hints that messages are best taken as they arrive, instead
	// of in their original order.
	NetworkOrder bool
}

// ParseMetadata reads metadata. Reserved bits and anything after the stream ID
// are ignored. The only error is ErrMetadata.
func ParseMetadata(b []byte) (Metadata, error) {
	// "A receiver SHOULD reject an RTMP message flow if its streamIDPresent
	// flag is clear."
	if len(b) < 3 || b[0] != 'T' || b[1] != 'C' || b[2]&flagStreamID == 0 {
		return Metadata{}, ErrMetadata
	}
	id, _, err := wire.ParseVLU(b[3:])
	if err != nil || id > MaxStreamID {
		return Metadata{}, ErrMetadata
	}
	return Metadata{StreamID: uint32(id), NetworkOrder: b[2]&flagNetworkOrder != 0}, nil
}

// Append appends the metadata: 4 to 7 bytes.
func (m Metadata) Append(b []byte) []byte {
	flags := byte(flagStreamID)
	if m.NetworkOrder {
		flags |= flagNetworkOrder
	}
	return wire.AppendVLU(append(b, 'T', 'C', flags), uint64(m.StreamID))
}
