package flash

import "crypto/cipher"

// defaultKey is the Default Session Key (RFC 7425 section 4.1).
const defaultKey = "Adobe Systems 02"

// NewStartup returns the Default Session Key's Sealer and Opener, for startup
// packets: simple checksum, no sequence numbers. Everybody knows this key.
func NewStartup() (*Sealer, *Opener) {
	seal, err := newCBC([]byte(defaultKey), cipher.NewCBCEncrypter)
	if err != nil {
		panic(err) // a platform without AES
	}
	open, err := newCBC([]byte(defaultKey), cipher.NewCBCDecrypter)
	if err != nil {
		panic(err)
	}
	return &Sealer{cbc: seal}, &Opener{cbc: open}
}

// SessionKeys are the result of a keying.
type SessionKeys struct {
	Sealer *Sealer
	Opener *Opener
	// Secret values that both ends know (RFC 7425 section 4.6.5). NearNonce is
	// the far end's FarNonce.
	NearNonce, FarNonce [32]byte
}

// DeriveKeys computes a session's keys from the shared secret and both keying
// components as they crossed the network: RFC 7425 sections 4.6.3 to 4.6.6. The
// components also say what the ends negotiated. The errors are ErrComponent, also
// for an HMAC length out of range.
func DeriveKeys(secret, near, far []byte) (*SessionKeys, error) {
	nearC, err := parseComponent(near)
	if err != nil {
		return nil, err
	}
	farC, err := parseComponent(far)
	if err != nil {
		return nil, err
	}
	encrypt := hmacSHA256(secret, hmacSHA256(far, near))
	decrypt := hmacSHA256(secret, hmacSHA256(near, far))

	// One allocation: a node holds many of these.
	s := new(struct {
		SessionKeys
		sealer Sealer
		opener Opener
	})
	s.Sealer, s.Opener = &s.sealer, &s.opener
	if s.sealer.protection, err = negotiated(nearC, farC, hmacSHA256(secret, encrypt)); err != nil {
		return nil, err
	}
	if s.opener.protection, err = negotiated(farC, nearC, hmacSHA256(secret, decrypt)); err != nil {
		return nil, err
	}
	if s.sealer.cbc, err = newCBC(encrypt[:keyLen], cipher.NewCBCEncrypter); err != nil {
		return nil, err
	}
	if s.opener.cbc, err = newCBC(decrypt[:keyLen], cipher.NewCBCDecrypter); err != nil {
		return nil, err
	}
	copy(s.NearNonce[:], hmacSHA256(secret, near))
	copy(s.FarNonce[:], hmacSHA256(secret, far))
	return &s.SessionKeys, nil
}

// negotiated returns the protection of the packets that the end with component
// sender sends; each sender chooses its own HMAC length.
func negotiated(sender, receiver component, macKey []byte) (protection, error) {
	p := protection{sequenced: sender.sseq.sends(receiver.sseq)}
	if !sender.hmac.sends(receiver.hmac) {
		return p, nil
	}
	if sender.hmacLength < MinHMACLength || sender.hmacLength > MaxHMACLength {
		return protection{}, ErrComponent
	}
	p.macLength = uint8(sender.hmacLength)
	var err error
	p.mac, err = newMACKey(macKey)
	return p, err
}
