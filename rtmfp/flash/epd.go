package flash

import (
	"errors"

	"pileus/rtmfp/wire"
)

// ErrEPD is an endpoint discriminator that does not parse. It selects nobody.
var ErrEPD = errors.New("flash: malformed endpoint discriminator")

// EPD options (RFC 7425 section 4.4.2).
const (
	epdHostname    = 0x00
	epdAncillary   = 0x0a
	epdFingerprint = 0x0f
)

// EPD is an endpoint discriminator: whom an initiator wants to reach. Whether it
// does is Certificate.SelectedBy's to say.
type EPD struct {
	Fingerprint    PeerID
	HasFingerprint bool
	Ancillary      []byte // usually the URI, though some clients put only its path
	HasAncillary   bool
	Hostname       []byte
	HasHostname    bool
}

// ParseEPD reads an EPD; its slices alias raw. The only error is ErrEPD. Options
// not understood are ignored. None of those understood may be repeated; if one
// is, the last counts, as in the reference implementation.
func ParseEPD(raw []byte) (EPD, error) {
	var e EPD
	for len(raw) > 0 {
		o, rest, err := wire.ParseOption(raw)
		if err != nil {
			return EPD{}, ErrEPD
		}
		raw = rest
		if o.Marker {
			continue
		}
		switch o.Type {
		case epdFingerprint:
			if len(o.Value) != len(e.Fingerprint) {
				return EPD{}, ErrEPD
			}
			e.Fingerprint, e.HasFingerprint = PeerID(o.Value), true
		case epdAncillary:
			e.Ancillary, e.HasAncillary = o.Value, true
		case epdHostname:
			e.Hostname, e.HasHostname = o.Value, true
		}
	}
	return e, nil
}

// Append appends the encoded EPD: the Fingerprint, then Ancillary Data, then the
// Required Hostname. With a fingerprint alone it is the Canonical EPD of section
// 4.4.4.
func (e EPD) Append(b []byte) []byte {
	if e.HasFingerprint {
		b = wire.AppendOption(b, epdFingerprint, e.Fingerprint[:])
	}
	if e.HasAncillary {
		b = wire.AppendOption(b, epdAncillary, e.Ancillary)
	}
	if e.HasHostname {
		b = wire.AppendOption(b, epdHostname, e.Hostname)
	}
	return b
}
