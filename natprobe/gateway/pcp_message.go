package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

const (
	pcpVersion  = 2
	opcodeMap   = 1
	responseBit = 0x80
	protocolUDP = 17
	nonceBytes  = 12

	pcpHeader = 24             // bytes
	mapLength = pcpHeader + 36 // of a message, without options
)

// result is a result code of PCP (RFC 6887 section 7.4).
type result uint8

const (
	resultSuccess            result = 0
	resultUnsupportedVersion result = 1
	resultNetworkFailure     result = 7
	resultAddressMismatch    result = 12
)

var resultNames = [...]string{
	"SUCCESS", "UNSUPP_VERSION", "NOT_AUTHORIZED", "MALFORMED_REQUEST", "UNSUPP_OPCODE", "UNSUPP_OPTION", "MALFORMED_OPTION",
	"NETWORK_FAILURE", "NO_RESOURCES", "UNSUPP_PROTOCOL", "USER_EX_QUOTA", "CANNOT_PROVIDE_EXTERNAL", "ADDRESS_MISMATCH", "EXCESSIVE_REMOTE_PEERS",
}

func (r result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return fmt.Sprintf("result %d", uint8(r))
}

// mapping is what a MAP request asks for (RFC 6887 section 11.1). There are no
// options: a mapping for somebody else (THIRD_PARTY) is none of our business.
type mapping struct {
	lifetime time.Duration // 0: delete
	client   netip.AddrPort
	nonce    [nonceBytes]byte
}

// request is the message of 60 bytes.
func (m mapping) request() []byte {
	b := make([]byte, 0, mapLength)
	b = append(b, pcpVersion, opcodeMap, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(m.lifetime/time.Second)) //nolint:gosec // a constant
	// "IPv4 addresses are represented using the IPv4-mapped IPv6 address" (section 5)
	client := m.client.Addr().As16()
	b = append(b, client[:]...)
	b = append(b, m.nonce[:]...)
	b = append(b, protocolUDP, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, m.client.Port())
	b = append(b, 0, 0) // no port in mind
	anything := netip.IPv6Unspecified()
	if m.client.Addr().Is4() {
		anything = netip.AddrFrom16(netip.IPv4Unspecified().As16())
	}
	none := anything.As16()
	return append(b, none[:]...)
}

// granted is the answer to a mapping.
type granted struct {
	version  uint8 // of UNSUPP_VERSION: what is spoken there
	result   result
	lifetime time.Duration
	external netip.AddrPort
}

// parse reads the answer to m. What is no answer to it is to be left, as if it had
// not come (RFC 6887 sections 8.3 and 11.4).
func (m mapping) parse(b []byte) (g granted, ok bool) {
	if len(b) < 4 || b[1] != opcodeMap|responseBit {
		return g, false
	}
	g.version, g.result = b[0], result(b[3])
	if g.version != pcpVersion {
		// Of other versions, NAT-PMP's (0) among them, this much is known (section 9).
		return g, g.result == resultUnsupportedVersion
	}
	// "Responses shorter than 24 octets, longer than 1100 octets, or not a multiple
	// of 4 octets are invalid and ignored."
	if len(b) < mapLength || len(b) > maxPCP || len(b)%4 != 0 {
		return g, false
	}
	body := b[pcpHeader:mapLength]
	if [nonceBytes]byte(body) != m.nonce || body[12] != protocolUDP || binary.BigEndian.Uint16(body[16:]) != m.client.Port() {
		return g, false
	}
	g.lifetime = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	g.external = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[20:])).Unmap(), binary.BigEndian.Uint16(body[18:]))
	return g, true
}
