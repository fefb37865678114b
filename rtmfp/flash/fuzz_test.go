package flash

import (
	"bytes"
	"testing"

	"pileus/rtmfp/internal/vectors"
)

// seeds adds what f should start with and fails if there is nothing.
func seeds(f *testing.F, all [][]byte) {
	f.Helper()
	if len(all) == 0 {
		f.Fatal("no seeds")
	}
	for _, seed := range all {
		f.Add(seed)
	}
}

func FuzzParseCertificate(f *testing.F) {
	var all [][]byte
	for _, row := range vectors.Primitives(f).Certificates {
		all = append(all, row.Cert)
	}
	seeds(f, all)
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseCertificate(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Raw(), raw) || !c.SelectedBy(c.EPD()) || CompareGlare(c, c) != 0 || !c.Overrides(c) {
			t.Errorf("certificate %x does not fit itself", raw)
		}
		canonical, err := ParseCertificate(raw[:c.canonical])
		if err != nil || canonical.PeerID() != c.PeerID() {
			t.Errorf("canonical section of %x: %v", raw, err)
		}
		for _, g := range allGroups {
			if c.StaticKey(g) != nil && (c.Ephemeral(g) || !c.HasStaticKey()) {
				t.Errorf("certificate %x has both kinds of keys", raw)
			}
		}
		if name, ok := c.Hostname(); ok && !c.SelectedBy(EPD{Hostname: name, HasHostname: true}) {
			t.Errorf("certificate %x is not selected by its hostname", raw)
		}
	})
}

func FuzzParseEPD(f *testing.F) {
	var all [][]byte
	for _, row := range vectors.Primitives(f).EPDSelect {
		all = append(all, row.EPD)
	}
	seeds(f, all)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := ParseEPD(raw)
		if err != nil {
			return
		}
		encoded := e.Append(nil)
		again, err := ParseEPD(encoded)
		if err != nil || !bytes.Equal(again.Append(nil), encoded) {
			t.Errorf("EPD %x encodes as %x: %v", raw, encoded, err)
		}
		c, err := ParseCertificate([]byte{1, certAcceptsAncillary})
		if err != nil {
			t.Fatal(err)
		}
		if c.SelectedBy(e) != c.SelectedBy(again) {
			t.Errorf("EPD %x selects something else than %x", raw, encoded)
		}
	})
}

// FuzzKeying feeds components to both ends. The responder's key is at hand, so
// that the fuzzer need not wait for exponentiations but those it earns.
func FuzzKeying(f *testing.F) {
	var all [][]byte
	for _, row := range vectors.Primitives(f).Keying {
		all = append(all, row.SKIC, row.SKRC)
	}
	seeds(f, all)
	key, err := GenerateKey(Group2, nil)
	if err != nil {
		f.Fatal(err)
	}
	static := identity(f, IdentityOptions{Keys: []*KeyPair{key}})
	ephemeral := identity(f, IdentityOptions{Ephemeral: []Group{Group2}})
	f.Fuzz(func(t *testing.T, component []byte) {
		for _, far := range []*Identity{static, ephemeral} {
			for _, near := range []*Identity{static, ephemeral} {
				skrc, sk, err := near.AnswerKeying(far.Certificate(), component, Policy{}, oneKey{key})
				if err == nil {
					if _, err := parseComponent(skrc); err != nil || sk == nil {
						t.Errorf("answer %x to %x: %v", skrc, component, err)
					}
				}
				k, err := near.BeginKeying(far.Certificate(), Policy{}, oneKey{key})
				if err != nil {
					t.Fatal(err)
				}
				if sk, err := k.Finish(component); err == nil && sk == nil {
					t.Errorf("no keys from %x", component)
				}
			}
		}
	})
}

// FuzzOpen opens anything under every protection. Whatever fails changes nothing.
func FuzzOpen(f *testing.F) {
	var all [][]byte
	for _, row := range vectors.Primitives(f).DefaultKeyPackets {
		all = append(all, row.Datagram)
	}
	seeds(f, all)
	_, startup := NewStartup()
	openers := []*Opener{startup}
	for _, bench := range benchPolicies {
		near, _ := pair(f, bench.policy)
		openers = append(openers, near.Opener)
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		given := bytes.Clone(datagram)
		for _, o := range openers {
			before := o.window
			packet, err := o.Open(nil, datagram)
			if err != nil && (packet != nil || o.window != before) {
				t.Errorf("opening %x failed and left %x", datagram, packet)
			}
			if !bytes.Equal(given, datagram) {
				t.Errorf("opening changed %x to %x", given, datagram)
			}
		}
	})
}
