package vectors

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// The totals are those of testdata/vectors/NOTES.md: a lost file or a struct tag
// that no longer matches shows here before a test that loops over nothing passes.
func TestExchanges(t *testing.T) {
	all := Exchanges(t)
	var sessions, datagrams, chunks int
	for _, e := range all {
		if e.Counts.Sessions != len(e.Sessions) || e.Counts.Datagrams != len(e.Datagrams) {
			t.Errorf("%s: counts %+v, loaded %d sessions, %d datagrams",
				e.Scenario, e.Counts, len(e.Sessions), len(e.Datagrams))
		}
		if e.Counts.Sessions > 0 && e.Session("S1") == nil || e.Session("S0") != nil {
			t.Errorf("%s: Session finds S0 or not S1", e.Scenario)
		}
		sessions += len(e.Sessions)
		datagrams += len(e.Datagrams)
		for i := range e.Datagrams {
			d := &e.Datagrams[i]
			chunks += len(d.Packet.Chunks)
			if len(d.PacketBytes()) == 0 || len(d.Hex) < 20 || len(d.SID) != 4 || !d.Src.IsValid() || !d.Dst.IsValid() {
				t.Errorf("%s: datagram %d is incomplete", e.Scenario, d.N)
			}
		}
	}
	if len(all) != 50 || sessions != 60 || datagrams != 1622 || chunks != 2274 {
		t.Errorf("%d exchanges, %d sessions, %d datagrams, %d chunks; want 50, 60, 1622, 2274",
			len(all), sessions, datagrams, chunks)
	}
}

func TestPrimitives(t *testing.T) {
	p := Primitives(t)
	var raw map[string]json.RawMessage
	load(t, filepath.Join(dir(t), primitivesName+".json"), &raw)
	// Loading is strict about unknown members; here every list must have rows.
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var loaded map[string]json.RawMessage
	if err := json.Unmarshal(data, &loaded); err != nil {
		t.Fatal(err)
	}
	for name, rows := range raw {
		var want, got []json.RawMessage
		if json.Unmarshal(rows, &want) != nil {
			continue // schema and titles
		}
		if err := json.Unmarshal(loaded[name], &got); err != nil || len(got) != len(want) || len(got) == 0 {
			t.Errorf("%s: %d rows loaded, want %d", name, len(got), len(want))
		}
	}
}

func TestHex(t *testing.T) {
	for in, want := range map[string]Hex{`"00ff"`: {0x00, 0xff}, `""`: {}, `null`: nil} {
		var h Hex
		if err := json.Unmarshal([]byte(in), &h); err != nil || h.String() != want.String() || (h == nil) != (want == nil) {
			t.Errorf("%s: %v, %v", in, h, err)
		}
	}
	for _, in := range []string{`"0"`, `"zz"`, `7`} {
		if err := json.Unmarshal([]byte(in), new(Hex)); err == nil {
			t.Errorf("%s: no error", in)
		}
	}
}

// fatalRecorder stands in for the testing.TB of a test that must fail.
type fatalRecorder struct {
	testing.TB
	failed bool
}

func (r *fatalRecorder) Helper() {}
func (r *fatalRecorder) Fatal(...any) {
	r.failed = true
	runtime.Goexit()
}
func (r *fatalRecorder) Fatalf(string, ...any) { r.Fatal() }

func TestLoadFails(t *testing.T) {
	fails := func(f func(t testing.TB)) bool {
		r := &fatalRecorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			f(r)
		}()
		<-done
		return r.failed
	}
	if !fails(func(t testing.TB) { Load(t, "s99_absent") }) {
		t.Error("a missing file does not fail")
	}
	if !fails(func(t testing.TB) { Load(t, primitivesName) }) {
		t.Error("a file of another kind does not fail")
	}

	t.Chdir(t.TempDir())
	if !fails(func(t testing.TB) { Exchanges(t) }) {
		t.Error("no module does not fail")
	}
	if err := os.WriteFile("go.mod", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !fails(func(t testing.TB) { Exchanges(t) }) {
		t.Error("no vectors do not fail")
	}
	if err := os.MkdirAll("rtmfp/testdata/vectors", 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("rtmfp/testdata/vectors", "s01_x.json")
	if err := os.WriteFile(file, []byte(`{"kind":"exchange","datagrams":[{}],"unheard_of":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if !fails(func(t testing.TB) { Exchanges(t) }) {
		t.Error("an unknown member does not fail")
	}
}
