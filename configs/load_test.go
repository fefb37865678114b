package configs

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compare = cmp.Options{
	cmpopts.IgnoreUnexported(Config{}),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b AdminListen) bool { return a == b }),
	cmp.Comparer(func(a, b Listen) bool { return a == b }),
}

// The manual must tell the truth: it is the defaults, and leaves no key out.
func TestManualIsTheDefaults(t *testing.T) {
	c, err := Load("pileus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c, compare); diff != "" {
		t.Errorf("pileus.yaml is not the defaults (-default +file):\n%s", diff)
	}
	for _, key := range Keys() {
		if _, ok := c.Origin(key); !ok {
			t.Errorf("pileus.yaml does not mention %s", key)
		}
	}
	text, err := os.ReadFile("pileus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, key := range Keys() {
		o, _ := c.Origin(key)
		if marked := strings.Contains(lines[o.Line-1], "(R)"); marked != Reloadable(key) {
			t.Errorf("%s: marked (R) in pileus.yaml %v, in the code %v", key, marked, !marked)
		}
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestParseEverything(t *testing.T) {
	c, err := Parse("x.yaml", []byte(`
listen: [":1935", "192.0.2.1:1936", "[2001:db8::1]:1937", 1938]
hostname: node.example
hmac: require
max_message: 1MiB
public: {10.0.0.5: 198.51.100.7, "fd00::5": "2001:db8::7"}
alternate: [192.0.2.2]
probe: {ports: 1950, rate: 100/s, find_alternate: false}
relay: {ports: 30000-30009, extra: [80, 443], idle: 90s, max_lifetime: 2h, allow_private: true, allow_onlink: [203.0.113.9/24, "2001:db8::1"]}
stun: {ports: []}
turn: {listen: ["192.0.2.1:3478"], tls: {listen: [], cert: c.pem, key: k.pem}, ports: 50000-50010, users: {ann: "1234"}, secrets: [0123456789abcdef], alternates: [192.0.2.3]}
limits: {splice: 2mbit, peer: 500kbit, tenant: 1gbit, node: 64bit, splices: {peer: 3, prefix: 5, total: 7}, allocations: {peer: 4, prefix: 6, total: 8}, bytes_per_day: {peer: 1GiB, tenant: 2GB}, memory: 256MiB, sessions: 9, share: {peer: 2%, target: 13%, prefix: 11%, wide: 12%}, unread: 32KiB, handshakes_per_prefix: 5/s, answers_per_prefix: 6/s, pending_introductions: 4, introductions: 21, introductions_per_target: 22/s, strangers: 23/s, names: 24, watches: 25, follows: 26, memberships: 27, questions: 28, broadcasts: 29, message: 30KiB, messages: {sender: 31kbit, receiver: 32kbit, node: 33kbit}}
tenants: {acme: {keys: [k1, k2], token: require, secret: 0123456789abcdef, peers: 5, bandwidth: 3mbit, splices: 6, bytes_per_day: 1GB}}
presence: {name_arg: 1}
introduce:
  anonymous: true
hooks: {url: "http://127.0.0.1/", secret: 0123456789abcdef, ask: [connect], tell: [closed], timeout: 1s, when_down: allow, verdict: 5s, queue: 10}
cores: {keys: {a: 0123456789abcdef}, other_families: true}
admin: {listen: "", token: t, tls: {cert: c.pem, key: k.pem}, insecure: true, hosts: [node.example]}
log: {level: debug, format: json, addresses: prefix}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Listen: []Listen{
			ListenPort(1935),
			ListenAddr(netip.MustParseAddrPort("192.0.2.1:1936")),
			ListenAddr(netip.MustParseAddrPort("[2001:db8::1]:1937")),
			ListenPort(1938),
		},
		Hostname:   "node.example",
		HMAC:       HMACRequire,
		MaxMessage: 1 << 20,
		Public: map[netip.Addr]netip.Addr{
			netip.MustParseAddr("10.0.0.5"): netip.MustParseAddr("198.51.100.7"),
			netip.MustParseAddr("fd00::5"):  netip.MustParseAddr("2001:db8::7"),
		},
		Alternate: []netip.Addr{netip.MustParseAddr("192.0.2.2")},
		Probe:     Probe{Ports: PortRange{1950, 1950}, Rate: 100},
		Relay: Relay{
			Ports: PortRange{30000, 30009}, Extra: []Port{80, 443},
			Idle: 90 * time.Second, MaxLifetime: 2 * time.Hour, AllowPrivate: true,
			AllowOnLink: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
		},
		STUN: STUN{Ports: []Port{}},
		TURN: TURN{
			Listen: []Listen{ListenAddr(netip.MustParseAddrPort("192.0.2.1:3478"))},
			TLS:    TURNTLS{Listen: []Listen{}, Cert: "c.pem", Key: "k.pem"},
			Ports:  PortRange{50000, 50010}, Users: map[string]string{"ann": "1234"}, Secrets: []string{"0123456789abcdef"},
			Alternates: []netip.Addr{netip.MustParseAddr("192.0.2.3")},
		},
		Limits: Limits{
			Splice: 2e6, Peer: 500e3, Tenant: 1e9, Node: 64,
			Splices: RelayQuota{3, 5, 7}, Allocations: RelayQuota{4, 6, 8}, BytesPerDay: DayQuota{1 << 30, 2e9},
			Memory: Memory{Bytes: 256 << 20}, Sessions: 9, Share: Shares{2, 13, 11, 12}, Unread: 32 << 10,
			HandshakesPerPrefix: 5, AnswersPerPrefix: 6, PendingIntroductions: 4,
			Introductions: 21, IntroductionsPerTarget: 22, Strangers: 23, Names: 24, Watches: 25, Follows: 26, Memberships: 27,
			Questions: 28, Broadcasts: 29, Message: 30 << 10, Messages: MessageRates{31e3, 32e3, 33e3},
		},
		Tenants: map[string]Tenant{"acme": {
			Keys: []string{"k1", "k2"}, Token: TokenRequire, Secret: "0123456789abcdef", Peers: 5,
			Bandwidth: 3e6, Splices: 6, BytesPerDay: 1e9,
		}},
		Presence:  Presence{NameArg: 1},
		Introduce: Introduce{Anonymous: true},
		Hooks: Hooks{
			URL: "http://127.0.0.1/", Secret: "0123456789abcdef", Ask: []HookAsk{AskConnect}, Tell: []HookTell{TellClosed},
			Timeout: time.Second, WhenDown: WhenDownAllow, Verdict: 5 * time.Second, Queue: 10,
		},
		Cores: Cores{Keys: map[string]string{"a": "0123456789abcdef"}, OtherFamilies: true},
		Admin: Admin{Token: "t", TLS: AdminTLS{"c.pem", "k.pem"}, Insecure: true, Hosts: []string{"node.example"}},
		Log:   Log{Level: LevelDebug, Format: FormatJSON, Addresses: AddressesPrefix},
	}
	if diff := cmp.Diff(want, c, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if o, ok := c.Origin("introduce.anonymous"); !ok || o.String() != "x.yaml:16" {
		t.Errorf("introduce.anonymous stood at %v, %v", o, ok)
	}
}

func TestEmptyFilesAreTheDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "relay:\n", "relay:\n  # idle: 5s\n", "{}"} {
		c, err := Parse("x.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(Default(), c, compare); diff != "" {
			t.Errorf("%q (-default +got):\n%s", text, diff)
		}
	}
}

func TestMistakesNameTheirLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"listen: [\":1935\"]\nlisten_on: []", "x.yaml:2: listen_on: there is no such key; did you mean listen?"},
		{"relay:\n  idel: 60s", "x.yaml:2: relay.idel: there is no such key; did you mean idle?"},
		{"anonymous: true", "x.yaml:1: anonymous: there is no such key; did you mean introduce.anonymous?"},
		{"introduce.anonymous: true", "did you mean introduce.anonymous?"},
		{"log: {colour: red}", "x.yaml:1: log.colour: there is no such key; log has level, format, addresses"},
		{"hmac: requir", `x.yaml:1: hmac: "requir" is not one of offer, require; did you mean require?`},
		{"hmac: on", `is not one of offer, require`},
		{"\n\nmax_message: 65536", `x.yaml:3: max_message: "65536" is not a size such as 64KiB: the unit is missing`},
		{"max_message: 64Kb", `"Kb" is not one of its units TiB, GiB, MiB, KiB, TB, GB, MB, kB, B`},
		{"max_message: 99999999999GiB", "too large"},
		{"max_message: -1KiB", "is not a size"},
		{"relay: {idle: 60}", `x.yaml:1: relay.idle: "60" is not a duration such as 60s, 250ms or 2h: the unit is missing`},
		{"relay: {idle: -60s}", "is not a duration"},
		{"relay: {idle: soon}", "is not a duration"},
		{"relay: {allow_private: 1}", `relay.allow_private: "1" is not true or false`},
		{"relay: {allow_private: yes}", `"yes" is not true or false`},
		{"relay: {ports: 20-10}", "its first port is above its last"},
		{"relay: {ports: 0-10}", "is not a range of ports"},
		{"relay: {ports: 1-65536}", "is not a range of ports"},
		{"relay: {allow_onlink: [203.0.113]}", `relay.allow_onlink: "203.0.113" is not a network such as`},
		{"relay: {extra: 443}", "relay.extra: \"443\" is not a list; write it in brackets"},
		{"relay: {extra: [0]}", "is not a port"},
		{"relay: [1]", "relay: a list is not a section of keys and values"},
		{"limits: {splice: 2Mbps}", `"Mbps" is not one of its units gbit, mbit, kbit, bit`},
		{"limits: {memory: 256}", "is not a size such as 256MiB, a part such as 25%, or 0"},
		{"limits: {memory: 101%}", "is not a percentage such as 10%"},
		{"limits: {share: {wide: 10}}", "is not a percentage such as 10%"},
		{"limits: {handshakes_per_prefix: 20}", "is not a rate such as 20/s: the unit is missing"},
		{"limits: {pending_introductions: 1.5}", `"1.5" is not a whole number`},
		{"limits: {pending_introductions: }", "has no value; it wants a whole number"},
		{"listen: [localhost:1935]", `"localhost" is not an IP address, and names are not looked up here`},
		{"listen: [192.0.2.1]", `the port is missing, try "192.0.2.1:1935"`},
		{"listen: ['2001:db8::1']", `the port is missing, try "[2001:db8::1]:1935"`},
		{"listen: [':65536']", "is not an address to listen on"},
		{"listen: {a: b}", "listen: a section of keys is not a list"},
		{"listen: [[a]]", "listen: a list is not one value"},
		{"alternate: ['192.0.2.2:1935']", "without a port"},
		{"public: {a: 192.0.2.1}", `x.yaml:1: public: "a" is not an IP address`},
		{"public: {10.0.0.5: b}", `x.yaml:1: public.10.0.0.5: "b" is not an IP address`},
		{"public: {10.0.0.5: 192.0.2.1, '::ffff:10.0.0.5': 192.0.2.2}", "is there twice"},
		{"hostname: 7", `hostname: "7" is not a text; put it in quotes`},
		{"turn: {users: {ann: 1234}}", `turn.users.ann: "1234" is not a text; put it in quotes`},
		{"hmac: offer\nhmac: offer", "x.yaml:2: "},
		{"a: [", "x.yaml:1: "},
		{"listen: &x [1]", "anchors, aliases and tags are not used here"},
		{"listen: !!seq [1]", "anchors, aliases and tags are not used here"},
		{"<<: {}", "is not a plain key"},
		{"? [a]\n: b", "invalid key"},
		{"just text", `"just text" is not a section`},
		{"a: 1\n---\nb: 2", "holds 2 YAML documents"},
		{strings.Repeat("#", 2*maxFile+1), "larger than 1MiB"},
	} {
		_, err := Parse("x.yaml", []byte(test.text))
		if len(test.text) > 100 {
			test.text = test.text[:100]
		}
		if err == nil {
			t.Errorf("%q: no error", test.text)
			continue
		}
		if !strings.HasPrefix(err.Error(), "x.yaml:") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %q\n  wants %q", test.text, err, test.want)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%q: %T is not an *Error", test.text, err)
		}
	}
}

// What other systems write is read, or refused in a line that says what to do.
func TestFilesOfOtherSystems(t *testing.T) {
	utf16 := func(text string) string {
		b := "\xff\xfe"
		for _, c := range []byte(text) {
			b += string(rune(c)) + "\x00"
		}
		return b
	}
	for _, text := range []string{
		"\ufefflisten: [1936]\n", utf16("listen: [1936]\r\n"), "listen: [1936]\r\n", "listen:\t[1936]\n", "listen: [ 1936 ]\t# tab\n",
	} {
		if c, err := Parse("x.yaml", []byte(text)); err != nil || len(c.Listen) != 1 || c.Listen[0] != ListenPort(1936) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, test := range []struct{ text, want string }{
		{"relay:\n\tidle: 60s\n", "x.yaml:2: YAML is not indented with tabs; use spaces"},
		{"relay:\n  idle: 60s\n\textra: []\n", "x.yaml:3: YAML is not indented with tabs; use spaces"},
		{"\thostname: x\n", "x.yaml:1: YAML is not indented with tabs; use spaces"},
		{"\x7fELF\x02\x01" + strings.Repeat("\x00\xff\x03", 1000), "x.yaml: is no text: "},
		{"\x89PNG\r\n\x1a\n", "x.yaml: is no text: "},
		{"hostname: n\xf6de\n", "x.yaml: is no UTF-8, from line 1 on; save it as UTF-8"},
		{"{" + strings.Repeat("x", 5000), "x.yaml:1: "},
		{"listen: [[::1]:1935]\n", `an address in brackets goes in quotes, as in ["[::1]:1935"]`},
		{"turn: {secrets: [\"0123456789abcdef\\n\"]}", "x.yaml:1: turn.secrets: begins or ends with a line break"},
		{"turn:\n  secrets:\n    - |\n      0123456789abcdef\n", "x.yaml:2: turn.secrets: begins or ends with a line break"},
	} {
		c, err := Parse("x.yaml", []byte(test.text))
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80q: %q, want %q", test.text, err, test.want)
		}
	}
}

// Addresses of IPv6 need no quotes where YAML wants none.
func TestAddressesInFlow(t *testing.T) {
	a := netip.MustParseAddr
	for text, want := range map[string][]netip.Addr{
		"turn: {alternates: [fd00::2]}":                                    {a("fd00::2")},
		"turn: {alternates: [fd00::2, 2001:db8::3 ,192.0.2.1], users: {}}": {a("fd00::2"), a("2001:db8::3"), a("192.0.2.1")},
		"turn: {alternates: [::2]}":                                        {a("::2")},
		"turn: {alternates: [ 2001:db8:: ]}":                               {a("2001:db8::")},
		"turn: {alternates: [2001:db8:0:0:0:0:0:1]}":                       {a("2001:db8::1")},
		"turn: {alternates: ['fd00::2', \"fd00::3\"]}":                     {a("fd00::2"), a("fd00::3")},
		"turn: {alternates: [::ffff:192.0.2.1]}":                           {a("192.0.2.1")},
		"turn:\n  alternates: [fd00::2,\n    fd00::3]":                     {a("fd00::2"), a("fd00::3")},
		"turn:\n  alternates:\n  - fd00::2\n":                              {a("fd00::2")},
	} {
		c, err := Parse("x.yaml", []byte(text))
		if err != nil || !slices.Equal(c.TURN.Alternates, want) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
	for _, text := range []string{
		"public: {fd00::1: 2001:db8::7, 10.0.0.1: 192.0.2.1}",
		"public: {fd00::1:  2001:db8::7 , 10.0.0.1: 192.0.2.1}",
		"public: {'fd00::1': 2001:db8::7, 10.0.0.1: 192.0.2.1}",
		"{public: {fd00::1: 2001:db8::7, 10.0.0.1: 192.0.2.1}}",
	} {
		c, err := Parse("x.yaml", []byte(text))
		if err != nil || len(c.Public) != 2 || c.Public[a("fd00::1")] != a("2001:db8::7") || c.Public[a("10.0.0.1")] != a("192.0.2.1") {
			t.Errorf("%q: %v, %v", text, c.Public, err)
		}
	}
	c, err := Parse("x.yaml", []byte("relay: {allow_onlink: [2001:db8::/32, fd00::1/64], idle: 90s}\nlog: {level:debug}"))
	if err != nil || len(c.Relay.AllowOnLink) != 2 || c.Relay.AllowOnLink[0] != netip.MustParsePrefix("2001:db8::/32") || c.Log.Level != LevelDebug {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := Parse("x.yaml", []byte("hmca: offer\nlog: {level: loud}\n"))
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("two mistakes, told: %v", err)
	}
}

func TestLoadNamesAMissingFile(t *testing.T) {
	if _, err := Load("none.yaml"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("%v", err)
	}
}
