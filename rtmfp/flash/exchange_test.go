package flash

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"testing"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// TestExchanges derives the keys of every recorded session from its private
// Diffie-Hellman keys, opens every datagram and seals it again, byte for byte.
func TestExchanges(t *testing.T) {
	total := 0
	for _, e := range vectors.Exchanges(t) {
		t.Run(e.Scenario, func(t *testing.T) { total += replayExchange(t, e) })
	}
	if total < 1600 {
		t.Errorf("opened %d datagrams, want 1622 or so", total)
	}
}

// direction is a Sealer with the Opener at its far end.
type direction struct {
	sealer *Sealer
	opener *Opener
}

func replayExchange(t *testing.T, e *vectors.Exchange) int {
	checkEndpoints(t, e)
	keys := make(map[string]direction)
	for i := range e.Sessions {
		s := &e.Sessions[i]
		r := recording{
			initiatorCert: e.Endpoints[s.Initiator].Certificate,
			responderCert: e.Endpoints[s.Responder].Certificate,
			initiator:     restore(t, s.DHGroup, s.InitiatorDH.Private, s.InitiatorDH.Public),
			responder:     restore(t, s.DHGroup, s.ResponderDH.Private, s.ResponderDH.Public),
			secret:        s.SharedSecret,
			skic:          s.SKIC,
			skrc:          s.SKRC,
			nonces:        [2][]byte{s.NonceInitiator, s.NonceResponder},
		}
		for _, k := range e.Endpoints[s.Responder].DHKeyPairs {
			r.responderKeys = append(r.responderKeys, restore(t, k.Group, k.Private, k.Public))
		}
		initiator, responder := r.check(t)
		if initiator.Sealer.HMACLength() != s.HMACLenI2R || initiator.Opener.HMACLength() != s.HMACLenR2I ||
			initiator.Sealer.Sequenced() != s.SSEQI2R || initiator.Opener.Sequenced() != s.SSEQR2I {
			t.Errorf("%s: negotiated %+v, %+v", s.ID, initiator.Sealer.protection, initiator.Opener.protection)
		}
		keys[s.ID+"i2r"] = direction{initiator.Sealer, responder.Opener}
		keys[s.ID+"r2i"] = direction{responder.Sealer, initiator.Opener}
	}
	startSealer, startOpener := NewStartup()
	keys["default"] = direction{startSealer, startOpener}

	for i := range e.Datagrams {
		d := &e.Datagrams[i]
		k, ok := keys[d.Key+d.Dir]
		if !ok {
			if k, ok = keys[d.Key]; !ok {
				t.Fatalf("datagram %d: no key %s %s", d.N, d.Key, d.Dir)
			}
		}
		replayDatagram(t, d, k.sealer, k.opener)
	}
	return len(e.Datagrams)
}

func checkEndpoints(t *testing.T, e *vectors.Exchange) {
	for name, end := range e.Endpoints {
		if len(end.Certificate) == 0 {
			continue
		}
		c, err := ParseCertificate(end.Certificate)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if id := c.PeerID(); !bytes.Equal(id[:], end.Fingerprint) || c.HasStaticKey() != end.StaticDH || c.AcceptsAncillary() != end.AcceptsAncillaryData {
			t.Errorf("%s: certificate read as %v, static %v, ancillary %v", name, id, c.HasStaticKey(), c.AcceptsAncillary())
		}
	}
}

func replayDatagram(t *testing.T, d *vectors.Datagram, sealer *Sealer, opener *Opener) {
	t.Helper()
	id, ok := wire.Unscramble(d.Hex)
	if !ok || !bytes.Equal(id[:], d.SID) {
		t.Errorf("datagram %d: session ID %v, want %v", d.N, id, d.SID)
	}
	packet := d.Plaintext[d.PacketOff:d.Packet.PaddingOff]
	room := sealer.Room(len(d.Hex))
	sealed := sealer.Finish(append(sealer.Begin(nil), packet...), id)
	if !bytes.Equal(sealed, d.Hex) {
		t.Errorf("datagram %d: sealed\n%x, want\n%v", d.N, sealed, d.Hex)
	}
	if len(packet) > room || room-len(packet) >= blockLen {
		t.Errorf("datagram %d: room for %d bytes, but it holds %d", d.N, room, len(packet))
	}

	before := *opener
	if d.CorruptedHex != nil {
		if _, err := opener.Open(nil, d.CorruptedHex); !errors.Is(err, ErrHMAC) && !errors.Is(err, ErrChecksum) {
			t.Errorf("datagram %d: corrupted: %v", d.N, err)
		}
	}
	for _, n := range []int{0, 3, 4, 19, len(d.Hex) - 1, len(d.Hex) - 15} {
		if _, err := opener.Open(nil, d.Hex[:max(n, 0)]); err == nil {
			t.Errorf("datagram %d: opened when cut to %d bytes", d.N, n)
		}
	}
	if opener.window != before.window {
		t.Errorf("datagram %d: bad datagrams changed the window", d.N)
	}

	given := slices.Clone(d.Hex)
	got, err := opener.Open(make([]byte, 0, len(given)), given)
	if err != nil || !bytes.Equal(got, d.PacketBytes()) {
		t.Errorf("datagram %d: opened %x, %v, want %x", d.N, got, err, d.PacketBytes())
	}
	if !bytes.Equal(given, d.Hex) {
		t.Errorf("datagram %d: Open changed its input", d.N)
	}
	_, err = opener.Open(nil, d.Hex)
	if opener.Sequenced() != errors.Is(err, ErrReplay) || !opener.Sequenced() && err != nil {
		t.Errorf("datagram %d: second time: %v", d.N, err)
	}
}

// TestReceptions opens what arrived in the order it arrived in, lost, late, twice
// and corrupted, and compares each verdict with the recorded receiver's.
func TestReceptions(t *testing.T) {
	for _, e := range vectors.Exchanges(t) {
		t.Run(e.Scenario, func(t *testing.T) {
			openers := make(map[string]*Opener)
			for _, s := range e.Sessions {
				initiator, errI := DeriveKeys(s.SharedSecret, s.SKIC, s.SKRC)
				responder, errR := DeriveKeys(s.SharedSecret, s.SKRC, s.SKIC)
				if errI != nil || errR != nil {
					t.Fatal(errI, errR)
				}
				openers[s.ID+"i2r"], openers[s.ID+"r2i"] = responder.Opener, initiator.Opener
			}
			type reception struct {
				*vectors.Datagram
				vectors.Rx
			}
			var all []reception
			for i := range e.Datagrams {
				for _, rx := range e.Datagrams[i].Rx {
					all = append(all, reception{&e.Datagrams[i], rx})
				}
			}
			slices.SortStableFunc(all, func(a, b reception) int { return cmp.Compare(a.Rx.TimeUS, b.Rx.TimeUS) })
			for _, r := range all {
				opener := openers[r.Key+r.Dir]
				if opener == nil {
					continue // the Default Session Key
				}
				data := r.Hex
				if r.CorruptedHex != nil {
					data = r.CorruptedHex
				}
				// A receiver without the session yet, or any more, had no key to try.
				want := r.Accepted || r.AcceptedOnReplay || r.Reason == "unknown session id"
				if _, err := opener.Open(nil, data); (err == nil) != want {
					t.Errorf("datagram %d at %d us: %v, want accepted %v", r.N, r.Rx.TimeUS, err, want)
				}
			}
		})
	}
}
