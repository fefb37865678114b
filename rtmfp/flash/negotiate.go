package flash

import "fmt"

// Requirement says what an end does about packet HMACs or session sequence
// numbers.
type Requirement uint8

const (
	// OnRequest does what the far end asks for. Flash and librtmfp do the same as
	// initiators, and librtmfp could do nothing else.
	OnRequest Requirement = iota
	// Offer asks for it when initiating, and takes no for an answer. A responder
	// that offers does as with OnRequest, so that it stays usable by old clients.
	Offer
	// Require refuses sessions in which the far end would not send it.
	Require
	// Never neither sends it nor asks for it; what a far end insists on sending
	// is verified all the same.
	Never
)

// Lengths of a truncated HMAC on the wire (RFC 7425 section 4.5.2.4).
const (
	MinHMACLength    = 4
	MaxHMACLength    = 32
	flashHMACLength  = 10
	modernHMACLength = 16
)

// Policy is what an end wants of its sessions. The zero value speaks the dialect
// of Flash and librtmfp byte for byte.
type Policy struct {
	HMAC, SSEQ Requirement
	// HMACLength is the length of the HMACs we send: 4 to 32, 0 for the default
	// of 10, or 16 if Modern.
	HMACLength int
	// Modern turns OnRequest into Offer: both protections from the start, as the
	// reference implementation does.
	Modern bool
}

// Validate reports what is wrong with the policy.
func (p Policy) Validate() error {
	if p.HMAC > Never || p.SSEQ > Never {
		return fmt.Errorf("flash: unknown requirement in %+v", p)
	}
	if p.HMACLength != 0 && (p.HMACLength < MinHMACLength || p.HMACLength > MaxHMACLength) {
		return fmt.Errorf("flash: HMAC length %d, want %d to %d", p.HMACLength, MinHMACLength, MaxHMACLength)
	}
	return nil
}

// effective resolves Modern and the default length.
func (p Policy) effective() Policy {
	if p.HMACLength == 0 {
		p.HMACLength = flashHMACLength
		if p.Modern {
			p.HMACLength = modernHMACLength
		}
	}
	for _, r := range []*Requirement{&p.HMAC, &p.SSEQ} {
		if p.Modern && *r == OnRequest {
			*r = Offer
		}
	}
	return p
}

// flags are the low three bits of both negotiation options (RFC 7425 sections
// 4.5.2.4 and 4.5.2.5).
type flags uint8

const (
	request           flags = 1 << iota // REQ
	willSendOnRequest                   // SOR
	willSendAlways                      // SND

	canSend = willSendAlways | willSendOnRequest
	asks    = willSendAlways | request
)

// sends reports whether the end that sent f does so, given the other end's flags.
func (f flags) sends(other flags) bool {
	return f&willSendAlways != 0 || f&willSendOnRequest != 0 && other&request != 0
}

// open returns the flags an initiator begins with.
func (r Requirement) open() flags {
	switch r {
	case Offer, Require:
		return willSendAlways | willSendOnRequest | request
	case Never:
		return 0
	default:
		return willSendOnRequest
	}
}

// answer returns the flags a responder answers far with. A far end that sets SND
// or REQ implements it, so it gets what it asks for and is asked in turn for what
// it can do. One that sets neither may be librtmfp, which promises to send on
// request and cannot: it gets zeros, unless that is refused anyway.
func (r Requirement) answer(far flags) flags {
	switch {
	case r == Require:
		return willSendAlways | willSendOnRequest | request
	case r == Never, far&asks == 0:
		return 0
	case far&canSend == 0:
		return willSendAlways | willSendOnRequest
	default:
		return willSendAlways | willSendOnRequest | request
	}
}
