package binding

import (
	"encoding/binary"

	"github.com/pion/stun/v2"
)

// Attributes of our own, for what RFC 5780 has no words for. All are
// comprehension-optional and of the range that is given out by expert review (RFC
// 8489 section 18.3), which no other attribute in use has: other servers pass over
// them, and then answer without attrPathResult.
//
//	PATH-TEST (0xFAC1), in a request: TOS byte, 3 bytes reserved (0).
//	    "Answer with this TOS byte, and tell with which you were asked."
//	PATH-RESULT (0xFAC2), in the answer to one: the request's TOS byte as it arrived,
//	    a byte reserved (0), its length in bytes of UDP payload (16 bits). A socket
//	    that does not carry TOS bytes both ways passes over PATH-TEST.
//	FILLER (0xFAC0), in a request: any bytes. They are not sent back, unlike
//	    PADDING's, so that only the way to the server is tried.
//
// A server of ours also passes over up to three bytes behind a request, at the ports
// of RFC 5780: STUN alone has only every fourth length of packets.
//
// An answer is as much longer as its request, so nobody is flooded by it.
const (
	attrFiller     stun.AttrType = 0xFAC0
	attrPathTest   stun.AttrType = 0xFAC1
	attrPathResult stun.AttrType = 0xFAC2

	pathLen = 4
)

// PathTest asks for an answer with this TOS byte.
type PathTest struct{ TOS uint8 }

// PathResult is how a request arrived.
type PathResult struct {
	TOS   uint8
	Bytes int // of UDP payload
}

// pathResult obeys a PATH-TEST.
func pathResult(m *stun.Message, d Received, r *Response) []stun.Setter {
	test, err := m.Get(attrPathTest)
	if err != nil || len(test) != pathLen || !d.HasTOS {
		return nil
	}
	r.TOS = test[0]
	value := binary.BigEndian.AppendUint16([]byte{d.TOS, 0}, uint16(len(d.Data)))
	return []stun.Setter{stun.RawAttribute{Type: attrPathResult, Value: value}}
}

func parsePathResult(m *stun.Message) *PathResult {
	v, err := m.Get(attrPathResult)
	if err != nil || len(v) != pathLen {
		return nil
	}
	return &PathResult{TOS: v[0], Bytes: int(binary.BigEndian.Uint16(v[2:]))}
}

// trimmed is a request without what trails it.
func trimmed(b []byte) []byte {
	if len(b) < headerLen {
		return b
	}
	if n := headerLen + int(binary.BigEndian.Uint16(b[2:4])); n < len(b) && len(b)-n < attributeHeaderLen {
		return b[:n]
	}
	return b
}
