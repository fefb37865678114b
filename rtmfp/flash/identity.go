package flash

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"

	"pileus/rtmfp/wire"
)

// randomnessLen is the length of Extra Randomness everywhere: a SHA-256 block,
// the most that RFC 7425 section 4.5.2.2 wants and what Flash sends.
const randomnessLen = 64

// byStrength are the groups in the order an initiator of ours prefers them.
var byStrength = []Group{Group16, Group14, Group5, Group2}

// Identity is an endpoint's own certificate with its static private keys. It is
// immutable.
type Identity struct {
	certificate Certificate
	static      []*KeyPair // nil: ephemeral keys
}

// IdentityOptions describe an identity. The zero value is that of a Flash client:
// one static group-2 key, nothing else. AcceptAncillary alone makes that of a
// server: ephemeral keys in groups 2, 5 and 14.
type IdentityOptions struct {
	Hostname        string  // "" for none
	AcceptAncillary bool    // to be found by URI
	Ephemeral       []Group // ephemeral keys in these groups, or
	Static          []Group // new static keys in these groups, or
	Keys            []*KeyPair

	// Certificate restores an identity whole, options above but Keys unused. Keys
	// must hold the private keys to all its static public keys.
	Certificate []byte
}

// NewIdentity makes an identity. It fails on options that contradict each other
// and on groups not supported.
func NewIdentity(o IdentityOptions) (*Identity, error) {
	raw := o.Certificate
	keys := o.Keys
	if raw == nil {
		var err error
		if raw, keys, err = o.certificate(); err != nil {
			return nil, err
		}
	}
	c, err := ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	if !c.HasStaticKey() {
		if len(keys) > 0 {
			return nil, fmt.Errorf("flash: static keys for an ephemeral certificate")
		}
		return &Identity{certificate: c}, nil
	}
	for _, g := range byStrength {
		public := c.StaticKey(g)
		if public == nil {
			continue
		}
		i := slices.IndexFunc(keys, func(k *KeyPair) bool { return k.group == g })
		if i < 0 || !bytes.Equal(keys[i].public, bytes.TrimLeft(public, "\x00")) {
			return nil, fmt.Errorf("flash: no private key for the certificate's static key of %v", g)
		}
	}
	return &Identity{certificate: c, static: slices.Clone(keys)}, nil
}

// certificate encodes the certificate that o describes, and makes static keys for
// it if need be.
func (o IdentityOptions) certificate() ([]byte, []*KeyPair, error) {
	if len(o.Ephemeral) == 0 && len(o.Static) == 0 && len(o.Keys) == 0 {
		if o.AcceptAncillary {
			o.Ephemeral = []Group{Group2, Group5, Group14}
		} else {
			o.Static = []Group{Group2}
		}
	}
	keys := slices.Clone(o.Keys)
	for _, g := range o.Static {
		k, err := GenerateKey(g, nil)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, k)
	}
	if len(o.Ephemeral) > 0 && len(keys) > 0 {
		return nil, nil, fmt.Errorf("flash: a certificate has static or ephemeral keys, not both")
	}

	var raw []byte
	if o.Hostname != "" {
		raw = wire.AppendOption(raw, certHostname, []byte(o.Hostname))
	}
	if o.AcceptAncillary {
		raw = wire.AppendOption(raw, certAcceptsAncillary, nil)
	}
	if len(o.Ephemeral) > 0 {
		raw = appendRandomness(raw)
	}
	for _, g := range o.Ephemeral {
		if !g.Supported() {
			return nil, nil, fmt.Errorf("%w: %v", ErrGroup, g)
		}
		raw = wire.AppendOption(raw, certEphemeralGroup, wire.AppendVLU(nil, uint64(g)))
	}
	for _, k := range keys {
		raw = wire.AppendOption(raw, certStaticKey, k.publicValue())
	}
	return raw, keys, nil
}

// Certificate returns the identity's certificate.
func (id *Identity) Certificate() Certificate { return id.certificate }

// PeerID returns the fingerprint of the identity's certificate.
func (id *Identity) PeerID() PeerID { return id.certificate.id }

// staticKey returns the static key pair of group g, nil if there is none.
func (id *Identity) staticKey(g Group) *KeyPair {
	for _, k := range id.static {
		if k.group == g {
			return k
		}
	}
	return nil
}

// appendRandomness appends an Extra Randomness option, whose type is the same in
// certificates and keying components.
func appendRandomness(b []byte) []byte {
	var random [randomnessLen]byte
	rand.Read(random[:]) // never fails
	return wire.AppendOption(b, certRandomness, random[:])
}

// publicValue returns group ID and public key: the value of both options that
// carry a key.
func (k *KeyPair) publicValue() []byte {
	return append(wire.AppendVLU(nil, uint64(k.group)), k.public...)
}
