package flash

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
)

// defaultKey is the Default Session Key (RFC 7425 section 4.1).
const defaultKey = "Adobe Systems 02"

// NewStartup returns the Default Session Key's Sealer and Opener, for startup
// packets: simple checksum, no sequence numbers. Everybody knows this key.
func NewStartup() (*Sealer, *Opener) {
	encrypter, err := newEncrypter([]byte(defaultKey))
	if err != nil {
		panic(err) // a build without AES-CBC
	}
	block, err := aes.NewCipher([]byte(defaultKey))
	if err != nil {
		panic(err)
	}
	return &Sealer{cbc: encrypter}, &Opener{aes: block}
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
	outgoing, err := negotiated(nearC, farC)
	if err != nil {
		return nil, err
	}
	incoming, err := negotiated(farC, nearC)
	if err != nil {
		return nil, err
	}

	// One allocation: a node holds many of these.
	s := new(struct {
		SessionKeys
		sealer Sealer
		opener Opener
	})
	s.Sealer, s.Opener = &s.sealer, &s.opener
	bySecret := hmac.New(sha256.New, secret)
	encrypt := sum(bySecret, hmacSHA256(far, near))
	decrypt := sum(bySecret, hmacSHA256(near, far))
	if s.sealer.cbc, err = newEncrypter(encrypt[:keyLen]); err != nil {
		return nil, err
	}
	if s.opener.aes, err = aes.NewCipher(decrypt[:keyLen]); err != nil {
		return nil, err
	}
	if outgoing.macLength > 0 {
		if outgoing.mac, err = newMACKey(sum(bySecret, encrypt[:])); err != nil {
			return nil, err
		}
	}
	if incoming.macLength > 0 {
		if incoming.mac, err = newMACKey(sum(bySecret, decrypt[:])); err != nil {
			return nil, err
		}
	}
	s.sealer.protection, s.opener.protection = outgoing, incoming
	s.NearNonce, s.FarNonce = sum(bySecret, near), sum(bySecret, far)
	return &s.SessionKeys, nil
}

// negotiated returns the protection, its key yet missing, of the packets from the
// end with component sender. Each sender chooses its own HMAC length.
func negotiated(sender, receiver component) (protection, error) {
	p := protection{sequenced: sender.sseq.sends(receiver.sseq)}
	if !sender.hmac.sends(receiver.hmac) {
		return p, nil
	}
	if sender.hmacLength < MinHMACLength || sender.hmacLength > MaxHMACLength {
		return protection{}, ErrComponent
	}
	p.macLength = uint8(sender.hmacLength)
	return p, nil
}
