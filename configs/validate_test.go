package configs

import (
	"encoding"
	"fmt"
	"strings"
	"testing"
)

func TestValidateRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"listen: []", "x.yaml:1: listen: is empty"},
		{"listen: [':1935', 1935]", "listen: :1935 is there twice"},
		{"hostname: a b", "is not a host name"},
		{"max_message: 10B", "max_message: 10B is not between 1KiB and 16MiB"},
		{"max_message: 17MiB", "is not between"},
		{"relay: {idle: 5s}", "relay.idle: 5s is shorter than 30s"},
		{"probe: {rate: 0}", "probe.rate: must be above 0"},
		{"limits: {memory: 1MiB}", "limits.memory: 1MiB is less than 8MiB"},
		{"limits: {sessions: -1}", "limits.sessions: -1 is below 0"},
		{"limits: {share: {prefix: 60%}}", "limits.share: prefix, 60%, is more than wide, 50%"},
		{"limits: {share: {peer: 11%}}", "limits.share: peer, 11%, is more than prefix, 10%"},
		{"limits: {names: -1}", "limits.names: -1 is not between 0, which is any number, and 1073741824"},
		{"limits: {message: 100B}", "limits.message: 100B is not between 1KiB and 16MiB, nor 0"},
		{"limits: {unread: 1KiB}", "limits.unread: 1KiB is not between 16KiB and 64MiB"},
		{"limits: {pending_introductions: -1}", "must be above 0"},
		{"presence: {name_arg: 17}", "is not between 0 (off) and 16"},
		{"turn: {alternates: [0.0.0.0]}", "turn.alternates: 0.0.0.0 is not the address of one node"},
		{"turn: {alternates: [192.0.2.1, 192.0.2.1]}", "turn.alternates: 192.0.2.1 is there twice"},
		{"turn: {tls: {cert: a}}", "cert and key go together"},
		{"alternate: [0.0.0.0]", "is not the address of one interface"},
		{"alternate: [192.0.2.1, 192.0.2.1]", "is there twice"},
		{"public: {0.0.0.0: 192.0.2.1}", "is not the address of one interface"},
		{"public: {10.0.0.1: 224.0.0.1}", "is not an address that others could send to"},
		{"public: {10.0.0.1: '2001:db8::1'}", "are not of one family"},
		{"public: {10.0.0.1: 192.0.2.1, 10.0.0.2: 192.0.2.1}", "stands for both 10.0.0.1 and 10.0.0.2"},
		{"admin: {listen: '224.0.0.1:80'}", "is a multicast address"},
		{"admin: {listen: '0.0.0.0:8935'}", "can be reached from other machines; set admin.token"},
		{"admin: {listen: '0.0.0.0:8935', token: t}", "set admin.tls, or admin.insecure"},
		{"admin: {tls: {cert: a}}", "cert and key go together"},
		{"hooks: {url: core.example, secret: 0123456789abcdef}", "is not a URL such as"},
		{"hooks: {url: 'http://core.example/?a', secret: 0123456789abcdef}", "no query"},
		{"hooks: {url: 'http://core.example/', secret: short}", "hooks.secret: has 5 bytes"},
		{"hooks: {timeout: 0}", "hooks.timeout: must be above 0"},
		{"hooks: {queue: 0}", "is not between 1"},
		{"cores: {keys: {a: 0123456789abcdef}}", "set hostname"},
		{"cores: {keys: {a: short}}\nhostname: a", "has 5 bytes"},
		{"tenants: {acme: {}}", "acme has no keys"},
		{"tenants: {'a b': {keys: [k]}}", "a tenant's name has"},
		{"tenants: {default: {keys: [k]}}", "it has none"},
		{"tenants: {a: {keys: [k]}, b: {keys: [k]}}", "a key belongs to both a and b"},
		{"tenants: {a: {keys: [k/]}}", "without /"},
		{"tenants: {a: {keys: [k], token: require}}", "a: secret has 0 bytes, at least 16 are wanted"},
		{"tenants: {a: {keys: [k], api_token: 0123456789abcdef}, b: {keys: [l], api_token: 0123456789abcdef}}", "b has the api_token of a"},
		{"relay:\n  ports: 1900-1999\nlisten: [1935]", "x.yaml:2: relay.ports: port 1935 belongs to listen too"},
		{"relay: {ports: 100-200}\nprobe: {ports: 150-300}", "port 150-200 belongs to probe.ports too"},
		{"relay: {extra: [80, 80]}", "relay.extra: 80 is there twice"},
		{"stun: {ports: [9, 9]}", "stun.ports: 9 is there twice"},
		{"stun: {ports: [80]}\nrelay: {extra: [80]}", "stun.ports: port 80 belongs to relay.extra too"},
	} {
		c, err := Parse("x.yaml", []byte(test.text))
		if err != nil {
			t.Errorf("%q does not parse: %v", test.text, err)
			continue
		}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v\n  wants %q", test.text, err, test.want)
		}
	}
}

