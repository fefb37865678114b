package amf_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/internal/vectors"
)

// Every recorded value decodes to what the recorder saw, and encodes back to
// the same bytes.
func TestRecordedValues(t *testing.T) {
	rows := vectors.Primitives(t).AMF0
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	for _, row := range rows {
		v, rest, err := amf.Parse(row.Hex)
		if err != nil || len(rest) != 0 {
			t.Errorf("%s: %v, rest %x", row.Value, err, rest)
			continue
		}
		if diff := cmp.Diff(decode(t, row.Value), plain(v)); diff != "" {
			t.Errorf("%s: %s", row.Hex, diff)
		}
		if b := amf.Append(nil, v); !bytes.Equal(b, row.Hex) {
			t.Errorf("%s: encodes as %x", row.Hex, b)
		}
	}
}

func TestRecordedLongStrings(t *testing.T) {
	rows := vectors.Primitives(t).AMF0LongString
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	for _, row := range rows {
		s := amf.String(strings.Repeat(row.Char, row.Length))
		b := amf.Append(nil, s)
		if len(b) != row.EncodingLength || !bytes.HasPrefix(b, row.EncodingPrefix) {
			t.Errorf("%d: %d bytes, %x", row.Length, len(b), b[:8])
		}
		if v, rest, err := amf.Parse(b); err != nil || len(rest) != 0 || v != s {
			t.Errorf("%d: %v", row.Length, err)
		}
	}
}

// The values of every recorded command and data message.
func TestRecordedMessages(t *testing.T) {
	count := 0
	check := func(name string, payload []byte, want json.RawMessage) {
		t.Helper()
		args, err := amf.ParseAll(payload)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if diff := cmp.Diff(decode(t, want), plain(amf.Array(args))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if b := amf.Append(nil, args...); !bytes.Equal(b, payload) {
			t.Errorf("%s: encodes as %x, want %x", name, b, payload)
		}
		count++
	}
	for _, e := range vectors.Exchanges(t) {
		for _, f := range e.Flows {
			for _, m := range f.Messages {
				if m.TC != nil && m.TC.AMF0 != nil && m.Hex != nil {
					check(e.Scenario, m.Hex[5:], m.TC.AMF0)
				}
			}
		}
	}
	for _, c := range vectors.Primitives(t).Commands {
		if c.Decoded.AMF0 == nil {
			continue
		}
		payload := c.TCMessage[5:]
		if c.Decoded.Format != nil {
			payload = payload[1:]
		}
		check(c.Name, payload, c.Decoded.AMF0)
	}
	if count < 100 {
		t.Errorf("only %d messages", count)
	}
}

// decode reads the recorder's rendering. Objects become maps: the recorder
// sorts their members.
func decode(t *testing.T, raw json.RawMessage) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return normal(v)
}

func normal(v any) any {
	switch v := v.(type) {
	case string:
		switch v {
		case "<NaN>", "NaN":
			return "NaN"
		case "<Infinity>":
			return math.Inf(1)
		case "-Infinity", "<-Infinity>":
			return math.Inf(-1)
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case map[string]any:
		if v["amf0"] == "undefined" {
			return "undefined"
		}
		if m, ok := v["members"].(map[string]any); ok && v["amf0"] == "ecma-array" {
			v = m
		}
		for k := range v {
			v[k] = normal(v[k])
		}
		return v
	}
	return v
}

// plain renders a value like the recorder does.
func plain(v amf.Value) any {
	if o, ok := amf.Members(v); ok {
		m := map[string]any{}
		for _, e := range o {
			m[e.Name] = plain(e.Value)
		}
		return m
	}
	switch v := v.(type) {
	case amf.Number:
		if math.IsNaN(float64(v)) {
			return "NaN"
		}
		return float64(v)
	case amf.Boolean:
		return bool(v)
	case amf.String:
		return string(v)
	case amf.Undefined:
		return "undefined"
	case amf.Array:
		a := make([]any, 0, len(v))
		for _, e := range v {
			a = append(a, plain(e))
		}
		return a
	}
	return nil
}
