package flash

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/cryptotest"

	"pileus/rtmfp/wire"
)

// TestFlashDialect: what Flash and librtmfp expect at fixed places.
func TestFlashDialect(t *testing.T) {
	client := identity(t, IdentityOptions{})
	server := identity(t, IdentityOptions{AcceptAncillary: true})
	for _, p := range []Policy{{}, {HMAC: Offer, SSEQ: Offer}, {Modern: true}} {
		k, err := client.BeginKeying(server.Certificate(), Policy{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		skic := k.Component()
		if len(skic) != 76 || !bytes.Equal(skic, slices.Concat([]byte{2, 0x1d, 2, 0x41, 0x0e}, skic[5:69], []byte{3, 0x1a, 2, 10, 2, 0x1e, 2})) {
			t.Errorf("SKIC %x", skic)
		}
		key, err := GenerateKey(Group2, nil)
		if err != nil {
			t.Fatal(err)
		}
		skrc, _, err := server.AnswerKeying(client.Certificate(), skic, p, oneKey{key})
		if err != nil {
			t.Fatal(err)
		}
		want := append([]byte{3, 0x1a, 0, 0, 2, 0x1e, 0, 0x81, 0x02, 0x0d, 2}, key.Public()...)
		if !bytes.Equal(skrc, want) || len(skrc) != 139 {
			t.Errorf("%+v: server's SKRC %x, want %x", p, skrc, want)
		}

		peer := identity(t, IdentityOptions{})
		skrc, _, err = peer.AnswerKeying(client.Certificate(), skic, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(skrc) != 73 || !bytes.Equal(skrc[:9], []byte{3, 0x1a, 0, 0, 2, 0x1e, 0, 0x41, 0x0e}) {
			t.Errorf("%+v: peer's SKRC %x", p, skrc)
		}
	}
	if Signature != "\x58" {
		t.Error("signature is not an X")
	}
}

// TestNegotiationFlags pairs every initiator's flags with every policy: RFC 7425
// sections 4.6.4 and 4.6.6, NOTES 16.
func TestNegotiationFlags(t *testing.T) {
	all := canSend | request
	for _, test := range []struct {
		r    Requirement
		far  flags
		want flags
	}{
		{OnRequest, 0, 0},
		{OnRequest, willSendOnRequest, 0}, // Flash
		{OnRequest, request, canSend},
		{OnRequest, willSendOnRequest | request, all},
		{OnRequest, willSendAlways, all},
		{OnRequest, canSend, all},
		{OnRequest, all, all}, // s02_server_on_request
		{Offer, willSendOnRequest, 0},
		{Offer, all, all},
		{Require, 0, all},
		{Require, willSendOnRequest, all},
		{Never, all, 0},
	} {
		if got := test.r.answer(test.far); got != test.want {
			t.Errorf("requirement %d answers %03b with %03b, want %03b", test.r, test.far, got, test.want)
		}
	}

	for near := range flags(8) {
		for far := range flags(8) {
			skic := appendNegotiation(nil, near, far, 20)
			skrc := appendNegotiation(nil, far, near, 11)
			a, errA := DeriveKeys([]byte{1}, skic, skrc)
			b, errB := DeriveKeys([]byte{1}, skrc, skic)
			if errA != nil || errB != nil {
				t.Fatalf("%03b with %03b: %v, %v", near, far, errA, errB)
			}
			sends := near&willSendAlways != 0 || near&willSendOnRequest != 0 && far&request != 0
			if got := a.Sealer.HMACLength(); got != 20 && sends || got != 0 && !sends {
				t.Errorf("%03b with %03b: HMAC of %d bytes, sends %v", near, far, got, sends)
			}
			if b.Sealer.Sequenced() != sends {
				t.Errorf("%03b with %03b: sequence numbers %v, want %v", near, far, b.Sealer.Sequenced(), sends)
			}
			exchange(t, a, b)
			exchange(t, b, a)
		}
	}
}

// TestPolicies pairs every policy with every other: sessions fail exactly where
// one end requires what the other never does, and else both ends agree.
func TestPolicies(t *testing.T) {
	client := identity(t, IdentityOptions{})
	server := identity(t, IdentityOptions{})
	requirements := []Requirement{OnRequest, Offer, Require, Never}
	for _, i := range requirements {
		for _, r := range requirements {
			for _, i2 := range requirements {
				near, far := Policy{HMAC: i, SSEQ: i2, HMACLength: 5}, Policy{HMAC: r, SSEQ: i2, Modern: true}
				a, b, err := agree(client, server, near, far, nil)
				refused := i == Require && r == Never || r == Require && i == Never
				if refused {
					if !errors.Is(err, ErrRefused) {
						t.Errorf("%+v with %+v: %v, want ErrRefused", near, far, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%+v with %+v: %v", near, far, err)
					continue
				}
				// An end that offers sends in any case, and whoever can answers in kind.
				offered := i == Offer || i == Require
				if got, want := a.Sealer.HMACLength() == 5, offered || i == OnRequest && r == Require; got != want {
					t.Errorf("%+v with %+v: initiator sends HMAC %v, want %v", near, far, got, want)
				}
				if got, want := b.Sealer.HMACLength() == 16, r == Require || offered && r != Never; got != want {
					t.Errorf("%+v with %+v: responder sends HMAC %v, want %v", near, far, got, want)
				}
				exchange(t, a, b)
				exchange(t, b, a)
			}
		}
	}
	for _, p := range []Policy{{HMACLength: 3}, {HMACLength: 33}, {HMAC: 4}, {SSEQ: 4}} {
		if _, err := client.BeginKeying(server.Certificate(), p, nil); err == nil {
			t.Errorf("%+v: accepted by the initiator", p)
		}
		if _, _, err := server.AnswerKeying(client.Certificate(), nil, p, nil); err == nil || errors.Is(err, ErrComponent) {
			t.Errorf("%+v: accepted by the responder: %v", p, err)
		}
	}
}

// agree runs a whole keying.
func agree(initiator, responder *Identity, i, r Policy, keys KeySource) (a, b *SessionKeys, err error) {
	k, err := initiator.BeginKeying(responder.Certificate(), i, keys)
	if err != nil {
		return nil, nil, err
	}
	skrc, b, err := responder.AnswerKeying(initiator.Certificate(), k.Component(), r, keys)
	if err != nil {
		return nil, nil, err
	}
	a, err = k.Finish(skrc)
	return a, b, err
}

// TestKeyCombinations: static and ephemeral keys at either end, in each group.
func TestKeyCombinations(t *testing.T) {
	for _, g := range allGroups {
		groups := []Group{g}
		for _, i := range []IdentityOptions{{Static: groups}, {Ephemeral: groups}} {
			for _, r := range []IdentityOptions{{Static: groups}, {Ephemeral: groups}} {
				a, b, err := agree(identity(t, i), identity(t, r), Policy{}, Policy{}, nil)
				if err != nil {
					t.Fatalf("%+v with %+v: %v", i, r, err)
				}
				if a.NearNonce != b.FarNonce || a.FarNonce != b.NearNonce || a.NearNonce == a.FarNonce {
					t.Errorf("%+v with %+v: nonces differ", i, r)
				}
				exchange(t, a, b)
				exchange(t, b, a)
			}
		}
	}
}

func TestStrongestCommonGroup(t *testing.T) {
	client := identity(t, IdentityOptions{Static: []Group{Group2, Group14}})
	for _, test := range []struct {
		far  []Group
		want Group
	}{
		{[]Group{Group2}, Group2},
		{[]Group{Group2, Group5, Group14}, Group14},
		{[]Group{Group16, Group2}, Group2},
	} {
		k, err := client.BeginKeying(identity(t, IdentityOptions{Ephemeral: test.far}).Certificate(), Policy{}, nil)
		if err != nil || k.Group() != test.want {
			t.Errorf("with %v: %v, want %v", test.far, err, test.want)
		}
	}
	if _, err := client.BeginKeying(identity(t, IdentityOptions{Ephemeral: []Group{Group5}}).Certificate(), Policy{}, nil); !errors.Is(err, ErrGroup) {
		t.Errorf("without a common group: %v", err)
	}
}

// TestReplayedKeying: an observer who repeats an IIKeying gets another key of
// the responder's, so that recorded packets open nowhere.
func TestReplayedKeying(t *testing.T) {
	client := identity(t, IdentityOptions{})
	server := identity(t, IdentityOptions{AcceptAncillary: true})
	pool := NewKeyPool(4, Group2)
	for range 4 {
		pool.Refill(Group2)()
	}
	k, err := client.BeginKeying(server.Certificate(), Policy{Modern: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	skrc, _, err := server.AnswerKeying(client.Certificate(), k.Component(), Policy{}, pool)
	if err != nil {
		t.Fatal(err)
	}
	near, err := k.Finish(skrc)
	if err != nil {
		t.Fatal(err)
	}
	recorded := near.Sealer.Finish(append(near.Sealer.Begin(nil), "connect"...), wire.SessionID{1})

	again, far, err := server.AnswerKeying(client.Certificate(), k.Component(), Policy{}, pool)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(skrc, again) {
		t.Error("a repeated IIKeying got the same ephemeral key")
	}
	if _, err := far.Opener.Open(nil, recorded); !errors.Is(err, ErrHMAC) {
		t.Errorf("a recorded packet in the repeated session: %v", err)
	}
}

func TestBadComponents(t *testing.T) {
	static := identity(t, IdentityOptions{Static: []Group{Group2}})
	ephemeral := identity(t, IdentityOptions{Ephemeral: []Group{Group2}})
	key, err := GenerateKey(Group2, nil)
	if err != nil {
		t.Fatal(err)
	}
	opt := func(typ uint64, value ...byte) []byte { return wire.AppendOption(nil, typ, value) }
	public := wire.AppendOption(nil, keyingEphemeralKey, key.publicValue())
	for i, test := range []struct {
		far       *Identity
		component []byte
		want      error
	}{
		{static, nil, ErrComponent},
		{static, []byte{5, 1}, ErrComponent},
		{static, opt(keyingGroupSelect), ErrComponent},
		{static, opt(keyingGroupSelect, 5), ErrGroup},
		{static, opt(keyingGroupSelect, 0x80+2, 2), ErrGroup}, // 258 is not 2
		{static, slices.Concat(opt(keyingGroupSelect, 2), public), ErrComponent},
		{static, slices.Concat(opt(keyingGroupSelect, 2), opt(keyingSSEQ)), ErrComponent},
		{static, slices.Concat(opt(keyingGroupSelect, 2), opt(keyingHMAC, 7)), ErrComponent},
		{static, slices.Concat(opt(keyingGroupSelect, 2), opt(keyingHMAC, 7, 3)), ErrComponent},
		{static, slices.Concat(opt(keyingGroupSelect, 2), opt(keyingHMAC, 7, 33)), ErrComponent},
		{static, slices.Concat(opt(keyingGroupSelect, 2), opt(keyingHMAC, 0, 3)), nil}, // not in use
		{static, slices.Concat(opt(99, 1), []byte{0}, opt(keyingGroupSelect, 2), opt(keyingGroupSelect, 9)), nil},
		{ephemeral, nil, ErrComponent},
		{ephemeral, opt(keyingGroupSelect, 2), ErrComponent},
		{ephemeral, opt(keyingEphemeralKey, 1, 9, 9), ErrGroup},
		{ephemeral, opt(keyingEphemeralKey, 5, 9, 9), ErrGroup},
		{ephemeral, opt(keyingEphemeralKey, 2, 9, 9, 9, 9), ErrPublicKey},
		{ephemeral, opt(keyingEphemeralKey, 2), ErrPublicKey},
		{ephemeral, opt(keyingEphemeralKey), ErrComponent},
		{ephemeral, public, nil},
	} {
		pool := NewKeyPool(1, Group2)
		pool.Refill(Group2)()
		_, _, err := ephemeral.AnswerKeying(test.far.Certificate(), test.component, Policy{}, pool)
		if !errors.Is(err, test.want) {
			t.Errorf("%d: component %x: %v, want %v", i, test.component, err, test.want)
		}
		if early := errors.Is(err, ErrGroup) || errors.Is(err, ErrPublicKey); early && pool.Len(Group2) == 0 {
			t.Errorf("%d: component %x used up a key", i, test.component)
		}
	}

	for i, test := range []struct {
		far       *Identity
		component []byte
		want      error
	}{
		{static, nil, nil},
		{static, public, ErrComponent},
		{static, []byte{1}, ErrComponent},
		{ephemeral, nil, ErrComponent},
		{ephemeral, opt(keyingEphemeralKey, 5, 1), ErrGroup},
		{ephemeral, opt(keyingEphemeralKey, 2, 1), ErrPublicKey},
		{ephemeral, public, nil},
	} {
		k, err := static.BeginKeying(test.far.Certificate(), Policy{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Finish(test.component); !errors.Is(err, test.want) {
			t.Errorf("%d: answer %x: %v, want %v", i, test.component, err, test.want)
		}
	}
}

// TestRepeatable: with the random source fixed, so is the whole keying.
func TestRepeatable(t *testing.T) {
	var first string
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 7)
			a, _, err := agree(identity(t, IdentityOptions{}), identity(t, IdentityOptions{AcceptAncillary: true}), Policy{}, Policy{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%x%x", a.NearNonce, a.FarNonce)
			if first == "" {
				first = got
			}
			if got != first {
				t.Error("another session from the same seed")
			}
		})
	}
}
