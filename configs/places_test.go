package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func ips(s ...string) []netip.Addr {
	list := make([]netip.Addr, len(s))
	for i := range s {
		list[i] = netip.MustParseAddr(s[i])
	}
	return list
}

// Each port has one use: where clients connect first, then what was written, then the defaults; STUN and TURN share.
func TestSockets(t *testing.T) {
	const quiet = "probe: {ports: off}\nrelay: {ports: off, extra: []}\nadmin: {listen: off}\n"
	machine := ips("198.51.100.1", "127.0.0.1", "2001:db8::1")
	for _, test := range []struct {
		text, want, taken string
	}{
		{
			"listen: ['198.51.100.1:1935']\n" + quiet,
			"main 198.51.100.1:1935, stun 198.51.100.1:3478 with TURN, stun 198.51.100.1:3479, turn-tcp 198.51.100.1:3478", "",
		},
		{ // a default gives way to a written key, at the address that it is about
			"listen: ['198.51.100.1:1935', '127.0.0.1:3478']\n" + quiet,
			"main 198.51.100.1:1935, main 127.0.0.1:3478, stun 198.51.100.1:3478 with TURN, stun 198.51.100.1:3479, stun 127.0.0.1:3479, turn-tcp 198.51.100.1:3478, turn-tcp 127.0.0.1:3478",
			"stun 127.0.0.1:3478, turn 127.0.0.1:3478",
		},
		{ // what was written is shared, too, and must be there
			"listen: ['198.51.100.1:1935']\nturn: {listen: [3478]}\n" + quiet,
			"main 198.51.100.1:1935, stun! 198.51.100.1:3478 with TURN, turn-tcp! 198.51.100.1:3478, stun 198.51.100.1:3479", "",
		},
		{
			"listen: ['[::]:1935', '198.51.100.1:1935']\nstun: {ports: []}\nturn: {listen: []}\n" + quiet,
			"main 2001:db8::1 1935, main 198.51.100.1:1935", "",
		},
		{ // the range that allocations are taken from is nobody else's
			"listen: ['198.51.100.1:1935']\nturn: {listen: [], ports: 3000-3478}\n" + quiet,
			"main 198.51.100.1:1935, stun 198.51.100.1:3479", "stun 198.51.100.1:3478",
		},
		{
			"listen: ['198.51.100.1:1935']\nalternate: [127.0.0.1]\nstun: {ports: []}\nturn: {listen: []}\n" + quiet,
			"main 198.51.100.1:1935, alternate! 127.0.0.1:1935", "",
		},
		{ // port 0 is as many as are asked for
			"listen: ['198.51.100.1:0', '198.51.100.1:0']\nstun: {ports: []}\nturn: {listen: []}\n" + quiet,
			"main 198.51.100.1:0, main 198.51.100.1:0", "",
		},
	} {
		c, err := Parse("x.yaml", []byte(test.text))
		if err != nil {
			t.Fatal(err)
		}
		words := func(list []Socket) string {
			text := make([]string, len(list))
			for i, s := range list {
				text[i] = fmt.Sprintf("%v %v", s.Use, s.At)
				if s.Named && s.Use != UseMain {
					text[i] = fmt.Sprintf("%v! %v", s.Use, s.At)
				}
				if s.TURN && s.Use == UseSTUN {
					text[i] += " with TURN"
				}
			}
			return strings.ReplaceAll(strings.Join(text, ", "), "[2001:db8::1]:", "2001:db8::1 ")
		}
		sockets, taken := Sockets(c.Places(), machine)
		if words(sockets) != test.want || words(taken) != test.taken {
			t.Errorf("%q:\n   %s\n   taken: %s\nwant\n   %s\n   taken: %s", test.text, words(sockets), words(taken), test.want, test.taken)
		}
	}
}

// Allocations get the longest run that no written key has.
func TestAllocationPorts(t *testing.T) {
	for text, want := range map[string]PortRange{
		"":                                      {49152, 65535},
		"relay: {ports: 50000-50999}":           {51000, 65535},
		"relay: {ports: 60000-65535}":           {49152, 59999},
		"relay: {ports: 49152-65535}":           {},
		"turn: {ports: 20000-20999}":            {20000, 20999},
		"relay: {ports: 55000, extra: [60000]}": {49152, 54999},
	} {
		c, err := Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.AllocationPorts(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Of every key that names ports a place is made: none is forgotten by whom it is about.
func TestPlacesKnowAllPorts(t *testing.T) {
	c := Default()
	c.Alternate = ips("192.0.2.2")
	c.TURN.TLS.Cert = "cert.pem"
	places := c.Places()
	for u := range NumUses {
		if !slices.ContainsFunc(places, func(p Place) bool { return p.Use == u }) {
			t.Errorf("no place is for %v", u)
		}
	}
}
