package flash

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

func TestVectorChecksum(t *testing.T) {
	for _, row := range vectors.Primitives(t).Checksum {
		if got, want := checksum(row.Data), binary.BigEndian.Uint16(row.Checksum); got != want {
			t.Errorf("checksum(%v) = %04x, want %04x", row.Data, got, want)
		}
	}
}

func TestVectorHMAC(t *testing.T) {
	for _, row := range vectors.Primitives(t).HMACSHA256 {
		if got := hmacSHA256(row.Key, row.Msg); !bytes.Equal(got, row.HMAC) {
			t.Errorf("hmacSHA256(%v, %v) = %x, want %v", row.Key, row.Msg, got, row.HMAC)
		}
		if len(row.Key) > 32 {
			continue // macKey is for derived keys, of 32 bytes; shorter ones are padded
		}
		var key [32]byte
		copy(key[:], row.Key)
		k, err := newMACKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.append(nil, row.Msg, 32); !bytes.Equal(got, row.HMAC) {
			t.Errorf("macKey(%v) of %v = %x, want %v", row.Key, row.Msg, got, row.HMAC)
		}
		wrong := bytes.Clone(row.HMAC[:10])
		wrong[9] ^= 1
		if !k.verify(row.Msg, row.HMAC[:10]) || k.verify(row.Msg, wrong) {
			t.Errorf("macKey(%v): verify is wrong", row.Key)
		}
	}
}

func TestVectorScrambledSessionID(t *testing.T) {
	for _, row := range vectors.Primitives(t).ScrambledSessionID {
		datagram := append(make([]byte, 4), row.EncryptedFirst8...)
		wire.SessionID(row.SID).Scramble(datagram)
		if !bytes.Equal(datagram[:4], row.Scrambled) {
			t.Errorf("session ID %v scrambles to %x, want %v", row.SID, datagram[:4], row.Scrambled)
		}
	}
}

func TestVectorDefaultKeyPackets(t *testing.T) {
	for _, row := range vectors.Primitives(t).DefaultKeyPackets {
		sealer, opener := NewStartup()
		datagram := sealer.Finish(append(sealer.Begin(nil), row.Packet...), wire.SessionID(row.SID))
		if !bytes.Equal(datagram, row.Datagram) {
			t.Errorf("packet %v: sealed %x, want %v", row.Packet, datagram, row.Datagram)
		}
		packet, err := opener.Open(nil, row.Datagram)
		if err != nil || !bytes.Equal(packet, row.Plaintext[2:]) {
			t.Errorf("datagram %v: opened %x, %v, want %v", row.Datagram, packet, err, row.Plaintext[2:])
		}
	}
}

func TestVectorCertificates(t *testing.T) {
	for _, row := range vectors.Primitives(t).Certificates {
		c, err := ParseCertificate(row.Cert)
		if (err == nil) != row.Valid {
			t.Errorf("%s: %v, want valid %v", row.Name, err, row.Valid)
			continue
		}
		if err != nil {
			if !errors.Is(err, ErrCertificate) {
				t.Errorf("%s: %v is not ErrCertificate", row.Name, err)
			}
			continue
		}
		id := c.PeerID()
		if c.canonical != *row.CanonicalLength || !bytes.Equal(id[:], row.RFC7425Fingerprint) {
			t.Errorf("%s: peer ID %v of %d bytes, want %v of %d", row.Name, id, c.canonical, row.RFC7425Fingerprint, *row.CanonicalLength)
		}
		if c.HasStaticKey() != row.Static || c.AcceptsAncillary() != row.AcceptsAncillary {
			t.Errorf("%s: static %v, ancillary %v, want %v, %v", row.Name, c.HasStaticKey(), c.AcceptsAncillary(), row.Static, row.AcceptsAncillary)
		}
		if row.CanonicalEPD != nil && !bytes.Equal(c.EPD().Append(nil), row.CanonicalEPD) {
			t.Errorf("%s: canonical EPD %x, want %v", row.Name, c.EPD().Append(nil), row.CanonicalEPD)
		}
	}
}

func TestVectorEPDEncode(t *testing.T) {
	for _, row := range vectors.Primitives(t).EPDEncode {
		var e EPD
		if row.Fingerprint != nil {
			e.Fingerprint, e.HasFingerprint = PeerID(row.Fingerprint), true
		}
		if row.Ancillary != nil {
			e.Ancillary, e.HasAncillary = []byte(*row.Ancillary), true
		}
		if row.Hostname != nil {
			e.Hostname, e.HasHostname = []byte(*row.Hostname), true
		}
		if got := e.Append(nil); !bytes.Equal(got, row.Hex) {
			t.Errorf("encoded %x, want %v", got, row.Hex)
		}
	}
}

// vectorCertificates returns the valid certificates by name.
func vectorCertificates(t testing.TB) map[string]Certificate {
	certs := make(map[string]Certificate)
	for _, row := range vectors.Primitives(t).Certificates {
		if c, err := ParseCertificate(row.Cert); err == nil {
			certs[row.Name] = c
		}
	}
	return certs
}

func TestVectorEPDSelect(t *testing.T) {
	certs := vectorCertificates(t)
	for _, row := range vectors.Primitives(t).EPDSelect {
		epd, err := ParseEPD(row.EPD)
		for name, want := range row.Selects {
			got := err == nil && certs[name].SelectedBy(epd)
			if got != want[0] || got != want[1] {
				t.Errorf("%s: selects %s: %v, want %v", row.Name, name, got, want)
			}
		}
	}
}

func TestVectorGlare(t *testing.T) {
	certs := vectorCertificates(t)
	for _, row := range vectors.Primitives(t).Glare {
		if got := CompareGlare(certs[row.Near], certs[row.Far]) <= 0; got != row.NearPrevailsAsInitiator {
			t.Errorf("%s against %s: prevails %v, want %v", row.Near, row.Far, got, row.NearPrevailsAsInitiator)
		}
	}
}

func TestVectorPublicKeys(t *testing.T) {
	key, err := GenerateKey(Group2, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range vectors.Primitives(t).DHPublicKeyAcceptance {
		if got := Group(row.Group).params().acceptable(row.Public); got != row.Acceptable {
			t.Errorf("%s: acceptable %v, want %v", row.Name, got, row.Acceptable)
		}
		if _, err := key.Secret(row.Public); errors.Is(err, ErrPublicKey) == row.Acceptable {
			t.Errorf("%s: Secret: %v, want acceptable %v", row.Name, err, row.Acceptable)
		}
	}
}

func TestVectorKeying(t *testing.T) {
	for _, row := range vectors.Primitives(t).Keying {
		t.Run(row.Name, func(t *testing.T) {
			rec := recording{
				initiatorCert: row.InitiatorCertificate,
				responderCert: row.ResponderCertificate,
				initiator:     restore(t, row.Group, row.InitiatorPrivate, row.InitiatorPublic),
				responder:     restore(t, row.Group, row.ResponderPrivate, row.ResponderPublic),
				secret:        row.SharedSecret,
				skic:          row.SKIC,
				skrc:          row.SKRC,
				nonces:        [2][]byte{row.NonceInitiator, row.NonceResponder},
			}
			rec.responderKeys = []*KeyPair{rec.responder}
			rec.check(t)
		})
	}
}

func restore(t *testing.T, group int, private, public []byte) *KeyPair {
	t.Helper()
	k, err := RestoreKey(Group(group), private)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(k.Public(), public) {
		t.Fatalf("public key %x, want %x", k.Public(), public)
	}
	return k
}
