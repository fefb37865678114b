package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// places of secrets, each with a value to be filled in, and whether many go by it.
var secretPlaces = []struct {
	text string
	many bool
}{
	{"hooks: {url: 'http://core.example/', secret: %s}", true},
	{"cores: {keys: {a: %s}}\nhostname: a", true},
	{"tenants: {a: {keys: [k], token: require, secret: %s}}", true},
	{"tenants: {a: {keys: [k], secret: %s}}", true},
	{"tenants: {a: {keys: [k], api_token: %s}}", true},
	{"turn: {secrets: [%s]}", true},
	{"turn: {secrets: [0123456789abcdef, %s]}", true},
	{"turn: {users: {ann: %s}}", false},
	{"admin: {listen: '0.0.0.0:8935', insecure: true, token: %s}", true},
	{"admin: {listen: '127.0.0.1:8935', hosts: [node.example], token: %s}", true},
	{"admin: {listen: '127.0.0.1:8935', token: %s}", false},
}

// One rule holds for all secrets: each value is refused, warned of or taken, wherever it is written.
func TestSecrets(t *testing.T) {
	for _, test := range []struct {
		value     string
		many, one string // why it is refused; "warn:" and what is told; "" is taken
	}{
		{`""`, "has 0 bytes", "is empty"},
		{`"short"`, "has 5 bytes, at least 16", "warn:has 5 bytes"},
		{`"fifteen bytes!!"`, "has 15 bytes", ""},
		{`"0123456789abcdef"`, "", ""},
		{`"${SECRET}"`, "that nobody filled in", "that nobody filled in"},
		{`"${TURN_SHARED_SECRET}"`, "that nobody filled in", "that nobody filled in"},
		{`"$TURN_SHARED_SECRET"`, "that nobody filled in", "that nobody filled in"},
		{`"{{ turn_shared_secret }}"`, "that nobody filled in", "that nobody filled in"},
		{`"<your secret goes here>"`, "that nobody filled in", "that nobody filled in"},
		{`"changeme"`, "has 8 bytes", "warn:an example that everybody knows"},
		{`"change-me-change-me"`, "an example that everybody knows", "warn:an example that everybody knows"},
		{`"Secret_Secret_Secret"`, "an example that everybody knows", "warn:an example that everybody knows"},
		{`"xxxxxxxxxxxxxxxxxxxx"`, "an example that everybody knows", "warn:an example that everybody knows"},
		{`"0123456789abcdef\n"`, "ends with a line break", "ends with a line break"},
		{`" 0123456789abcdef"`, "begins or ends with a line break or space", "begins or ends"},
		{`"correct horse battery staple"`, "", ""},
		{`"$2b$10$N9qo8uLOickgx2ZMRZoMye"`, "", ""},
		{`"xK0xQ2xxxxYxxxxx"`, "", ""},
	} {
		for _, place := range secretPlaces {
			c, err := Parse("x.yaml", fmt.Appendf(nil, place.text, test.value))
			if err != nil {
				t.Fatalf("%s: %v", place.text, err)
			}
			want := test.one
			if place.many {
				want = test.many
			}
			none := test.value == `""` && (strings.Contains(place.text, "api_token") || strings.Contains(place.text, "admin")) // then there is none
			if none || strings.Contains(place.text, "keys: [k], secret") && test.value == `""` {
				continue
			}
			if strings.HasPrefix(want, "warn:has") && !strings.Contains(place.text, "users") {
				want = "" // who is on the machine is trusted with a short one
			}
			text := func(errs ...error) string {
				var b strings.Builder
				for _, err := range errs {
					if err != nil {
						b.WriteString(err.Error() + "\n")
					}
				}
				return b.String()
			}
			refused, warned := text(c.Validate()), text(c.Warnings()...)
			warning, warn := strings.CutPrefix(want, "warn:")
			switch {
			case warn && (refused != "" || !strings.Contains(warned, warning)),
				!warn && want != "" && (!strings.Contains(refused, want) || !strings.HasPrefix(refused, "x.yaml:1: ")),
				want == "" && (refused != "" || warned != ""):
				t.Errorf("%s in %s: refused %q, warned %q, want %q", test.value, place.text, refused, warned, want)
			}
			if v := strings.Trim(test.value, `"`); len(v) > 9 && strings.Contains(refused+warned, v) {
				t.Errorf("a secret is told: %q", refused+warned)
			}
		}
	}
}

// A file that everybody can read must hold no secrets; nor must a private key be such.
func TestReadableByAll(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: a file's mode says nothing there")
	}
	dir := t.TempDir()
	file, key := filepath.Join(dir, "node.yaml"), filepath.Join(dir, "key.pem")
	for _, test := range []struct {
		text      string
		mode, key os.FileMode
		want      int
	}{
		{"turn: {users: {ann: wonderland}}", 0o644, 0, 1},
		{"turn: {users: {ann: wonderland}}", 0o640, 0, 0},
		{"hostname: node.example", 0o644, 0, 0},
		{"admin: {tls: {cert: x, key: " + key + "}}", 0o640, 0o644, 1},
		{"admin: {tls: {cert: x, key: " + key + "}}", 0o640, 0o600, 0},
		{"turn: {tls: {cert: x, key: " + key + "}}", 0o640, 0o644, 1},
	} {
		for name, mode := range map[string]os.FileMode{file: test.mode, key: test.key} {
			if err := os.WriteFile(name, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		c, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Warnings(); len(got) != test.want {
			t.Errorf("%q with %v: %v, want %d warnings", test.text, test.mode, got, test.want)
		} else if test.want > 0 && !strings.Contains(got[0].Error(), "everybody on this machine can read it") {
			t.Errorf("%q: %v", test.text, got)
		}
	}
}

// A default that gives way is told.
func TestWarnsOfPortsThatGiveWay(t *testing.T) {
	c, err := Parse("x.yaml", []byte("turn: {listen: [443]}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Warnings(); c.Validate() != nil || len(got) != 1 || got[0].Error() != "relay.extra: port 443 belongs to turn.listen, and is left out here" {
		t.Errorf("%v", got)
	}
}
