package flash

import (
	"bytes"
	"crypto/sha256"
	"errors"

	"pileus/rtmfp/wire"
)

// ErrCertificate is a certificate that RFC 7425 section 4.3 forbids.
var ErrCertificate = errors.New("flash: malformed certificate")

// Certificate options (RFC 7425 section 4.3.3).
const (
	certHostname         = 0x00
	certAcceptsAncillary = 0x0a
	certRandomness       = 0x0e
	certEphemeralGroup   = 0x15
	certStaticKey        = 0x1d
)

// Certificate is an endpoint's certificate. The zero value is no certificate.
type Certificate struct {
	raw       []byte
	canonical int // bytes of raw before the first Marker
	id        PeerID
	ancillary bool
	static    bool
}

// ParseCertificate reads a certificate; raw is retained and must not change. The
// only error is ErrCertificate: for a truncated option, an empty canonical
// section, or both static and ephemeral keys, which section 4.3.3.5 forbids.
func ParseCertificate(raw []byte) (Certificate, error) {
	c := Certificate{raw: raw}
	var ephemeral, marker bool
	for rest := raw; len(rest) > 0; {
		o, next, err := wire.ParseOption(rest)
		if err != nil {
			return Certificate{}, ErrCertificate
		}
		rest = next
		// "The first marker (if any) in the certificate separates the canonical
		// section of the certificate from the remainder" (section 4.3.1), and
		// belongs to neither. None of the options below counts outside of it.
		if marker = marker || o.Marker; marker {
			continue
		}
		c.canonical = len(raw) - len(rest)
		switch o.Type {
		case certAcceptsAncillary:
			c.ancillary = true
		case certEphemeralGroup, certStaticKey:
			if _, _, err := wire.ParseVLU(o.Value); err != nil {
				return Certificate{}, ErrCertificate
			}
			ephemeral = ephemeral || o.Type == certEphemeralGroup
			c.static = c.static || o.Type == certStaticKey
		}
	}
	if c.canonical == 0 || ephemeral && c.static {
		return Certificate{}, ErrCertificate
	}
	c.id = sha256.Sum256(raw[:c.canonical])
	return c, nil
}

// Raw returns the encoded certificate. The caller must not modify it.
func (c Certificate) Raw() []byte { return c.raw }

// PeerID returns the certificate's fingerprint.
func (c Certificate) PeerID() PeerID { return c.id }

// IsZero reports whether c is no certificate at all.
func (c Certificate) IsZero() bool { return c.raw == nil }

// AcceptsAncillary reports whether EPDs with Ancillary Data may select c
// (section 4.3.3.2).
func (c Certificate) AcceptsAncillary() bool { return c.ancillary }

// HasStaticKey reports whether the certificate holds static public keys, so that
// nobody without the private ones can use it. An ephemeral certificate can be
// forged by anyone who has seen it.
func (c Certificate) HasStaticKey() bool { return c.static }

// Hostname returns the Hostname option (section 4.3.3.1).
func (c Certificate) Hostname() (name []byte, ok bool) {
	for o := range wire.Options(c.raw[:c.canonical]) {
		if o.Type == certHostname {
			return o.Value, true
		}
	}
	return nil, false
}

// StaticKey returns the static public key of group g, as received, and nil if
// there is none. The first counts: "The behavior for specifying more than one
// public key per group ID is not defined" (section 4.3.3.5).
func (c Certificate) StaticKey(g Group) []byte {
	return c.find(certStaticKey, g)
}

// Ephemeral reports whether the certificate lists group g for ephemeral keys.
func (c Certificate) Ephemeral(g Group) bool {
	return c.find(certEphemeralGroup, g) != nil
}

// Supports reports whether the certificate has group g either way.
func (c Certificate) Supports(g Group) bool {
	return c.StaticKey(g) != nil || c.Ephemeral(g)
}

// find returns what follows the group ID of the first option of type typ for
// group g: not nil if there is such an option.
func (c Certificate) find(typ uint64, g Group) []byte {
	for o := range wire.Options(c.raw[:c.canonical]) {
		if o.Type != typ {
			continue
		}
		if id, key, err := wire.ParseVLU(o.Value); err == nil && id == uint64(g) {
			return key[:len(key):len(key)]
		}
	}
	return nil
}

// SelectedBy reports whether e selects the certificate: RFC 7425 section 4.4.3.
func (c Certificate) SelectedBy(e EPD) bool {
	if c.IsZero() {
		return false
	}
	// "A Fingerprint EPD option selects or rejects a certificate no matter what
	// other options are present."
	if e.HasFingerprint {
		return e.Fingerprint == c.id
	}
	if e.HasHostname {
		name, ok := c.Hostname()
		if !ok || !bytes.Equal(name, e.Hostname) {
			return false
		}
	}
	if e.HasAncillary {
		return c.ancillary
	}
	return e.HasHostname
}

// EPD returns the Canonical Endpoint Discriminator for the certificate.
func (c Certificate) EPD() EPD { return c.id.EPD() }

// Overrides reports whether a new incoming session under certificate c takes the
// place of an open one under old: "only if the certificate for the new session is
// identical to the certificate for the existing session" (section 4.3.7).
func (c Certificate) Overrides(old Certificate) bool { return bytes.Equal(c.raw, old.raw) }

// CompareGlare orders certificates for glare (section 4.3.6). The near end
// prevails as Initiator if the result is 0 or less, else it becomes Responder.
func CompareGlare(near, far Certificate) int { return bytes.Compare(near.raw, far.raw) }
