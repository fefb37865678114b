package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/cmd/internal/program"
)

// names is a DNS with some hosts in it.
func names(_ context.Context, _, host string) ([]netip.Addr, error) {
	known := map[string]string{
		"twin.example": "192.0.2.9 192.0.2.1 2001:db8::9 2001:db8::1",
		"old.example":  "192.0.2.1",
		"stun":         "192.0.2.7",
		"six.example":  "2001:db8::1 2001:db8::2",
		"many.example": strings.Repeat("192.0.2.1 ", 3) + "192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7",
	}
	var found []netip.Addr
	for a := range strings.FieldsSeq(known[strings.ToLower(strings.TrimSuffix(host, "."))]) {
		found = append(found, netip.MustParseAddr(a))
	}
	if found == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, nil
}

// What people type for a server, and what is asked then: every address, at every port
// where it may answer.
func TestServersAsTyped(t *testing.T) {
	for _, test := range []struct {
		typed string
		six   bool
		asked string // addresses and ports, in order
		note  string
	}{
		{"192.0.2.1", false, "192.0.2.1:3478 192.0.2.1:1935", ""},
		{"192.0.2.1:99", false, "192.0.2.1:99", ""},
		{" 192.0.2.1:99\n", false, "192.0.2.1:99", ""},
		{"2001:db8::1", false, "[2001:db8::1]:3478 [2001:db8::1]:1935", ""},
		{"[2001:db8::1]", true, "[2001:db8::1]:3478 [2001:db8::1]:1935", ""},
		{"[2001:db8::1]:99", true, "[2001:db8::1]:99", ""},
		{"::ffff:192.0.2.1", false, "192.0.2.1:3478 192.0.2.1:1935", ""},
		{"old.example", false, "192.0.2.1:3478 192.0.2.1:1935", ""},
		{"old.example.:99", false, "192.0.2.1:99", ""},
		{"OLD.example", false, "192.0.2.1:3478 192.0.2.1:1935", ""},
		{"twin.example", false, "192.0.2.9:3478 192.0.2.1:3478 192.0.2.9:1935 192.0.2.1:1935", ""},
		{"twin.example:99", false, "192.0.2.9:99 192.0.2.1:99", ""},
		{"twin.example", true, "[2001:db8::9]:3478 [2001:db8::1]:3478 [2001:db8::9]:1935 [2001:db8::1]:1935", ""},
		{"six.example", true, "[2001:db8::1]:3478 [2001:db8::2]:3478 [2001:db8::1]:1935 [2001:db8::2]:1935", ""},
		{"many.example:1", false, "192.0.2.1:1 192.0.2.2:1 192.0.2.3:1 192.0.2.4:1 192.0.2.5:1 192.0.2.6:1", ""},

		{"stun:old.example", false, "192.0.2.1:3478 192.0.2.1:1935", ""},
		{"stun:old.example:99", false, "192.0.2.1:99", ""},
		{"STUN:old.example:99", false, "192.0.2.1:99", ""},
		{"stun://old.example:99", false, "192.0.2.1:99", ""},
		{"stun:[2001:db8::1]:99", false, "[2001:db8::1]:99", ""},
		{"stun:2001:db8::1", false, "[2001:db8::1]:3478 [2001:db8::1]:1935", ""},
		{"stun:192.0.2.1", false, "192.0.2.1:3478 192.0.2.1:1935", ""},
		{"turn:old.example", false, "192.0.2.1:3478 192.0.2.1:1935", ""},
		{"turn:old.example:99?transport=udp", false, "192.0.2.1:99", ""},
		{"turn:old.example:99?transport=tcp", false, "192.0.2.1:99", "UDP"},
		{"turn:me:secret@old.example:99", false, "192.0.2.1:99", "--turn"},
		{"stuns:old.example:5349", false, "192.0.2.1:3478 192.0.2.1:1935", "TLS"},
		{"turns:old.example", false, "192.0.2.1:3478 192.0.2.1:1935", "TLS"},
		{"turns:[2001:db8::1]:443?transport=tcp", false, "[2001:db8::1]:3478 [2001:db8::1]:1935", "TLS"},
		{"rtmfp://old.example", false, "192.0.2.1:1935", ""},
		{"rtmfp://old.example:19350/app/x", false, "192.0.2.1:19350", ""},
		{"rtmfp:old.example", false, "192.0.2.1:1935", ""},
		{"stun:99", false, "192.0.2.7:99", ""}, // a host of that name
		{"udp://old.example:99", false, "192.0.2.1:99", ""},
	} {
		s, err := resolver{find: names, v6: test.six}.resolve(t.Context(), test.typed)
		if err != nil {
			t.Errorf("%q: %v", test.typed, err)
			continue
		}
		var asked []string
		for _, a := range s.addrs {
			asked = append(asked, a.String())
		}
		if diff := cmp.Diff(test.asked, strings.Join(asked, " ")); diff != "" {
			t.Errorf("%q: %s", test.typed, diff)
		}
		if notes := strings.Join(s.notes, "\n"); (notes == "") != (test.note == "") || !strings.Contains(notes, test.note) || strings.Contains(notes, "secret") {
			t.Errorf("%q: notes %q", test.typed, notes)
		}
	}
}

