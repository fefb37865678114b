package lab

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Mangle does to a payload what application layer gateways do that take every
// protocol for one they know: where port and address of from stand in it, in that
// order as in STUN, those of to are put. It reports whether it did.
func Mangle(payload []byte, from, to netip.AddrPort) bool {
	before := append(binary.BigEndian.AppendUint16(nil, from.Port()), from.Addr().AsSlice()...)
	after := append(binary.BigEndian.AppendUint16(nil, to.Port()), to.Addr().AsSlice()...)
	if len(before) != len(after) {
		return false
	}
	mangled := false
	for rest := payload; ; mangled = true {
		i := bytes.Index(rest, before)
		if i < 0 {
			return mangled
		}
		rest = rest[i+copy(rest[i:], after):]
	}
}
