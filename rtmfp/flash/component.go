package flash

import (
	"errors"

	"pileus/rtmfp/wire"
)

// ErrComponent is a session keying component that does not parse or lacks what
// the certificates demand.
var ErrComponent = errors.New("flash: malformed session keying component")

// Keying component options (RFC 7425 section 4.5.2).
const (
	keyingEphemeralKey = 0x0d
	keyingHMAC         = 0x1a
	keyingGroupSelect  = 0x1d
	keyingSSEQ         = 0x1e
)

// component is a session keying component, read. Missing negotiation options
// mean that no flag is set.
type component struct {
	hasPublic   bool
	publicGroup uint64
	public      []byte // as received, leading zeros and all
	hasSelect   bool
	selected    uint64
	hmac        flags
	hmacLength  uint64
	sseq        flags
}

// parseComponent reads a component, whose options may have any order. The first
// of each type counts; none may be repeated.
func parseComponent(raw []byte) (component, error) {
	var c component
	var hasHMAC, hasSSEQ bool
	for len(raw) > 0 {
		o, rest, err := wire.ParseOption(raw)
		if err != nil {
			return component{}, ErrComponent
		}
		raw = rest
		switch {
		case o.Marker:
		case o.Type == keyingEphemeralKey && !c.hasPublic:
			c.hasPublic = true
			c.publicGroup, c.public, err = wire.ParseVLU(o.Value)
		case o.Type == keyingGroupSelect && !c.hasSelect:
			c.hasSelect = true
			c.selected, _, err = wire.ParseVLU(o.Value)
		case o.Type == keyingHMAC && !hasHMAC:
			hasHMAC = true
			if c.hmac, err = parseFlags(o.Value); err == nil {
				c.hmacLength, _, err = wire.ParseVLU(o.Value[1:])
			}
		case o.Type == keyingSSEQ && !hasSSEQ:
			hasSSEQ = true
			c.sseq, err = parseFlags(o.Value)
		}
		if err != nil {
			return component{}, ErrComponent
		}
	}
	return c, nil
}

func parseFlags(value []byte) (flags, error) {
	if len(value) == 0 {
		return 0, ErrComponent
	}
	return flags(value[0]) & (willSendAlways | willSendOnRequest | request), nil
}

// appendNegotiation appends both negotiation options, the HMAC's first: librtmfp
// finds a responder's key behind them at a fixed place.
func appendNegotiation(b []byte, hmac, sseq flags, hmacLength int) []byte {
	if hmac&canSend == 0 {
		hmacLength = 0 // "0 if and only if" nothing will be sent (section 4.5.2.4)
	}
	b = wire.AppendOption(b, keyingHMAC, []byte{byte(hmac), byte(hmacLength)})
	return wire.AppendOption(b, keyingSSEQ, []byte{byte(sseq)})
}
