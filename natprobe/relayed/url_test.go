package relayed

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]Server{
		"turn:alice:secret@192.0.2.1":                    {"192.0.2.1:3478", "udp", "alice", "secret"},
		"turn:alice:secret@host.example?transport=tcp":   {"host.example:3478", "tcp", "alice", "secret"},
		"turns:a:b@host.example:443":                     {"host.example:443", "tls", "a", "b"},
		"turn:host.example:3479":                         {"host.example:3479", "udp", "", ""},
		"turn:1700000000%3Aalice:c2VjcmV0@[2001:db8::1]": {"[2001:db8::1]:3478", "udp", "1700000000:alice", "c2VjcmV0"},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if s := got.String(); s != want.Host {
			t.Errorf("it is called %q", s)
		}
	}
	for _, text := range []string{"", "turn", "turn:", "http://x", "turn:x?transport=sctp", "turns:x?transport=udp", "turn:x/y"} {
		if s, err := Parse(text); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
}
