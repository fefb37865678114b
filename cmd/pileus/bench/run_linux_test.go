package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

func TestEveryMeasurementHasAName(t *testing.T) {
	if len(Names()) != len(measurements) {
		t.Errorf("%d names, %d measurements", len(Names()), len(measurements))
	}
	for _, name := range Names() {
		if measurements[name] == nil {
			t.Errorf("no measurement %q", name)
		}
	}
}

func TestSources(t *testing.T) {
	for _, i := range []int{0, 1, 255, 256, maxPeers, floodFirst + floodPeers + 2} {
		off := sourceOffset(i)
		if got := sourceIndex(off); got != i || off >= 1<<24 {
			t.Errorf("source %d: offset %#x is source %d", i, off, got)
		}
	}
}

// Nobody at the address: an error, not a hang.
func TestSilence(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	t.Parallel()
	var out, progress bytes.Buffer
	err := Run(t.Context(), Config{Server: netip.MustParseAddrPort("127.0.0.1:9"), Results: &out, Progress: &progress})
	if !errors.Is(err, errSilent) {
		t.Errorf("got %v", err)
	}
}

// otherKeys is a server that answers as it should, and comes to other session keys than
// its clients do: it takes what is behind the key in their certificates for more of it.
func otherKeys(t *testing.T) netip.AddrPort {
	t.Helper()
	id, err := flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: true, Ephemeral: []flash.Group{group2}})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := flash.NewIdentity(flash.IdentityOptions{Static: []flash.Group{group2}})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	sealer, opener := flash.NewStartup()
	answer := func(to *net.UDPAddr, session wire.SessionID, chunk []byte) {
		h := wire.Header{Mode: wire.ModeStartup}
		b := append(h.Append(sealer.Begin(nil)), chunk...)
		_, _ = conn.WriteToUDP(sealer.Finish(b, session), to)
	}
	go func() {
		defer close(done)
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			if session, ok := wire.Unscramble(buf[:n]); !ok || session != (wire.SessionID{}) {
				continue // of a session: nothing there makes sense
			}
			packet, err := opener.Open(nil, buf[:n])
			if err != nil {
				continue
			}
			_, chunks, _ := wire.ParseHeader(packet)
			switch typ, body, _, _ := wire.NextChunk(chunks); typ {
			case wire.ChunkIHello:
				if c, err := wire.ParseIHello(body); err == nil {
					answer(from, wire.SessionID{}, wire.RHello{Tag: c.Tag, Cookie: make([]byte, 64), Certificate: id.Certificate().Raw()}.Append(nil))
				}
			case wire.ChunkIIKeying:
				if c, err := wire.ParseIIKeying(body); err == nil {
					component, _, err := id.AnswerKeying(stranger.Certificate(), c.Component, flash.Policy{}, nil)
					if err != nil {
						t.Error(err)
						return
					}
					answer(from, c.SessionID, wire.RIKeying{SessionID: wire.SessionID{9, 9, 9, 9}, Component: component, Signature: []byte{'X'}}.Append(nil))
				}
			default:
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// A measurement that measured nothing fails, and so does the run.
func TestNothingMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	var out bytes.Buffer
	err := Run(t.Context(), Config{
		Server: otherKeys(t), Seconds: 1, Only: []string{"session-2"}, Results: &out, Progress: t.Output(), JSON: true,
	})
	var r Result
	if decode := json.Unmarshal(out.Bytes(), &r); decode != nil || r.Error != errOtherKeys.Error() || len(r.Values) > 0 {
		t.Errorf("%s: %v", &out, decode)
	}
	if err == nil || !strings.Contains(err.Error(), "failed: session-2 of 127.0.0.1:") {
		t.Errorf("%v", err)
	}
}

// A reference server is measured as a check on the simulated peers: whatever
// asks for HMACs and sequence numbers, and whatever does not.
func TestLiveReference(t *testing.T) {
	dir := os.Getenv("PILEUS_REFERENCE_DIR")
	if dir == "" {
		t.Skip("PILEUS_REFERENCE_DIR is not set: NOT tested against the reference server")
	}
	const addr = "127.0.0.1:29351"
	program := filepath.Join(dir, "tcserver") + " -B " + addr
	results := measured(t, Config{
		Server:   netip.MustParseAddrPort(addr),
		Commands: []string{"secured=" + program, "plain=" + program + " -H -S"},
		Rounds:   1,
		Seconds:  1,
		Only:     []string{"session-14", "connect-2", "introduce", "answer"},
	})
	if len(results) != 8 {
		t.Errorf("%d results: %v", len(results), results)
	}
	for _, r := range results {
		checkResult(t, r)
	}
}

func measured(t *testing.T, cfg Config) []Result {
	t.Helper()
	var out bytes.Buffer
	cfg.Results, cfg.Progress, cfg.JSON = &out, t.Output(), true
	if err := Run(t.Context(), cfg); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var results []Result
	for d := json.NewDecoder(&out); d.More(); {
		var r Result
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	return results
}

// checkResult checks the figures that do not depend on the machine.
func checkResult(t *testing.T, r Result) {
	t.Helper()
	if r.Error != "" {
		t.Errorf("%s, %s: %s", r.Measurement, r.Server, r.Error)
	}
	for _, v := range r.Values {
		switch v.Name {
		case "opened", "joins", "answered", "redirected", "forwarded", "alive":
			if v.Value < 95 {
				t.Errorf("%s, %s: %s %.1f %s", r.Measurement, r.Server, v.Name, v.Value, v.Unit)
			}
		case "cpu":
			if v.Value <= 0 {
				t.Errorf("%s, %s: CPU time %v", r.Measurement, r.Server, v.Value)
			}
		}
	}
}
