package limit

import (
	"errors"
	"testing"
	"time"
)

// A tenant with a limit of its own has that one, from a reload on as well; others
// have the limit of all tenants.
func TestTenantsOwnBandwidth(t *testing.T) {
	const mbit = 1_000_000
	w := newWorld(Config{Tenant: 2 * mbit, Tenants: map[string]TenantLimits{"large": {Rate: 6 * mbit}}})
	large := w.add(w.open(t, "", "large"), sender{rate: 10 * mbit})
	small := w.add(w.open(t, "", "small"), sender{rate: 10 * mbit})
	rate := func(s *sender, during time.Duration) float64 {
		before := s.bytes
		w.run(during)
		return float64(8*(s.bytes-before)) / during.Seconds() / mbit
	}
	near := func(who string, got, want float64) {
		t.Helper()
		if got < 0.9*want || got > 1.1*want {
			t.Errorf("%s has %.2f Mbit/s, want %.0f", who, got, want)
		}
	}
	w.run(time.Second)
	near("large", rate(large, 2*time.Second), 6)
	near("small", rate(small, 2*time.Second), 2)
	w.c.Reload(Config{Tenant: 2 * mbit, Tenants: map[string]TenantLimits{"small": {Rate: 4 * mbit}}})
	w.run(time.Second)
	near("large, reloaded", rate(large, 2*time.Second), 2)
	near("small, reloaded", rate(small, 2*time.Second), 4)
}

func TestTenantsOwnQuotas(t *testing.T) {
	c := New(Config{Tenants: map[string]TenantLimits{"acme": {Pairs: 1, BytesPerDay: 1}}}, nil)
	open := func(tenant, a, b string) (*Pair, error) {
		return c.Open(start, Splice, Party{Peer: a, Tenant: tenant}, Party{Peer: b, Tenant: tenant})
	}
	wants := func(err error, want QuotaName) {
		t.Helper()
		var quota *QuotaError
		if !errors.As(err, &quota) || quota.Quota != want || quota.Party.Tenant != "acme" {
			t.Errorf("%v, want %v", err, want)
		}
	}
	first, err := open("acme", "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	_, err = open("acme", "c", "d")
	wants(err, QuotaTenant)
	for _, peers := range [][2]string{{"a", "b"}, {"c", "d"}} {
		if _, err := open("other", peers[0], peers[1]); err != nil {
			t.Errorf("another tenant: %v", err)
		}
	}
	first.Forward.Offer(start, 100)
	first.Close(start)
	_, err = open("acme", "a", "b")
	wants(err, QuotaTenantBytes)
	c.Reload(Config{})
	if _, err := open("acme", "a", "b"); err != nil {
		t.Errorf("after the limits are gone: %v", err)
	}
}
