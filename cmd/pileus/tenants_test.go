package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pileus/cmd/pileus/api"
	"pileus/configs"
)

// pours has the initiator send 8 Mbit/s for as long as the test runs, and counts
// what arrives at the target.
func (p *relayedPair) pours() *atomic.Uint64 {
	received, quit := new(atomic.Uint64), make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-quit:
				tick.Stop()
				return
			case <-tick.C:
			}
			for range 5 {
				b := bytes.Repeat([]byte{0xa5}, 1000)
				endSessions[1].Scramble(b)
				_, _ = p.conns[0].WriteToUDPAddrPort(b, p.at[0]) // until the socket closes
			}
		}
	})
	both.Go(func() {
		for b := make([]byte, 2048); ; {
			_ = p.conns[1].SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // of an open socket
			n, _, err := p.conns[1].ReadFromUDPAddrPort(b)
			if err == nil {
				received.Add(uint64(n))
			}
			select {
			case <-quit:
				return
			default:
			}
		}
	})
	p.t.Cleanup(func() { close(quit); both.Wait() })
	return received
}

// A tenant's bandwidth is another from a reload on, of the pairs that are relayed
// already; another tenant's is not. Figures are of the tenants in the configuration,
// and a tenant's token shows its own.
func TestTenantsBandwidthReloads(t *testing.T) {
	const (
		mbit       = 1_000_000
		acmeToken  = "acme-" + testSecret
		otherToken = "other-" + testSecret
	)
	tenants := func(acme string) string {
		return fmt.Sprintf("limits: {tenant: 1mbit}\ntenants: {acme: {keys: [a], %s, splices: 3, bytes_per_day: 1GiB, api_token: %s}, other: {keys: [o], api_token: %s}}\n",
			acme, acmeToken, otherToken)
	}
	n := startLoaded(t, 16, tenants("bandwidth: 500kbit"))
	at := "http://" + n.adminListener.Addr().String()
	main := n.sockets.at(configs.UseMain)[0]
	people := newCrowd(t, 6, main) // of the default tenant, all: its keys are not what is tested
	people.connect()
	var received []*atomic.Uint64
	for i, tenant := range []string{"acme", "other", "default"} {
		p := newRelayedPair(t, main, "of "+tenant)
		p.request.Initiator.Tenant, p.request.Target.Tenant = tenant, tenant
		p.meets(n.relay.Relay, people.members[2*i], people.members[2*i+1])
		received = append(received, p.pours())
	}
	// rates are in Mbit/s, of all pairs, once their limits have settled.
	rates := func() (list [3]float64) {
		time.Sleep(400 * time.Millisecond)
		began := time.Now()
		var before [3]uint64
		for i, r := range received {
			before[i] = r.Load()
		}
		time.Sleep(700 * time.Millisecond)
		for i, r := range received {
			list[i] = float64(8*(r.Load()-before[i])) / time.Since(began).Seconds() / mbit
		}
		return list
	}
	reload := func(acme string) {
		t.Helper()
		text, err := os.ReadFile(n.file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "limits:")
		if err := os.WriteFile(n.file, []byte(head+tenants(acme)), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, body := order(t, at, "POST", "/reload", testSecret, ""); status != 200 || !strings.Contains(body, `"changed":["tenants"]`) {
			t.Fatalf("reload: %d %s", status, body)
		}
	}
	// A machine that is busy elsewhere sends less than it may, and never more.
	within := func(when string, acmeLeast, acmeMost float64) {
		t.Helper()
		got := rates()
		for try := 1; try < 10 && (got[0] < acmeLeast || min(got[1], got[2]) < 0.6); try++ {
			got = rates()
		}
		t.Logf("%s: acme %.2f, other %.2f, default %.2f Mbit/s", when, got[0], got[1], got[2])
		if got[0] < acmeLeast || got[0] > acmeMost {
			t.Errorf("%s: acme has %.2f Mbit/s, want %.2f to %.2f", when, got[0], acmeLeast, acmeMost)
		}
		for _, rate := range got[1:] {
			if rate < 0.6 || rate > 1.2 {
				t.Errorf("%s: a tenant with 1 Mbit/s has %.2f", when, rate)
			}
		}
	}
	within("at first", 0.3, 0.6)
	reload("bandwidth: 4mbit")
	within("with more", 2, 4.6)

	status, body := order(t, at, "GET", "/tenants", testSecret, "")
	var l api.Tenants
	if err := json.Unmarshal([]byte(body), &l); err != nil || status != 200 || len(l.Tenants) != 2 {
		t.Fatalf("%d %s", status, body)
	}
	acme, other := l.Tenants[0], l.Tenants[1]
	if acme.Tenant != "acme" || acme.Pairs != 1 || acme.Opened != 1 || acme.MaxPairs != 3 || acme.MaxRate != 4*mbit || acme.BytesPerDay != 1<<30 ||
		acme.Bytes <= received[0].Load()/2 || acme.BytesToday == 0 || acme.Packets == 0 || acme.Drops == 0 {
		t.Errorf("%+v", acme)
	}
	if other.Tenant != "other" || other.MaxRate != mbit || other.MaxPairs != 0 || other.BytesPerDay != 0 || other.Bytes == 0 || other.Bytes >= acme.Bytes {
		t.Errorf("%+v", other)
	}
	for token, tenant := range map[string][2]string{acmeToken: {"acme", "other"}, otherToken: {"other", "acme"}} {
		if status, body := order(t, at, "GET", "/tenants", token, ""); status != 200 || !strings.Contains(body, `"`+tenant[0]+`"`) || strings.Contains(body, tenant[1]) {
			t.Errorf("to %s: %d %s", tenant[0], status, body)
		}
		if status, _ := fetch(t, at+"/metrics", token); status != 403 {
			t.Errorf("all tenants' metrics to %s: %d", tenant[0], status)
		}
	}
	_, metrics := fetch(t, at+"/metrics", testSecret)
	for _, want := range []string{
		`pileus_tenant_splices{tenant="acme"} 1`, `pileus_tenant_splices_opened_total{tenant="other"} 1`, `pileus_tenant_relay_bytes_total{tenant="acme"} `,
		`pileus_tenant_relay_limit{of="bits_per_second",tenant="acme"} 4e+06`, `pileus_tenant_relay_limit{of="splices",tenant="acme"} 3`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(metrics, `tenant="default"`) {
		t.Error("a tenant that is not configured is a label")
	}
	t.Setenv("PILEUS_TOKEN", acmeToken)
	if code, stdout, stderr := command(t, "tenants", "--node", at); code != exitOK || !strings.Contains(stdout, "4000000") || strings.Contains(stdout, "other") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}

	reload("closed: true") // without a bandwidth of its own
	within("as everybody", 0.6, 1.2)
	n.end()
	if err := <-n.ended; err != nil {
		t.Error(err)
	}
}
