package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// scope is what a caller may see.
type scope struct {
	operator bool
	tenant   string // else
}

// sees reports whether something of a tenant's is in scope. What belongs to no
// tenant is the operator's.
func (s scope) sees(tenant string) bool { return s.operator || tenant != "" && tenant == s.tenant }

// Access says who may call.
type Access struct {
	// Token is the operator's; empty: every caller is the operator, which is for
	// loopback only.
	Token string
	// Tenants are the tokens that show one tenant each, by the tenant's name.
	Tenants map[string]string
	// Hosts are names, without port, by which callers may reach this server
	// beyond its IP addresses and localhost.
	Hosts []string
}

// Guard lets callers in. What it holds may be changed while it does.
type Guard struct{ rules atomic.Pointer[rules] }

// rules keep digests: comparing them tells not even a token's length.
type rules struct {
	open    bool
	token   [sha256.Size]byte
	tenants []tenantRule
	hosts   []string
}

type tenantRule struct {
	name  string
	token [sha256.Size]byte
}

// NewGuard makes one.
func NewGuard(a Access) *Guard {
	g := new(Guard)
	g.Set(a)
	return g
}

// Set changes who may call.
func (g *Guard) Set(a Access) {
	r := &rules{open: a.Token == "", token: sha256.Sum256([]byte(a.Token)), hosts: make([]string, len(a.Hosts))}
	for i, host := range a.Hosts {
		r.hosts[i] = plainHost(host)
	}
	for name, token := range a.Tenants {
		if token != "" {
			r.tenants = append(r.tenants, tenantRule{name, sha256.Sum256([]byte(token))})
		}
	}
	g.rules.Store(r)
}

// refusal is why a request is not taken.
type refusal struct {
	status        int
	code, message string
}

// place refuses requests that a browser was tricked into: a name that points
// here without being ours (DNS rebinding), a page of somebody else's, a token in
// a URL, where logs and histories keep it.
func (g *Guard) place(r *http.Request) *refusal {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = plainHost(strings.Trim(host, "[]"))
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && !slices.Contains(g.rules.Load().hosts, host) {
		return &refusal{http.StatusMisdirectedRequest, "host", "this server does not know itself by that name; list it in admin.hosts"}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		_, from, ok := strings.Cut(origin, "://")
		if !ok || !strings.EqualFold(from, r.Host) {
			return &refusal{http.StatusForbidden, "origin", "a page of another origin may not call this"}
		}
	}
	if s := r.Header.Get("Sec-Fetch-Site"); s != "" && s != "same-origin" && s != "none" {
		return &refusal{http.StatusForbidden, "origin", "a page of another origin may not call this"}
	}
	for name := range r.URL.Query() {
		if n := strings.ToLower(name); strings.Contains(n, "token") || n == "authorization" || n == "api_key" {
			return &refusal{http.StatusBadRequest, "token_in_url", "a token does not belong into a URL, where logs keep it; send it as: Authorization: Bearer TOKEN. Change this one"}
		}
	}
	return nil
}

// plainHost has one form for one name: it has no case, and may end with a full stop.
func plainHost(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// bearer is the token that a request has: the scheme's name has no case, and one or more
// spaces follow (RFC 9110 11.1, 11.4).
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimLeft(token, " "), ok && strings.EqualFold(scheme, "Bearer")
}

// who is the caller's scope.
func (g *Guard) who(r *http.Request) (scope, *refusal) {
	rules := g.rules.Load()
	token, has := bearer(r)
	is := sha256.Sum256([]byte(token))
	same := func(want [sha256.Size]byte) bool { return has && subtle.ConstantTimeCompare(is[:], want[:]) == 1 }
	found := scope{}
	for _, t := range rules.tenants {
		if same(t.token) {
			found = scope{tenant: t.name}
		}
	}
	switch {
	case found.tenant != "":
		return found, nil
	case rules.open && r.Header.Get("Authorization") == "", !rules.open && same(rules.token):
		return scope{operator: true}, nil
	}
	return found, &refusal{http.StatusUnauthorized, "token", "this needs a token: Authorization: Bearer TOKEN"}
}

// Operator guards next for the operator alone.
func (g *Guard) Operator(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refused := g.place(r)
		if refused == nil {
			var s scope
			if s, refused = g.who(r); refused == nil && !s.operator {
				refused = errOperator
			}
		}
		if refused != nil {
			refused.write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var errOperator = &refusal{http.StatusForbidden, "operator", "this is for the operator's token alone"}