// What cannot be asked is refused with what to type instead.
func TestServersThatCannotBe(t *testing.T) {
	for _, test := range []struct {
		typed string
		six   bool
		code  int
		says  []string
	}{
		{"", false, exitUsage, []string{"HOST[:PORT]"}},
		{"stun:", false, exitUsage, []string{"HOST[:PORT]"}},
		{"https://old.example/x", false, exitUsage, []string{"https:", "old.example"}},
		{"wss:old.example", false, exitUsage, []string{"wss:", "old.example"}},
		{"old.example:0", false, exitUsage, []string{`"0" is no port`}},
		{"old.example:", false, exitUsage, []string{`"" is no port`}},
		{"old.example:70000", false, exitUsage, []string{`"70000" is no port`}},
		{"old.example:stun", false, exitUsage, []string{`"stun" is no port`}},
		{"old.example/x", false, exitUsage, []string{"HOST[:PORT]"}},
		{"old.example,twin.example", false, exitUsage, []string{"--server", "of its own"}},
		{"old.example twin.example", false, exitUsage, []string{"--server", "of its own"}},
		{"192.0.2.1", true, exitUsage, []string{"192.0.2.1", "IPv4", "-6"}},
		{"0.0.0.0", false, exitUsage, []string{"0.0.0.0"}},
		{"224.0.0.1", false, exitUsage, []string{"224.0.0.1"}},
		{"six.example", false, exitUnsure, []string{"IPv6 addresses alone", "add -6"}},
		{"stun:six.example:3478", false, exitUnsure, []string{"IPv6 addresses alone", "add -6"}},
		{"old.example", true, exitUnsure, []string{"no IPv6 address", "without -6"}},
		{"nobody.example", false, exitUnsure, []string{"nobody.example is not found"}},
		{"stun:nobody.example:1", false, exitUnsure, []string{"nobody.example is not found"}},
	} {
		s, err := resolver{find: names, v6: test.six}.resolve(t.Context(), test.typed)
		var exit *program.ExitError
		if !errors.As(err, &exit) || exit.Code != test.code {
			t.Errorf("%q: %+v, %v", test.typed, s, err)
			continue
		}
		for _, says := range test.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%q: %v; want %q", test.typed, err, says)
			}
		}
	}
}

// A node is asked where it speaks RTMFP, at every address of its name.
func TestNodesAsTyped(t *testing.T) {
	for typed, want := range map[string]string{
		"old.example":         "192.0.2.1:1935",
		"old.example:99":      "192.0.2.1:99",
		"twin.example":        "192.0.2.9:1935 192.0.2.1:1935",
		"rtmfp://old.example": "192.0.2.1:1935",
		"192.0.2.1":           "192.0.2.1:1935",
	} {
		found, err := resolveNode(t.Context(), names, "--server", typed, false)
		var got []string
		for _, a := range found {
			got = append(got, a.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"stun:old.example:3478", "turn:old.example"} {
		_, err := resolveNode(t.Context(), names, "--server", typed, false)
		var exit *program.ExitError
		if !errors.As(err, &exit) || exit.Code != exitUsage || !strings.Contains(err.Error(), "rtmfp:") {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

// Over IPv6, servers of IPv4 are asked through a NAT64 if there is one, by whatever
// address or name.
func TestServersBehindNAT64(t *testing.T) {
	prefix := netip.MustParsePrefix("64:ff9b::/96")
	find := func(_ context.Context, _, host string) ([]netip.Addr, error) {
		switch host {
		case "dns64.example": // as DNS64 answers for a host of IPv4 alone
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("64:ff9b::c000:201")}, nil
		case "both.example":
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("64:ff9b::c000:201")}, nil
		}
		return names(t.Context(), "ip", host)
	}
	for typed, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:9 64:ff9b::/96", "64:ff9b::c000:201": "192.0.2.1:9 64:ff9b::/96", "dns64.example": "192.0.2.1:9 64:ff9b::/96",
		"old.example": "192.0.2.1:9 64:ff9b::/96", "both.example": "[2001:db8::1]:9 invalid Prefix", "2001:db8::1": "[2001:db8::1]:9 invalid Prefix",
	} {
		if strings.Contains(typed, "::") {
			typed = "[" + typed + "]"
		}
		s, err := resolver{find: find, v6: true, nat64: prefix}.resolve(t.Context(), typed+":9")
		if err != nil || s.addrs[0].String()+" "+s.nat64.String() != want {
			t.Errorf("%s: %+v, %v; want %s", typed, s, err, want)
		}
	}
}
