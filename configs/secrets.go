package configs

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

const (
	// minSecret is the least length of what signs or opens something for many, in
	// bytes: one that is shorter can be guessed from what it signed.
	minSecret = 16
	// shortPassword is the length of one user's password, in bytes, below which a
	// warning says that it can be tried out.
	shortPassword = 8
)

// A secret is a value that opens or signs something.
type secret struct {
	key   string // where it is written
	of    string // whose it is, if a key has several; ""
	value string
	many  bool // whoever knows it opens or signs for many
}

// secrets lists every secret of the configuration that is in use. Whatever is told or
// asked of one is so of all: there is no other place that judges them.
func (c *Config) secrets() []secret {
	var list []secret
	if c.Hooks.URL != "" || c.Hooks.Secret != "" {
		list = append(list, secret{"hooks.secret", "", c.Hooks.Secret, true})
	}
	for _, id := range slices.Sorted(maps.Keys(c.Cores.Keys)) {
		list = append(list, secret{"cores.keys", fmt.Sprintf("the password of %q ", id), c.Cores.Keys[id], true})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tenants)) {
		t := c.Tenants[name]
		if t.Token == TokenRequire || t.Secret != "" {
			list = append(list, secret{"tenants", name + ": secret ", t.Secret, true})
		}
		if t.APIToken != "" {
			list = append(list, secret{"tenants", name + ": api_token ", t.APIToken, true})
		}
	}
	for _, s := range c.TURN.Secrets {
		list = append(list, secret{"turn.secrets", "", s, true})
	}
	for _, name := range slices.Sorted(maps.Keys(c.TURN.Users)) {
		list = append(list, secret{"turn.users", fmt.Sprintf("the password of %q ", name), c.TURN.Users[name], false})
	}
	if c.Admin.Token != "" {
		list = append(list, secret{"admin.token", "", c.Admin.Token, c.reachable()})
	}
	return list
}

// reachable tells whether the admin listener can be reached from other machines: by
// itself, or by a proxy.
func (c *Config) reachable() bool {
	l := c.Admin.Listen
	return l.IsValid() && (!l.Addr().IsLoopback() || len(c.Admin.Hosts) > 0)
}

var (
	// unexpanded is what a template leaves where nobody filled it in.
	unexpanded = regexp.MustCompile(`^\s*(\$\{[^}]*\}|\$\([^)]*\)|\$[A-Za-z_][A-Za-z0-9_]*|\{\{.*\}\}|<[^<>]+>|%[A-Za-z_]+%|@[A-Za-z_]+@|__[A-Z_]+__)\s*$`)
	// specimens are what manuals have people replace, without what stands between the
	// letters.
	specimens = regexp.MustCompile(`^(changeme|changethis|changeit|replaceme|fixme|todo|secret|mysecret|yoursecret|sharedsecret|password|mypassword|yourpassword|passw0rd|example|default|test|admin|token|1234567890?|12345678|123456|qwerty|x+|0+)+[0-9]*$`)
)

// secrets judges all of them.
func (v *validator) secrets() {
	for _, s := range v.config.secrets() {
		v.secret(s)
	}
}

func (v *validator) secret(s secret) {
	trimmed := strings.TrimSpace(s.value)
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_. ", r) {
			return -1
		}
		return r
	}, strings.ToLower(trimmed))
	switch {
	case s.value == "" && !s.many:
		v.fail(s.key, "%sis empty: anybody could be this user", s.of)
	case trimmed != "" && trimmed != s.value:
		v.fail(s.key, "%sbegins or ends with a line break or space, which whoever has the same secret elsewhere would have to have, too; write it on one line in quotes (in YAML | keeps the break, |- does not)", s.of)
	case unexpanded.MatchString(s.value):
		v.fail(s.key, "%sis a template, as ${SECRET} is, that nobody filled in; the values of this file are taken as they are", s.of)
	case s.many && len(s.value) < minSecret:
		v.fail(s.key, "%shas %d bytes, at least %d are wanted, as from: openssl rand -hex 32", s.of, len(s.value), minSecret)
	case specimens.MatchString(plain) && s.many:
		v.fail(s.key, "%sis an example that everybody knows; make one with: openssl rand -hex 32", s.of)
	case specimens.MatchString(plain):
		v.warn(s.key, "%sis an example that everybody knows", s.of)
	case len(s.value) < shortPassword && s.key == "turn.users":
		v.warn(s.key, "%shas %d bytes: it can be tried out; %d or more are better", s.of, len(s.value), shortPassword)
	}
}

// Warnings tell what is allowed and probably not meant, each an *Error.
func (c *Config) Warnings() []error {
	v := c.judge()
	list := v.warnings
	if c.exposed && len(c.secrets()) > 0 {
		list = append(list, &Error{Origin: Origin{File: c.file}, Problem: "everybody on this machine can read it, and there are secrets in it; chmod o= " + c.file})
	}
	for _, f := range []struct{ key, file string }{{"turn.tls.key", c.TURN.TLS.Key}, {"admin.tls.key", c.Admin.TLS.Key}} {
		if info, err := os.Stat(f.file); f.file != "" && err == nil && readableByAll(info) {
			o, _ := c.Origin(f.key)
			list = append(list, &Error{Origin: o, Key: f.key, Problem: "everybody on this machine can read it; chmod o= " + f.file})
		}
	}
	return list
}

// readableByAll tells whether any user of the machine can read a file. Windows has
// other rules, which its mode does not show.
func readableByAll(info fs.FileInfo) bool {
	const othersRead = 0o004
	return runtime.GOOS != "windows" && info.Mode().Perm()&othersRead != 0
}
