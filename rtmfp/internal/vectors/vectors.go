// Package vectors loads the exchanges recorded from an independent RTMFP
// implementation, for tests. The files stand in rtmfp/testdata/vectors; README.md
// there says what each member means and NOTES.md where real bytes differ from the
// RFC text. (The check.py that they mention is not kept here.)
//
// Loading fails the test when a file is missing, when there is none at all, or
// when a member stands in it that these structs do not know.
package vectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Hex is a byte string. It is nil when the member is absent or null, and empty but
// not nil when it is "".
type Hex []byte

// UnmarshalJSON decodes a string of hexadecimal digits.
func (h *Hex) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return err
	}
	v, err := hex.DecodeString(*s)
	if err != nil {
		return err
	}
	*h = append(Hex{}, v...)
	return nil
}

func (h Hex) String() string { return hex.EncodeToString(h) }

const primitivesName = "s06_primitives"

// Load returns the exchange recorded as name, such as "s01_connect_dh2".
func Load(t testing.TB, name string) *Exchange {
	t.Helper()
	e := new(Exchange)
	load(t, filepath.Join(dir(t), name+".json"), e)
	if e.Kind != "exchange" || len(e.Datagrams) == 0 {
		t.Fatalf("vectors: %s: kind %q with %d datagrams, want an exchange with some", name, e.Kind, len(e.Datagrams))
	}
	return e
}

// Exchanges returns every recorded exchange, ordered by name.
func Exchanges(t testing.TB) []*Exchange {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir(t), "s*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*Exchange
	for _, name := range names {
		name = filepath.Base(name)
		name = name[:len(name)-len(".json")]
		if name != primitivesName {
			all = append(all, Load(t, name))
		}
	}
	if len(all) == 0 {
		t.Fatalf("vectors: no exchanges in %s", dir(t))
	}
	return all
}

// Primitives returns the encodings and cryptographic steps recorded one by one.
func Primitives(t testing.TB) *PrimitiveSet {
	t.Helper()
	p := new(PrimitiveSet)
	load(t, filepath.Join(dir(t), primitivesName+".json"), p)
	if p.Kind != "primitives" || len(p.VLUEncode) == 0 {
		t.Fatalf("vectors: %s: kind %q, want primitives", primitivesName, p.Kind)
	}
	return p
}

func load(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	// The recorder wrote the AMF0 number -Infinity as Python does. It becomes a
	// string in the manner of s06_primitives.
	data = bytes.ReplaceAll(data, []byte(`:-Infinity`), []byte(`:"<-Infinity>"`))
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("vectors: %s: %v", filepath.Base(path), err)
	}
}

// dir finds the vectors from any package of the module, since tests run in their
// package's directory.
func dir(t testing.TB) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for root := wd; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, "rtmfp", "testdata", "vectors")
		}
		if root == filepath.Dir(root) {
			t.Fatalf("vectors: no go.mod in %s or above", wd)
		}
	}
}
