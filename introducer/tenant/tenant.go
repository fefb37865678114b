// Package tenant tells whose client a connect is: by the developer key in its
// URI, as Cirrus had them, and by a token where a tenant wants one.
//
// A key is an identifier: it travels under a key that everybody knows, and who
// sees it can use it. A token is a secret; it travels inside the session, is good
// once, and for minutes.
package tenant

import (
	"crypto/rand"
	"strings"
)

// Default is the tenant of clients that bring no key.
const Default = "default"

// Config is one tenant.
type Config struct {
	Name         string
	Keys         []string // first part of the application's path
	Closed       bool     // none of its clients are taken
	RequireToken bool
	Secret       []byte // tokens are signed with it
	MaxPeers     int    // at once; 0: any number
	MaxGroups    int    // NetGroups at once; 0: any number
}

// Tenants are all there are. Use them from one goroutine.
type Tenants struct {
	byName map[string]*Config
	byKey  map[string]*Config
	spent  spent
}

// New makes Tenants. Keys belong to one tenant each.
func New(list []Config) *Tenants {
	t := new(Tenants)
	t.Set(list)
	return t
}

// Set replaces all tenants. Tokens that were used stay so.
func (t *Tenants) Set(list []Config) {
	t.byName, t.byKey = make(map[string]*Config, len(list)+1), make(map[string]*Config)
	t.byName[Default] = &Config{Name: Default}
	for i := range list {
		c := list[i]
		t.byName[c.Name] = &c
		for _, k := range c.Keys {
			t.byKey[k] = &c
		}
	}
}

// Find gives the tenant of an application's path, and the path without its key.
// A path that begins with no key is the default tenant's.
func (t *Tenants) Find(app string) (c Config, rest string) {
	key, rest, _ := strings.Cut(app, "/")
	if c := t.byKey[key]; c != nil {
		return *c, rest
	}
	return *t.byName[Default], app
}

// Named is the tenant of that name; the zero Config if it is no more.
func (t *Tenants) Named(name string) Config {
	if c := t.byName[name]; c != nil {
		return *c
	}
	return Config{}
}

// NewKey makes a developer key: 128 bits that nobody guesses, to be written in
// URIs.
func NewKey() string { return strings.ToLower(rand.Text()) }
