package flash

import (
	"bytes"
	"testing"
)

// recording is a complete key agreement with its private keys.
type recording struct {
	initiatorCert, responderCert []byte
	initiator, responder         *KeyPair
	responderKeys                []*KeyPair // all static ones
	secret, skic, skrc           []byte
	nonces                       [2][]byte // initiator's, responder's
}

// oneKey is a KeySource with one recorded pair.
type oneKey struct{ key *KeyPair }

func (o oneKey) Take(g Group) (*KeyPair, error) {
	if g != o.key.group {
		return nil, ErrGroup
	}
	return o.key, nil
}

// check derives the recorded keys again in every way this package has, and
// returns them as each end holds them.
func (r *recording) check(t *testing.T) (initiator, responder *SessionKeys) {
	t.Helper()
	for _, s := range []struct {
		near, far *KeyPair
	}{{r.initiator, r.responder}, {r.responder, r.initiator}} {
		secret, err := s.near.Secret(s.far.Public())
		if err != nil || !bytes.Equal(secret, r.secret) {
			t.Fatalf("shared secret %x, %v, want %x", secret, err, r.secret)
		}
		padded := append(make([]byte, 3), s.far.Public()...)
		if secret, err = s.near.Secret(padded); err != nil || !bytes.Equal(secret, r.secret) {
			t.Fatalf("shared secret with leading zeros %x, %v, want %x", secret, err, r.secret)
		}
	}

	responderCert, err := ParseCertificate(r.responderCert)
	if err != nil {
		t.Fatal(err)
	}
	k := InitiatorKeying{far: responderCert, key: r.initiator, component: r.skic}
	if initiator, err = k.Finish(r.skrc); err != nil {
		t.Fatal(err)
	}
	if responder, err = DeriveKeys(r.secret, r.skrc, r.skic); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(initiator.NearNonce[:], r.nonces[0]) || !bytes.Equal(initiator.FarNonce[:], r.nonces[1]) ||
		initiator.NearNonce != responder.FarNonce || initiator.FarNonce != responder.NearNonce {
		t.Errorf("nonces %x %x, want %x", initiator.NearNonce, initiator.FarNonce, r.nonces)
	}

	r.answer(t)
	return initiator, responder
}

// answer lets an identity of ours with the recorded responder's keys answer the
// recorded initiator, and checks that both ends get the same keys.
func (r *recording) answer(t *testing.T) {
	t.Helper()
	initiatorCert, err := ParseCertificate(r.initiatorCert)
	if err != nil {
		t.Fatal(err)
	}
	o := IdentityOptions{Certificate: r.responderCert}
	responderCert, err := ParseCertificate(r.responderCert)
	if err != nil {
		t.Fatal(err)
	}
	if responderCert.HasStaticKey() {
		o.Keys = r.responderKeys
	}
	id, err := NewIdentity(o)
	if err != nil {
		t.Fatal(err)
	}
	skrc, near, err := id.AnswerKeying(initiatorCert, r.skic, Policy{}, oneKey{r.responder})
	if err != nil {
		t.Fatal(err)
	}
	k := InitiatorKeying{far: id.Certificate(), key: r.initiator, component: r.skic}
	far, err := k.Finish(skrc)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, near, far)
	exchange(t, far, near)
}

// exchange sends a packet and checks that it arrives.
func exchange(t *testing.T, from, to *SessionKeys) {
	t.Helper()
	want := []byte("\x0d\x12\x34 packet")
	datagram := from.Sealer.Finish(append(from.Sealer.Begin(nil), want...), [4]byte{1, 2, 3, 4})
	got, err := to.Opener.Open(nil, datagram)
	if err != nil || !bytes.HasPrefix(got, want) {
		t.Fatalf("opened %x, %v, want %x", got, err, want)
	}
}
