package relayed

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Server{
		"turn:alice:secret@192.0.2.1":                    {"192.0.2.1:3478", "udp", "alice", "secret"},
		"turn:alice:secret@host.example?transport=tcp":   {"host.example:3478", "tcp", "alice", "secret"},
		"turn:alice:secret@host.example?transport=TCP":   {"host.example:3478", "tcp", "alice", "secret"},
		"TURN://alice:secret@host.example":               {"host.example:3478", "udp", "alice", "secret"},
		"turns:a:b@host.example:443":                     {"host.example:443", "tls", "a", "b"},
		"turns:a:b@host.example?transport=tcp":           {"host.example:5349", "tls", "a", "b"},
		"turn:host.example:3479":                         {"host.example:3479", "udp", "", ""},
		"turn:[2001:db8::1]":                             {"[2001:db8::1]:3478", "udp", "", ""},
		"turn:1700000000%3Aalice:c2VjcmV0@[2001:db8::1]": {"[2001:db8::1]:3478", "udp", "1700000000:alice", "c2VjcmV0"},

		// Names that expire, and passwords in base64, as a core server hands them out.
		"turn:1700000000:alice:c2V/cm+V0Q==@192.0.2.1":                     {"192.0.2.1:3478", "udp", "1700000000:alice", "c2V/cm+V0Q=="},
		"turn:1700000000:a:b:c2VjcmV0@192.0.2.1":                           {"192.0.2.1:3478", "udp", "1700000000:a:b", "c2VjcmV0"},
		"turn:1700000000:c2VjcmV0=@192.0.2.1":                              {"192.0.2.1:3478", "udp", "1700000000", "c2VjcmV0="},
		"turn:1700000000:alice:c2V%2Fcm%2BV0%3D@192.0.2.1:9":               {"192.0.2.1:9", "udp", "1700000000:alice", "c2V/cm+V0="},
		"turns:1700000000:alice:c2V/=@h.example?transport=tcp":             {"h.example:5349", "tls", "1700000000:alice", "c2V/="},
		"turn:alice:pa:ss@192.0.2.1":                                       {"192.0.2.1:3478", "udp", "alice", "pa:ss"},
		"turn:alice:p@ss?word/100%@192.0.2.1":                              {"192.0.2.1:3478", "udp", "alice", "p@ss?word/100%"},
		"turn:a%3Alice:se%40cret@192.0.2.1":                                {"192.0.2.1:3478", "udp", "a:lice", "se@cret"},
		" turn:alice:secret@192.0.2.1 ":                                    {"192.0.2.1:3478", "udp", "alice", "secret"},
		"turn:42:secret@192.0.2.1":                                         {"192.0.2.1:3478", "udp", "42", "secret"},
		"turn:42:sec:ret@192.0.2.1":                                        {"192.0.2.1:3478", "udp", "42", "sec:ret"},
		"turn:alice@192.0.2.1":                                             {"192.0.2.1:3478", "udp", "alice", ""},
		"turn:1700000000:alice:+/+/+/+/=@[2001:db8::1]:3479?transport=udp": {"[2001:db8::1]:3479", "udp", "1700000000:alice", "+/+/+/+/="},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if s := got.String(); s != want.Host {
			t.Errorf("it is called %q", s)
		}
	}
	for _, text := range []string{
		"", "turn", "turn:", "http://x", "turn:x?transport=sctp", "turns:x?transport=udp", "turn:x/y", "turn:me:secret@", "turn:me:secret@x:0",
		"turn:me:secret@x:70000", "turn:me:secret@x?y=z", "stun:x",
	} {
		s, err := Parse(text)
		if err == nil {
			t.Errorf("%q is %+v", text, s)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the password is in %v", text, err)
		}
	}
}

func TestExpired(t *testing.T) {
	now := time.Unix(1_700_000_100, 0)
	for user, want := range map[string]bool{
		"1700000000:alice": true, "1700000000": true, "1700000200:alice": false, "alice": false, "": false, "42:alice": false, "99999999999999999999": false,
	} {
		if at, ok := (Server{User: user}).Expired(now); ok != want || ok && at.Unix() != 1_700_000_000 {
			t.Errorf("%s: %v, %t", user, at, ok)
		}
	}
}
