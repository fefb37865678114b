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
//	PATH-TEST (0xFAC1), in a request: TOS byte, a byte of flags, 2 bytes reserved (0).
//	    "Answer with this TOS byte, and tell with which you were asked." The flag WHOLE
//	    (0x01): "Make the answer as long as the request, and let nobody fragment it."
//	PATH-RESULT (0xFAC2), in the answer to one: the request's TOS byte as it arrived,
//	    the flags that were obeyed, its length in bytes of UDP payload (16 bits). A
//	    socket that does not carry TOS bytes both ways passes over PATH-TEST.
//	FILLER (0xFAC0): any bytes. They are not sent back, unlike PADDING's, so that only
//	    the way to the server is tried; an answer has them for WHOLE alone.
//
// A server of ours also passes over up to three bytes behind a request, at the ports
// of RFC 5780, and has as many behind its answer to WHOLE: STUN alone has only every
// fourth length of packets.
//
// An answer is as long as any without PATH-TEST, or as its request, so nobody is
// flooded by it.
const (
	attrFiller     stun.AttrType = 0xFAC0
	attrPathTest   stun.AttrType = 0xFAC1
	attrPathResult stun.AttrType = 0xFAC2

	pathLen   = 4
	pathWhole = 0x01
)

// PathTest asks for an answer with this TOS byte; with Whole, for one as long as the
// request, in one piece or not at all.
type PathTest struct {
	TOS   uint8
	Whole bool
}

func (t PathTest) value() []byte {
	v := []byte{t.TOS, 0, 0, 0}
	if t.Whole {
		v[1] = pathWhole
	}
	return v
}

// PathResult is how a request arrived.
type PathResult struct {
	TOS   uint8
	Bytes int  // of UDP payload
	Whole bool // the answer is as long as the request was, and not to be fragmented
}

// pathResult obeys a PATH-TEST, and is the value of PATH-RESULT; nil without one.
func pathResult(m *stun.Message, d Received, r *Response) []byte {
	test, err := m.Get(attrPathTest)
	if err != nil || len(test) != pathLen || !d.HasTOS {
		return nil
	}
	r.TOS = test[0]
	// Only to who asked, from where it was asked: other sockets may have other writers.
	r.Whole = test[1]&pathWhole != 0 && d.CanBeWhole && !m.Contains(stun.AttrChangeRequest) && !m.Contains(stun.AttrResponsePort)
	return binary.BigEndian.AppendUint16([]byte{d.TOS, 0}, uint16(len(d.Data)))
}

// fill makes r, the answer to m, as long as the request of that many bytes, if it is
// shorter. result is the value of PATH-RESULT in set.
func (r *Response) fill(m *stun.Message, bytes int, result []byte, set []stun.Setter) {
	missing := bytes - len(r.Data)
	if missing < 0 {
		r.Whole = false
		return
	}
	result[1] = pathWhole
	if missing >= attributeHeaderLen {
		filler := make([]byte, missing/4*4-attributeHeaderLen)
		set = append(set, stun.RawAttribute{Type: attrFiller, Value: filler})
	}
	r.Data = append(encode(m, stun.BindingSuccess, set...), make([]byte, missing%4)...)
}

func parsePathResult(v []byte) *PathResult {
	if len(v) != pathLen {
		return nil
	}
	return &PathResult{TOS: v[0], Bytes: int(binary.BigEndian.Uint16(v[2:])), Whole: v[1]&pathWhole != 0}
}

// Trimmed is a message without the up to three bytes that may trail it.
func Trimmed(b []byte) []byte {
	if len(b) < headerLen {
		return b
	}
	if n := headerLen + int(binary.BigEndian.Uint16(b[2:4])); n < len(b) && len(b)-n < attributeHeaderLen {
		return b[:n]
	}
	return b
}
