package tenant

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	secret = []byte("0123456789abcdef")
	now    = time.Unix(1_700_000_000, 0)
)

func tenants() *Tenants {
	return New([]Config{
		{Name: "acme", Keys: []string{"k1", "k2"}, Secret: secret, RequireToken: true},
		{Name: "other", Keys: []string{"o"}, Secret: secret},
	})
}

func TestFind(t *testing.T) {
	for app, want := range map[string]string{
		"k1/live": "acme live", "k2": "acme ", "k2/": "acme ", "k1/live/room": "acme live/room", "o/k1": "other k1",
		"live": "default live", "": "default ", "K1/live": "default K1/live", "x/k1": "default x/k1",
	} {
		c, rest := tenants().Find(app)
		if got := c.Name + " " + rest; got != want {
			t.Errorf("%q: %q, want %q", app, got, want)
		}
	}
	if c, _ := New([]Config{{Name: Default, Closed: true}}).Find("live"); !c.Closed {
		t.Error("the default tenant cannot be configured")
	}
	if k := NewKey(); len(k) < 26 || k == NewKey() {
		t.Errorf("key %q", k)
	}
}

func issue(t *testing.T, token Token, key []byte, life time.Duration) string {
	t.Helper()
	text, err := token.Issue(key, now, life)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSpend(t *testing.T) {
	all := tenants()
	acme := all.Named("acme")
	good := issue(t, Token{Tenant: "acme", App: "live", Name: "ann", Pending: 3}, secret, time.Minute)
	dot := strings.LastIndexByte(good, '.')
	// Nobody but the tenant can sign, and one that signs nonsense gets none.
	signed := func(body string) string {
		text := version + base64.RawURLEncoding.EncodeToString([]byte(body))
		return text + "." + base64.RawURLEncoding.EncodeToString(sign(secret, text))
	}
	for _, test := range []struct {
		name, text, app string
		at              time.Duration
		want            error
	}{
		{"none", "", "live", 0, ErrNoToken},
		{"no token", "hello", "live", 0, ErrMalformed},
		{"long", version + strings.Repeat("a", maxToken), "live", 0, ErrMalformed},
		{"cut", good[:dot], "live", 0, ErrMalformed},
		{"no base64", good[:dot] + ".%", "live", 0, ErrMalformed},
		{"changed", good[:dot-1] + "A" + good[dot:], "live", 0, ErrSignature},
		{"another secret", issue(t, Token{Tenant: "acme"}, []byte("another secret!!"), time.Minute), "live", 0, ErrSignature},
		{"another tenant", issue(t, Token{Tenant: "other"}, secret, time.Minute), "live", 0, ErrTenant},
		{"another app", good, "chat", 0, ErrApp},
		{"expired", good, "live", time.Minute, ErrExpired},
		{"too long", good, "live", -MaxLife, ErrTooLong},
		{"no JSON", signed("x"), "live", 0, ErrMalformed},
		{"no ID", signed(`{"tenant":"acme","exp":1700000060}`), "live", 0, ErrMalformed},
		{"good", good, "live", 59 * time.Second, nil},
		{"twice", good, "live", 59 * time.Second, ErrSpent},
	} {
		token, err := all.Spend(now.Add(test.at), acme, test.app, test.text)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		if err == nil && (token.Name != "ann" || token.Pending != 3) {
			t.Errorf("%s: %+v", test.name, token)
		}
	}
	for _, life := range []time.Duration{0, -1, MaxLife + 1} {
		if _, err := (Token{}).Issue(secret, now, life); err == nil {
			t.Errorf("issued for %v", life)
		}
	}
}

// A token cannot be used again as long as it is good, through a reload and
// however many others are used.
func TestSpentStaysSpent(t *testing.T) {
	all := tenants()
	text := issue(t, Token{Tenant: "acme"}, secret, MaxLife)
	if _, err := all.Spend(now, all.Named("acme"), "", text); err != nil {
		t.Fatal(err)
	}
	for at := time.Duration(0); at < MaxLife; at += 10 * time.Second {
		all.Set([]Config{{Name: "acme", Keys: []string{"k1"}, Secret: secret}})
		if _, err := all.Spend(now.Add(at), all.Named("acme"), "", text); !errors.Is(err, ErrSpent) {
			t.Fatalf("after %v: %v", at, err)
		}
	}
	var s spent
	for i := range maxSpent + 10 {
		if err := s.add(now, fmt.Sprint(i)); (err != nil) != (i >= maxSpent) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := s.add(now, "0"); !errors.Is(err, ErrSpent) {
		t.Errorf("forgotten under load: %v", err)
	}
	if err := s.add(now.Add(2*MaxLife), "more"); err != nil {
		t.Errorf("full for good: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	text, err := Token{Tenant: "acme", App: "live"}.Issue(secret, now, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("p1.." + text)
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := open(secret, text); err == nil && token.ID == "" {
			t.Error("a token without ID")
		}
	})
}
