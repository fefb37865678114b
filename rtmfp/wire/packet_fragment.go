package wire

// PacketFragment carries a piece of a plain packet that is longer than the path's
// MTU (sections 2.3.1 and 3.4). Any mode.
type PacketFragment struct {
	More     bool // this is not the last fragment
	PacketID uint64
	Fragment uint64 // index, from 0
	Data     []byte // never empty
}

const packetFragmentMore = 0x80

// ParsePacketFragment reads the payload of a Packet Fragment chunk. The errors are
// ErrTruncated and ErrEmptyFragment.
func ParsePacketFragment(body []byte) (c PacketFragment, err error) {
	if len(body) == 0 {
		return PacketFragment{}, ErrTruncated
	}
	c.More, body = body[0]&packetFragmentMore != 0, body[1:]
	if c.PacketID, body, err = ParseVLU(body); err != nil {
		return PacketFragment{}, err
	}
	if c.Fragment, body, err = ParseVLU(body); err != nil {
		return PacketFragment{}, err
	}
	// "A receiver MUST discard a Packet Fragment chunk having an empty
	// packetFragment field" (section 3.4).
	if len(body) == 0 {
		return PacketFragment{}, ErrEmptyFragment
	}
	c.Data = body
	return c, nil
}

// Append appends the whole chunk.
func (c PacketFragment) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkPacketFragment)
	var flags byte
	if c.More {
		flags = packetFragmentMore
	}
	b = append(b, flags)
	b = AppendVLU(b, c.PacketID)
	b = AppendVLU(b, c.Fragment)
	b = append(b, c.Data...)
	return endChunk(b, start)
}
