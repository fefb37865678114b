package binding

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"

	"github.com/pion/stun/v2"
)

// Answer is what a server said to a Request.
type Answer struct {
	Transaction Transaction
	Code        int            // zero: success; else the error, 420 above all, or NoCode
	Seen        netip.AddrPort // where the request came from
	Other       netip.AddrPort // the server's other address and port, if it has both
	// Plain is the address of MAPPED-ADDRESS, which those who rewrite addresses in
	// payloads find; Seen is XOR-MAPPED-ADDRESS where there is one.
	Plain     netip.AddrPort
	Alternate netip.AddrPort // with error 300: the server to ask instead
	Path      *PathResult    // nil: the server knows no PATH-TEST
	Odd       []Oddity       // what is against the RFC, and can be read all the same
}

// NoCode is the Code of an error that has none.
const NoCode = -1

// Oddity is what makes an answer different from those of RFC 8489.
type Oddity uint8

const (
	// WithoutCookie: the server did not give the magic cookie back, nor the bits of
	// RFC 3489's transaction that stand there.
	WithoutCookie Oddity = iota
	// PlainOnly: there is MAPPED-ADDRESS alone, as in RFC 3489.
	PlainOnly
	// CutOff: more was announced than came.
	CutOff
	// Trailing: more came than was announced.
	Trailing
	// WrongFingerprint: section 7.3 has who checks it take the message for none of STUN.
	WrongFingerprint
	// UnknownRequired: section 6.3.3, "If the success response contains unknown
	// comprehension-required attributes, the response is discarded".
	UnknownRequired
	// NoAddress: an attribute for an address has none, or that of nobody.
	NoAddress
)

var (
	errNoAnswer  = errors.New("binding: no Binding response")
	errNoAddress = errors.New("binding: response without address")
)

// What RFC 3489 and its time have besides.
const (
	attrChangedAddress stun.AttrType = 0x0005 // RFC 5780 section 7.4: "OTHER-ADDRESS [...] is simply a new name"
	attrOldXORMapped   stun.AttrType = 0x8020 // of drafts of RFC 5389, which servers still send
)

// Parts of a message (RFC 8489 sections 5 and 14).
const (
	lengthAt, cookieAt     = 2, 4 // in the header
	familyIPv4, familyIPv6 = 1, 2
	fingerprintXOR         = 0x5354554e
	// Section 14.8: "The Class represents the hundreds digit of the error code. The
	// value MUST be between 3 and 6."
	firstClass, lastClass = 3, 6
)

// requiredInAnswers are the comprehension-required attributes that an answer may have:
// those of RFC 8489, 5780 and 3489.
var requiredInAnswers = []stun.AttrType{
	stun.AttrMappedAddress, 0x0002, stun.AttrChangeRequest, 0x0004, attrChangedAddress, stun.AttrUsername, 0x0007,
	stun.AttrMessageIntegrity, stun.AttrErrorCode, stun.AttrUnknownAttributes, 0x000b, stun.AttrRealm, stun.AttrNonce,
	0x001c, 0x001d, 0x001e, stun.AttrXORMappedAddress, stun.AttrPadding, stun.AttrResponsePort,
}

// IsAnswer reports whether b begins like a message of STUN, as one of RFC 3489 does
// too: only its transaction then tells whether it is one.
func IsAnswer(b []byte) bool { return len(b) >= headerLen && b[0]&0xc0 == 0 }

// ParseAnswer reads a Binding response, also what of an odd one can be read. Neither
// b's source nor the transaction is checked.
func ParseAnswer(b []byte) (Answer, error) {
	if !IsAnswer(b) {
		return Answer{}, errNoAnswer
	}
	p := parser{message: b, answer: Answer{Transaction: TransactionOf(b)}}
	p.split()
	if binary.BigEndian.Uint32(b[cookieAt:]) != magicCookie {
		p.odd(WithoutCookie)
	}
	var t stun.MessageType
	t.ReadValue(binary.BigEndian.Uint16(b))
	switch t {
	case stun.BindingSuccess:
		return p.success()
	case stun.BindingError:
		p.failure()
		return p.answer, nil
	}
	return Answer{}, errNoAnswer
}

// parser is an answer that is read. It takes the first of each attribute (RFC 8489
// section 14: "only the first occurrence needs to be processed").
type parser struct {
	message    []byte
	attributes []attribute
	answer     Answer
}

type attribute struct {
	stun.AttrType
	value []byte
	at    int // in the message
}

func (p *parser) odd(o Oddity) {
	if !slices.Contains(p.answer.Odd, o) {
		p.answer.Odd = append(p.answer.Odd, o)
	}
}

// split finds the attributes that are there as a whole.
func (p *parser) split() {
	end := headerLen + int(binary.BigEndian.Uint16(p.message[lengthAt:cookieAt]))
	switch {
	case end > len(p.message):
		p.odd(CutOff)
	case end < len(p.message):
		p.odd(Trailing)
	}
	end = min(end, len(p.message))
	for at := headerLen; at < end; {
		if end-at < attributeHeaderLen {
			p.odd(CutOff)
			return
		}
		length := int(binary.BigEndian.Uint16(p.message[at+2:]))
		value := p.message[at+attributeHeaderLen : end]
		if length > len(value) {
			p.odd(CutOff)
			return
		}
		p.attributes = append(p.attributes, attribute{stun.AttrType(binary.BigEndian.Uint16(p.message[at:])), value[:length], at})
		at += attributeHeaderLen + (length+3)/4*4
	}
}

