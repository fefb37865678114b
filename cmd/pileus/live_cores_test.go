package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pileus/cmd/pileus/api"
)

// balancer is a node in front of cores with the keys one and two.
type balancer struct{ addr, admin string }

func newBalancer(t *testing.T) balancer {
	t.Helper()
	file := config(t, "listen: ['127.0.0.1:0']\nhostname: lb.example\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nlog: {level: error}\n"+
		"cores: {keys: {one: "+testSecret+", two: "+testSecret+"}}\nadmin: {listen: '127.0.0.1:0'}\n")
	n := serving(t, "--config", file)
	return balancer{n.find(`listening    (127\.0\.0\.1:\d+)/udp`), n.find(`admin        (http://127\.0\.0\.1:\d+)/`)}
}

func (f balancer) cores(t *testing.T) []api.Core {
	t.Helper()
	var l api.Cores
	_, body := order(t, f.admin, "GET", "/cores", "", "")
	if err := json.Unmarshal([]byte(body), &l); err != nil {
		t.Error(err)
	}
	return l.Cores
}

// core starts a core server of another implementation, which registers.
func (f balancer) core(t *testing.T, port int, key string) *live {
	t.Helper()
	return reference(t, "tcserver", "-H", "-S", "-B", fmt.Sprintf("127.0.0.1:%d", port), "-L", "lb.example@"+f.addr, "-l", key)
}

// client starts a client that plays the stream "live".
func (f balancer) client(t *testing.T) *live {
	t.Helper()
	return reference(t, "tcconn", "-H", "-S", "-v", "rtmfp://"+f.addr+"/app")
}

// Core servers of another implementation register here, and share the clients.
func TestLiveCores(t *testing.T) {
	referenceDir(t)
	f := newBalancer(t)
	first := freeRow(t, 3)
	for i, key := range []string{"one:" + testSecret, "two:" + testSecret, "one:wrong-password-000"} {
		f.core(t, first+i, key)
	}
	eventually(t, "both register", func() bool { return len(f.cores(t)) == 2 })
	for range 4 {
		f.client(t).await(t, `NetConnection\.Connect\.Success`)
	}
	var keys []string
	for _, c := range f.cores(t) {
		keys = append(keys, c.KeyID)
		if c.Sent == 0 {
			t.Errorf("%s got no client", c.KeyID)
		}
	}
	if got := strings.Join(keys, " "); got != "one two" && got != "two one" {
		t.Errorf("registered by %s", got)
	}
}

// Clients publish and play at a core they find through the node; another that is
// killed while it has the least load keeps new ones for a few seconds at most.
func TestLiveCoreKilled(t *testing.T) {
	referenceDir(t)
	f := newBalancer(t)
	f.core(t, freeRow(t, 1), "one:"+testSecret)
	eventually(t, "one registers", func() bool { return len(f.cores(t)) == 1 })
	flv := filepath.Join(t.TempDir(), "live.flv")
	if err := os.WriteFile(flv, someFLV(25*30), 0o600); err != nil {
		t.Fatal(err)
	}
	publisher := reference(t, "tcpublish", "-H", "-S", "-v", "rtmfp://"+f.addr+"/app#live", flv)
	publisher.await(t, `NetStream\.Publish\.Start`)
	f.client(t).await(t, `stream onVideo`)

	two := f.core(t, freeRow(t, 1), "two:"+testSecret)
	eventually(t, "two registers", func() bool { return len(f.cores(t)) == 2 })
	if err := two.process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	var clients []*live
	for range 4 {
		clients = append(clients, f.client(t))
	}
	for _, c := range clients {
		c.await(t, `stream onVideo`)
	}
	took := time.Since(killed)
	t.Logf("%d new clients play %v after the kill", len(clients), took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("new clients play after %v, want within 10 s", took)
	}
	sent := map[string]uint64{}
	for _, c := range f.cores(t) {
		sent[c.KeyID] = c.Sent
	}
	if sent["two"] == 0 || sent["one"] < 6 {
		t.Errorf("clients sent to cores: %v; want some to the dead one, and then all to the other", sent)
	}
}
