package flash

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pileus/rtmfp/wire"
)

func identity(t testing.TB, o IdentityOptions) *Identity {
	t.Helper()
	id, err := NewIdentity(o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestDefaultCertificates: WIRE's certificates of a server and of a Flash client.
func TestDefaultCertificates(t *testing.T) {
	server := identity(t, IdentityOptions{AcceptAncillary: true}).Certificate()
	raw := server.Raw()
	want := slices.Concat([]byte{1, 0x0a, 0x41, 0x0e}, raw[4:68], []byte{2, 0x15, 2, 2, 0x15, 5, 2, 0x15, 14})
	if !bytes.Equal(raw, want) {
		t.Errorf("server's certificate %x, want %x", raw, want)
	}
	if server.HasStaticKey() || !server.AcceptsAncillary() || !server.Ephemeral(Group5) || server.Ephemeral(Group16) {
		t.Errorf("server's certificate read as %+v", server)
	}

	id := identity(t, IdentityOptions{})
	client := id.Certificate()
	want = append([]byte{0x81, 0x02, 0x1d, 0x02}, id.static[0].Public()...)
	if !bytes.Equal(client.Raw(), want) || len(want) != 132 {
		t.Errorf("client's certificate %x, want %x", client.Raw(), want)
	}
	if !client.HasStaticKey() || client.AcceptsAncillary() || !bytes.Equal(client.StaticKey(Group2), want[4:]) || client.StaticKey(Group5) != nil {
		t.Errorf("client's certificate read as %+v", client)
	}
	if id.PeerID() != client.PeerID() {
		t.Error("peer ID is not the certificate's")
	}
}

func TestIdentityOptions(t *testing.T) {
	key, err := GenerateKey(Group2, nil)
	if err != nil {
		t.Fatal(err)
	}
	hosted := identity(t, IdentityOptions{Hostname: "host.example", AcceptAncillary: true, Static: []Group{Group5}, Keys: []*KeyPair{key}})
	c := hosted.Certificate()
	if name, ok := c.Hostname(); !ok || string(name) != "host.example" {
		t.Errorf("hostname %q, %v", name, ok)
	}
	if !c.AcceptsAncillary() || !bytes.Equal(c.StaticKey(Group2), key.Public()) || c.StaticKey(Group5) == nil || c.Ephemeral(Group2) {
		t.Errorf("certificate %x", c.Raw())
	}

	again := identity(t, IdentityOptions{Certificate: c.Raw(), Keys: hosted.static})
	if again.PeerID() != hosted.PeerID() || again.staticKey(Group5) == nil {
		t.Error("restored another identity")
	}

	other := identity(t, IdentityOptions{})
	for name, o := range map[string]IdentityOptions{
		"both kinds of keys":   {Static: []Group{Group2}, Ephemeral: []Group{Group2}},
		"unknown group":        {Ephemeral: []Group{1}},
		"unknown static group": {Static: []Group{1}},
		"key missing":          {Certificate: c.Raw(), Keys: []*KeyPair{key}},
		"another's key":        {Certificate: other.Certificate().Raw(), Keys: []*KeyPair{key}},
		"malformed":            {Certificate: []byte{1}},
		"keys for ephemeral":   {Certificate: []byte{2, certEphemeralGroup, 2}, Keys: []*KeyPair{key}},
	} {
		if _, err := NewIdentity(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCertificateQuirks(t *testing.T) {
	opt := func(typ uint64, value ...byte) []byte { return wire.AppendOption(nil, typ, value) }
	for name, test := range map[string]struct {
		raw   []byte
		check func(Certificate) bool
	}{
		"long group ID": {opt(certStaticKey, 0x80, 0x02, 7, 7), func(c Certificate) bool {
			return bytes.Equal(c.StaticKey(Group2), []byte{7, 7})
		}},
		"first key of a group counts": {slices.Concat(opt(certStaticKey, 2, 1), opt(certStaticKey, 2, 9)), func(c Certificate) bool {
			return bytes.Equal(c.StaticKey(Group2), []byte{1})
		}},
		"no key behind the marker": {slices.Concat(opt(certAcceptsAncillary), []byte{0}, opt(certStaticKey, 2, 9)), func(c Certificate) bool {
			return c.StaticKey(Group2) == nil && !c.HasStaticKey()
		}},
		"no hostname behind the marker": {slices.Concat(opt(certAcceptsAncillary), []byte{0}, opt(certHostname, 'h')), func(c Certificate) bool {
			_, ok := c.Hostname()
			return !ok
		}},
		"both kinds, one behind the marker": {slices.Concat(opt(certEphemeralGroup, 2), []byte{0}, opt(certStaticKey, 2, 9)), func(c Certificate) bool {
			return c.Ephemeral(Group2)
		}},
		"empty key": {opt(certStaticKey, 2), func(c Certificate) bool { return c.StaticKey(Group2) != nil }},
		"empty hostname": {opt(certHostname), func(c Certificate) bool {
			return c.SelectedBy(EPD{HasHostname: true}) && !c.SelectedBy(EPD{HasHostname: true, HasAncillary: true})
		}},
	} {
		c, err := ParseCertificate(test.raw)
		if err != nil || !test.check(c) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for name, raw := range map[string][]byte{
		"no group ID":            opt(certStaticKey),
		"endless group ID":       opt(certEphemeralGroup, 0x80),
		"truncated after marker": {1, 0x0a, 0, 5, 1},
	} {
		if _, err := ParseCertificate(raw); !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOverridesAndGlare(t *testing.T) {
	a := identity(t, IdentityOptions{}).Certificate()
	b := identity(t, IdentityOptions{}).Certificate()
	longer, err := ParseCertificate(append(slices.Clone(a.Raw()), 0))
	if err != nil {
		t.Fatal(err)
	}
	same, err := ParseCertificate(slices.Clone(a.Raw()))
	if err != nil {
		t.Fatal(err)
	}
	if !same.Overrides(a) || b.Overrides(a) || longer.Overrides(a) || longer.PeerID() != a.PeerID() {
		t.Error("override is not by identical certificates")
	}
	if CompareGlare(a, same) != 0 || CompareGlare(a, b) != -CompareGlare(b, a) || CompareGlare(a, longer) >= 0 {
		t.Error("glare order is not that of bytes, the shorter first")
	}
	if (Certificate{}).SelectedBy(EPD{HasFingerprint: true}) {
		t.Error("no certificate is selected by the zero fingerprint")
	}
}

func TestPeerID(t *testing.T) {
	id := identity(t, IdentityOptions{}).PeerID()
	got, err := ParsePeerID(id.String())
	if err != nil || got != id {
		t.Errorf("%v parses as %v, %v", id, got, err)
	}
	for _, s := range []string{"", "00", id.String()[:63], id.String() + "0", "zz" + id.String()[2:]} {
		if _, err := ParsePeerID(s); err == nil {
			t.Errorf("%q is a peer ID", s)
		}
	}
	if epd := id.EPD().Append(nil); len(epd) != 34 || epd[0] != 0x21 || epd[1] != 0x0f {
		t.Errorf("canonical EPD %x", epd)
	}
}

func TestEPDRepeatedOptions(t *testing.T) {
	raw := EPD{HasAncillary: true, Ancillary: []byte("a")}.Append(nil)
	raw = EPD{HasAncillary: true, Ancillary: []byte("b")}.Append(raw)
	if e, err := ParseEPD(raw); err != nil || string(e.Ancillary) != "b" {
		t.Errorf("ancillary %q, %v, want the last", e.Ancillary, err)
	}
}
