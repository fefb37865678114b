package flash

import (
	"encoding/hex"
	"fmt"
)

// PeerID is a certificate's fingerprint (RFC 7425 section 4.3.2): SHA-256 of its
// canonical section, byte for byte as received.
type PeerID [32]byte

// String returns 64 lower-case hexadecimal digits.
func (p PeerID) String() string { return hex.EncodeToString(p[:]) }

// ParsePeerID reads 64 hexadecimal digits of either case.
func ParsePeerID(s string) (PeerID, error) {
	var p PeerID
	if len(s) != hex.EncodedLen(len(p)) {
		return PeerID{}, fmt.Errorf("flash: peer ID of %d characters, want %d", len(s), hex.EncodedLen(len(p)))
	}
	if _, err := hex.Decode(p[:], []byte(s)); err != nil {
		return PeerID{}, fmt.Errorf("flash: peer ID: %w", err)
	}
	return p, nil
}

// EPD returns the Canonical Endpoint Discriminator that selects the certificate
// with this fingerprint (RFC 7425 section 4.4.4).
func (p PeerID) EPD() EPD { return EPD{Fingerprint: p, HasFingerprint: true} }
