package flash

import (
	"errors"

	"pileus/rtmfp/wire"
)

// ErrRefused means that the far end does not send the HMACs or session sequence
// numbers that our policy requires.
var ErrRefused = errors.New("flash: far end refuses a required protection")

// KeySource provides ephemeral key pairs: a KeyPool, or what a test wants. Each
// pair it returns must be used for one handshake only: the responder adds no
// other nonce, so with a key used again the whole session could be replayed.
type KeySource interface {
	Take(g Group) (*KeyPair, error)
}

// generated makes every key when it is asked for.
type generated struct{}

func (generated) Take(g Group) (*KeyPair, error) { return GenerateKey(g, nil) }

// InitiatorKeying is an initiator's half of a keying: IIKeying sent, RIKeying
// awaited. It is immutable, so Finish may be tried with any number of answers.
type InitiatorKeying struct {
	far       Certificate
	policy    Policy
	key       *KeyPair
	component []byte
}

// BeginKeying makes the Session Key Initiator Component for a responder with
// certificate far, in the strongest group both ends have. keys may be nil; it is
// not used by an identity with static keys. It fails with ErrGroup if there is no
// common group.
func (id *Identity) BeginKeying(far Certificate, p Policy, keys KeySource) (*InitiatorKeying, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p = p.effective()
	for _, g := range byStrength {
		if !id.certificate.Supports(g) || !far.Supports(g) {
			continue
		}
		key, component, err := id.initiatorKey(g, keys)
		if err != nil {
			return nil, err
		}
		component = appendNegotiation(component, p.HMAC.open(), p.SSEQ.open(), p.HMACLength)
		return &InitiatorKeying{far: far, policy: p, key: key, component: component}, nil
	}
	return nil, ErrGroup
}

// initiatorKey returns the key pair and the part of the component that names it:
// RFC 7425 section 4.6.1, left column.
func (id *Identity) initiatorKey(g Group, keys KeySource) (*KeyPair, []byte, error) {
	if key := id.staticKey(g); key != nil {
		b := wire.AppendOption(nil, keyingGroupSelect, wire.AppendVLU(nil, uint64(g)))
		return key, appendRandomness(b), nil
	}
	key, err := take(keys, g)
	if err != nil {
		return nil, nil, err
	}
	return key, wire.AppendOption(nil, keyingEphemeralKey, key.publicValue()), nil
}

// Component returns the encoded component for the IIKeying chunk. The caller must
// not modify it.
func (k *InitiatorKeying) Component() []byte { return k.component }

// Group returns the Diffie-Hellman group chosen.
func (k *InitiatorKeying) Group() Group { return k.key.group }

// Finish takes the component of a RIKeying chunk and returns the session's keys.
// The errors are ErrComponent, ErrGroup, ErrPublicKey and ErrRefused; after any
// of them a later, better answer may be tried.
func (k *InitiatorKeying) Finish(component []byte) (*SessionKeys, error) {
	far, err := parseComponent(component)
	if err != nil {
		return nil, err
	}
	public := k.far.StaticKey(k.key.group)
	switch {
	case k.far.HasStaticKey() == far.hasPublic:
		// Each end has its key in one place, and the other end knows in which.
		return nil, ErrComponent
	case far.hasPublic:
		if far.publicGroup != uint64(k.key.group) {
			return nil, ErrGroup
		}
		public = far.public
	}
	if err := k.policy.refuse(far); err != nil {
		return nil, err
	}
	secret, err := k.key.Secret(public)
	if err != nil {
		return nil, err
	}
	return DeriveKeys(secret, k.component, component)
}

// AnswerKeying takes the certificate and component of an IIKeying chunk and
// returns the Session Key Responder Component for the RIKeying and the session's
// keys. keys may be nil; it is not used by an identity with static keys. The
// errors are ErrComponent, ErrGroup, ErrPublicKey and ErrRefused, and what keys
// returns.
func (id *Identity) AnswerKeying(far Certificate, component []byte, p Policy, keys KeySource) (skrc []byte, sk *SessionKeys, err error) {
	if err := p.Validate(); err != nil {
		return nil, nil, err
	}
	p = p.effective()
	c, err := parseComponent(component)
	if err != nil {
		return nil, nil, err
	}
	g, public, err := initiatorPublic(far, c)
	if err != nil {
		return nil, nil, err
	}
	// All that is cheap comes before the key pair and the exponentiation, and an
	// unacceptable public key must not cost a pair from the pool.
	if !id.certificate.Supports(g) {
		return nil, nil, ErrGroup
	}
	if err := p.refuse(c); err != nil {
		return nil, nil, err
	}
	if !g.params().acceptable(public) {
		return nil, nil, ErrPublicKey
	}

	skrc = appendNegotiation(nil, p.HMAC.answer(c.hmac), p.SSEQ.answer(c.sseq), p.HMACLength)
	key := id.staticKey(g)
	if key != nil {
		skrc = appendRandomness(skrc)
	} else {
		if key, err = take(keys, g); err != nil {
			return nil, nil, err
		}
		skrc = wire.AppendOption(skrc, keyingEphemeralKey, key.publicValue())
	}
	secret, err := key.Secret(public)
	if err != nil {
		return nil, nil, err
	}
	if sk, err = DeriveKeys(secret, skrc, component); err != nil {
		return nil, nil, err
	}
	return skrc, sk, nil
}

// initiatorPublic finds the initiator's group and public key: RFC 7425 section
// 4.6.1, right column.
func initiatorPublic(far Certificate, c component) (Group, []byte, error) {
	if far.HasStaticKey() {
		if !c.hasSelect || c.hasPublic {
			return 0, nil, ErrComponent
		}
		g, ok := groupOf(c.selected)
		public := far.StaticKey(g)
		if !ok || public == nil {
			return 0, nil, ErrGroup
		}
		return g, public, nil
	}
	if !c.hasPublic || c.hasSelect {
		return 0, nil, ErrComponent
	}
	g, ok := groupOf(c.publicGroup)
	if !ok {
		return 0, nil, ErrGroup
	}
	return g, c.public, nil
}

// refuse reports ErrRefused if far sends less than the policy requires. A far end
// that promises to send on request is held to it: our REQ is set then.
func (p Policy) refuse(far component) error {
	if p.HMAC == Require && far.hmac&canSend == 0 || p.SSEQ == Require && far.sseq&canSend == 0 {
		return ErrRefused
	}
	return nil
}

func take(keys KeySource, g Group) (*KeyPair, error) {
	if keys == nil {
		keys = generated{}
	}
	return keys.Take(g)
}