func TestValidateAccepts(t *testing.T) {
	for _, text := range []string{
		"",
		"listen: [':0', ':0']",
		"listen: [1936]", // a default port of the probes gives way
		"stun: {ports: [3478]}\nturn: {listen: [3478]}", // they share by design
		"admin: {listen: off}",
		"admin: {listen: '0.0.0.0:8935', token: 0123456789abcdef, insecure: true}",
		"tenants: {default: {closed: true}, acme: {keys: [a, b]}}",
	} {
		c, err := Parse("x.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q does not parse: %v", text, err)
			continue
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A value prints as it is written.
func TestUnitsPrintAsWritten(t *testing.T) {
	for _, test := range []struct{ text, size string }{
		{"64KiB", "64KiB"}, {"1048576B", "1MiB"}, {"64kB", "64kB"}, {"1023B", "1023B"}, {"0", "0"},
	} {
		var s Size
		if err := s.UnmarshalText([]byte(test.text)); err != nil || s.String() != test.size {
			t.Errorf("size %s prints as %v, %v", test.text, s, err)
		}
	}
	for _, text := range []string{"2mbit", "500kbit", "1gbit", "1bit", "0"} {
		var r BitRate
		if err := r.UnmarshalText([]byte(text)); err != nil || r.String() != text {
			t.Errorf("bit rate %s prints as %v, %v", text, r, err)
		}
	}
	for _, text := range []string{":1935", "192.0.2.1:1935", "[2001:db8::1]:1935", "0.0.0.0:1935"} {
		var l Listen
		if err := l.UnmarshalText([]byte(text)); err != nil || l.String() != text {
			t.Errorf("listen %s prints as %v, %v", text, l, err)
		}
	}
	for _, text := range []string{"1936-1943", "1936", "off"} {
		var r PortRange
		if err := r.UnmarshalText([]byte(text)); err != nil || r.String() != text {
			t.Errorf("range %s prints as %v, %v", text, r, err)
		}
	}
}

// What parses, prints and parses again is the same value. (The YAML library
// itself is not fuzzed: the file is the operator's own.)
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"64KiB", "2mbit", "20/s", "1936-1943", ":1935", "[::1]:1935", "443", "0", "-1", "offer"} {
		f.Add(s)
	}
	type value interface {
		encoding.TextUnmarshaler
		fmt.Stringer
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, pair := range [][2]value{
			{new(Size), new(Size)},
			{new(BitRate), new(BitRate)},
			{new(Rate), new(Rate)},
			{new(PortRange), new(PortRange)},
			{new(Listen), new(Listen)},
			{new(AdminListen), new(AdminListen)},
		} {
			if pair[0].UnmarshalText([]byte(text)) != nil {
				continue
			}
			printed := pair[0].String()
			if err := pair[1].UnmarshalText([]byte(printed)); err != nil || pair[1].String() != printed {
				t.Errorf("%T %q prints as %q, which reads as %q, %v", pair[0], text, printed, pair[1], err)
			}
		}
	})
}
