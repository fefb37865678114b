package splice

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// recording is as much of a recorded exchange as a relay sees.
type recording struct {
	Endpoints map[string]struct{ Fingerprint string }
	Datagrams []struct {
		From, To, Key, Hex, Net string
		TOS                     uint8
		Packet                  struct {
			Chunks []struct{ Name, Tag, EPD string }
		}
	}
}

func record(t *testing.T, name string) (r recording) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "rtmfp", "testdata", "vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func fingerprint(t *testing.T, s string) flash.PeerID {
	t.Helper()
	id, err := flash.ParsePeerID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// What real endpoints said to each other goes through a splice, byte for byte, and
// a relay needs no key for it.
func TestRecordings(t *testing.T) {
	for _, c := range []struct {
		file, a, b string // a calls b, or each the other
	}{
		{"s03_p2p_intro", "subscriber", "publisher"},
		{"s03_p2p_checksum", "subscriber", "publisher"},
		{"s03_p2p_implied_redirect", "subscriber", "publisher"},
		{"s03_p2p_glare", "peerA", "peerB"},
		{"s03_cookie_change_mobility", "client", "server"},
		{"s02_startup_loss", "", ""},
		{"s05_session_close", "", ""},
		{"s01_connect_dh16", "", ""},
	} {
		t.Run(c.file, func(t *testing.T) {
			r := record(t, c.file)
			if c.a == "" {
				c.a, c.b = r.Datagrams[0].From, r.Datagrams[0].To
			}
			w := newWorld(t, worldConfig{})
			parties := map[string]Party{
				c.a: {Peer: fingerprint(t, r.Endpoints[c.a].Fingerprint), Addr: addr(atA), Local: addr(main1)},
				c.b: {Peer: fingerprint(t, r.Endpoints[c.b].Fingerprint), Addr: addr(atB), Local: addr(main1)},
			}
			via := map[string]netip.AddrPort{c.a: addr(viaA), c.b: addr(viaB)}
			port := make(map[string]netip.AddrPort)
			calls, sessions := 0, 0
			for _, d := range r.Datagrams {
				if d.To == "" && (d.From == c.a || d.From == c.b) {
					d.To = map[string]string{c.a: c.b, c.b: c.a}[d.From]
				}
				if !slices.Contains([]string{c.a, c.b}, d.From) || !slices.Contains([]string{c.a, c.b}, d.To) || d.Net == "dropped" {
					continue
				}
				data, err := hex.DecodeString(d.Hex)
				if err != nil {
					t.Fatal(err)
				}
				if first := d.Packet.Chunks[0]; first.Name == "IHello" {
					tag, _ := hex.DecodeString(first.Tag)
					g := w.ask(Request{Tag: tag, Initiator: parties[d.From], Target: parties[d.To], Rebind: true})
					port[d.From], port[d.To] = g.Initiator, g.Target
					calls++
				}
				w.took()
				w.receive(via[d.From], port[d.From], d.TOS, data)
				id, _ := wire.Unscramble(data)
				if id == (wire.SessionID{}) {
					continue
				}
				sessions++
				got := w.took()
				if len(got) != 1 || !bytes.Equal(got[0].data, data) || got[0].to != via[d.To] || got[0].from != port[d.To] || got[0].tos != d.TOS&ecnMask {
					t.Fatalf("packet %d of the session: sent %d; drops %v", sessions, len(got), w.table.Stats().Drops)
				}
			}
			if calls == 0 || sessions < 3 {
				t.Fatalf("%d calls, %d packets of sessions", calls, sessions)
			}
			drops := w.table.Stats().Drops
			drops[DropRepeat] = 0 // of IHellos and RHellos
			if c.file == "s03_p2p_glare" && drops[DropGlare] == 1 {
				drops[DropGlare] = 0 // the IIKeying that the recorded endpoint ignored
			}
			if drops != [numDropReasons]uint64{} {
				t.Errorf("drops %v", drops)
			}
			w.table.wholly(t)
		})
	}
}