func (p *parser) get(t stun.AttrType) ([]byte, bool) {
	i := slices.IndexFunc(p.attributes, func(a attribute) bool { return a.AttrType == t })
	if i < 0 {
		return nil, false
	}
	return p.attributes[i].value, true
}

func (p *parser) success() (Answer, error) {
	a := &p.answer
	for _, other := range []stun.AttrType{stun.AttrOtherAddress, attrChangedAddress} {
		if !a.Other.IsValid() {
			a.Other = p.address(other, false)
		}
	}
	a.Plain = p.address(stun.AttrMappedAddress, false)
	// What is hidden under a cookie that did not come back is not to be known.
	if !slices.Contains(a.Odd, WithoutCookie) {
		for _, hidden := range []stun.AttrType{stun.AttrXORMappedAddress, attrOldXORMapped} {
			if !a.Seen.IsValid() {
				a.Seen = p.address(hidden, true)
			}
		}
	}
	if !a.Seen.IsValid() && a.Plain.IsValid() {
		a.Seen = a.Plain
		p.odd(PlainOnly)
	}
	if v, ok := p.get(attrPathResult); ok {
		a.Path = parsePathResult(v)
	}
	p.check()
	if !a.Seen.IsValid() {
		return Answer{}, errNoAddress
	}
	return *a, nil
}

// check finds what has others throw the answer away.
func (p *parser) check() {
	for _, attr := range p.attributes {
		if attr.Required() && !slices.Contains(requiredInAnswers, attr.AttrType) {
			p.odd(UnknownRequired)
		}
		if attr.AttrType == stun.AttrFingerprint && (len(attr.value) != 4 ||
			binary.BigEndian.Uint32(attr.value) != crc32.ChecksumIEEE(p.message[:attr.at])^fingerprintXOR) {
			p.odd(WrongFingerprint)
		}
	}
}

func (p *parser) failure() {
	p.answer.Code = NoCode
	if v, ok := p.get(stun.AttrErrorCode); ok && len(v) >= 4 {
		class, number := int(v[2]&7), int(v[3])
		if class >= firstClass && class <= lastClass && number < 100 {
			p.answer.Code = class*100 + number
		}
	}
	p.answer.Alternate = p.address(stun.AttrAlternateServer, false)
}

// address reads an attribute of MAPPED-ADDRESS' form (RFC 8489 section 14.1), hidden
// as in section 14.2 or not; zero if there is none.
func (p *parser) address(t stun.AttrType, hidden bool) netip.AddrPort {
	v, ok := p.get(t)
	if !ok {
		return netip.AddrPort{}
	}
	family := 0
	if len(v) > 1 {
		family = int(v[1])
	}
	var addr netip.Addr
	switch {
	case family == familyIPv4 && len(v) >= 8:
		addr = netip.AddrFrom4([4]byte(p.plain(v[4:8], hidden)))
	case family == familyIPv6 && len(v) >= 20:
		addr = netip.AddrFrom16([16]byte(p.plain(v[4:20], hidden))).Unmap()
	default:
		p.odd(NoAddress)
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(p.plain(v[2:4], hidden))
	if port == 0 || addr.IsUnspecified() || addr.IsMulticast() {
		p.odd(NoAddress)
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

// plain is v, which the cookie and the transaction may hide.
func (p *parser) plain(v []byte, hidden bool) []byte {
	v = slices.Clone(v)
	if hidden {
		for i := range v {
			v[i] ^= p.message[cookieAt+i]
		}
	}
	return v
}

// TransactionOf returns the transaction of b, a STUN message.
func TransactionOf(b []byte) Transaction { return Transaction(b[8:headerLen]) }

// Describe says in a few words what a datagram is, for people. Nothing in it is the
// sender's own words.
func Describe(b []byte) string {
	if len(b) == 0 {
		return "an empty packet"
	}
	whole := IsMessage(b)
	a, err := ParseAnswer(b)
	switch {
	case err == nil && a.Code == 0:
	case err == nil:
		return DescribeCode(a.Code)
	case errors.Is(err, errNoAddress):
		return "Binding success without an address"
	case whole && binary.BigEndian.Uint16(b) == stun.BindingRequest.Value():
		return "Binding request"
	case whole:
		var t stun.MessageType
		t.ReadValue(binary.BigEndian.Uint16(b))
		return "STUN " + t.String()
	default:
		return fmt.Sprintf("%d bytes that are no STUN", len(b))
	}
	text := fmt.Sprintf("Binding success: seen as %v", a.Seen)
	if a.Other.IsValid() {
		text += fmt.Sprintf("; other address %v", a.Other)
	}
	if a.Path != nil {
		text += fmt.Sprintf("; asked with TOS %#02x", a.Path.TOS)
	}
	return text
}

// DescribeCode says what an error of a server means.
func DescribeCode(code int) string {
	meaning := map[int]string{
		300: ", go to another server", 400: ", the request is malformed", 401: ", a user and a password are wanted",
		403: ", this is forbidden", 420: ", an attribute of the request is not known", 438: ", the nonce is stale",
		500: ", the server has a fault", 503: ", the server is busy",
	}[code]
	if code == NoCode {
		return "Binding error without a code"
	}
	return fmt.Sprintf("Binding error %d%s", code, meaning)
}
