package configs

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// maxKey is the longest developer key, in bytes: it is part of a URI.
const maxKey = 128

// operator checks what ties a node to others: hooks, tenants, cores, the API.
func (v *validator) operator() {
	c := v.config
	if h := c.Hooks; h.URL != "" {
		u, err := url.Parse(h.URL)
		v.check(err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"),
			"hooks.url", "%q is not a URL such as https://core.example/pileus", h.URL)
		v.check(err != nil || u.User == nil && u.RawQuery == "", "hooks.url", "no password and no query belong here: hooks.secret proves who calls")
	}
	v.check(c.Hooks.Timeout > 0, "hooks.timeout", "must be above 0")
	v.check(c.Hooks.Verdict > 0, "hooks.verdict", "must be above 0")
	v.check(c.Hooks.Queue > 0 && c.Hooks.Queue <= 1_000_000, "hooks.queue", "%d is not between 1 and 1000000", c.Hooks.Queue)
	v.tenants()
	for _, id := range slices.Sorted(maps.Keys(c.Cores.Keys)) {
		v.check(id != "" && len(id) <= 255, "cores.keys", "a key ID has 1 to 255 bytes")
	}
	v.check(len(c.Cores.Keys) == 0 || c.Hostname != "", "cores.keys", "core servers register by the name of this node: set hostname")
	v.admin()
}

func (v *validator) tenants() {
	owner, tokens := map[string]string{}, map[string]string{v.config.Admin.Token: "admin.token"}
	for _, name := range slices.Sorted(maps.Keys(v.config.Tenants)) {
		t := v.config.Tenants[name]
		v.check(validTenant(name), "tenants", "%q: a tenant's name has 1 to 64 letters, digits, - or _", name)
		v.check(name != "default" || len(t.Keys) == 0, "tenants", "default is everybody without a key: it has none")
		v.check(name == "default" || len(t.Keys) > 0, "tenants", "%s has no keys; make one with: pileus key add", name)
		for _, k := range t.Keys {
			v.check(k != "" && len(k) <= maxKey && !strings.ContainsAny(k, "/?# "), "tenants", "%s: a key has 1 to %d bytes, without / ? # or spaces", name, maxKey)
			v.check(owner[k] == "", "tenants", "a key belongs to both %s and %s", owner[k], name)
			owner[k] = name
		}
		v.check(t.Peers >= 0 && t.Groups >= 0 && t.Splices >= 0, "tenants", "%s: a limit is not below 0", name)
		if t.APIToken != "" {
			v.check(tokens[t.APIToken] == "", "tenants", "%s has the api_token of %s", name, tokens[t.APIToken])
			tokens[t.APIToken] = name
		}
	}
}

func validTenant(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

func (v *validator) admin() {
	a := v.config.Admin
	v.check((a.TLS.Cert == "") == (a.TLS.Key == ""), "admin.tls", "cert and key go together: one of them is empty")
	if !a.Listen.IsValid() || a.Listen.Addr().IsLoopback() {
		return
	}
	v.check(a.Token != "", "admin.listen", "%v can be reached from other machines; set admin.token", a.Listen)
	v.check(a.TLS.Cert != "" || a.Insecure, "admin.listen",
		"%v can be reached from other machines, and the token would cross the network in the clear; set admin.tls, or admin.insecure if something in front encrypts", a.Listen)
}
