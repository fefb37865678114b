package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pileus/introducer/pairing"
	"pileus/rtmfp/amf"
)

const testSecret = "0123456789abcdef"

// fakeCore is a core server that answers hooks.
type fakeCore struct {
	*httptest.Server
	mu     sync.Mutex
	refuse bool
	heard  []string
}

func newCore(t *testing.T) *fakeCore {
	c := &fakeCore{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		if err := pairing.NewReceiver([]byte(testSecret)).Check(time.Now(), r.Header, body); err != nil {
			t.Error(err)
		}
		var hook struct{ Ask, Event string }
		if err := json.Unmarshal(body, &hook); err != nil {
			t.Error(err)
		}
		if hook.Event != "" {
			c.heard = append(c.heard, hook.Event)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"allow": !c.refuse, "reason": "not today"})
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *fakeCore) told() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.heard, " ")
}

// order calls the API.
func order(t *testing.T, at, method, path, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("never: " + what)
}

// A core beside the node decides over clients and hears of them; what it decides
// and how it is reached changes while the node runs, and nobody loses a session.
func TestBesideACore(t *testing.T) {
	core := newCore(t)
	file := config(t, "")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const rest = "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nlog: {level: error}\n"
	admin := "admin: {listen: '127.0.0.1:0', token: " + testSecret + "}\n"
	hooks := "hooks: {url: '" + core.URL + "', secret: " + testSecret + "}\n"
	write(rest + admin + hooks)
	n := serving(t, "--config", file)
	url, at := "rtmfp://"+n.find(`listening    (127\.0\.0\.1:\d+)/udp`)+"/app", n.find(`admin        (http://127\.0\.0\.1:\d+)/`)

	first := connects(t, url)
	if !first.connected() {
		t.Fatal("refused")
	}
	core.mu.Lock()
	core.refuse = true
	core.mu.Unlock()
	if c := connects(t, url); c.connected() || !strings.Contains(c.why(), "Connect.Rejected") {
		t.Errorf("a client the core does not want: %s", c.why())
	}
	if status, body := order(t, at, "GET", "/peers", testSecret, ""); status != 200 || !strings.Contains(body, `"total":1,`) {
		t.Errorf("peers: %d %s", status, body)
	}

	write(rest + admin + "max_message: 1MiB\n")
	status, body := order(t, at, "POST", "/reload", testSecret, "")
	if status != 200 || !strings.Contains(body, `"hooks.url"`) || !strings.Contains(body, `"restart":["max_message"]`) {
		t.Errorf("reload: %d %s", status, body)
	}
	if c := connects(t, url); !c.connected() {
		t.Error("the core is still asked after it was taken out")
	}
	write("nonsense: 1\n")
	if status, body := order(t, at, "POST", "/reload", testSecret, ""); status != 409 || !strings.Contains(body, "no such key") {
		t.Errorf("reload of nonsense: %d %s", status, body)
	}
	if !first.connected() {
		t.Error("a session was lost by a reload")
	}
	eventually(t, "the core hears of the client", func() bool { return strings.HasPrefix(core.told(), "connect") })
}

// A draining node takes nobody, says so, and ends when all have left.
func TestDrain(t *testing.T) {
	n := serving(t, "--config", config(t, "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nlog: {level: error}\nadmin: {listen: '127.0.0.1:0'}\n"))
	url, at := "rtmfp://"+n.find(`listening    (127\.0\.0\.1:\d+)/udp`)+"/app", n.find(`admin        (http://127\.0\.0\.1:\d+)/`)
	ready := func() int { s, _ := fetch(t, at+"/readyz", ""); return s }
	c := connects(t, url)
	if !c.connected() || ready() != 200 {
		t.Fatal("not ready")
	}
	if s, _ := order(t, at, "DELETE", "/drain", "", ""); s != 404 {
		t.Errorf("no drain called off: %d", s)
	}
	for range 2 {
		if s, body := order(t, at, "POST", "/drain", "", `{"deadline":"1h"}`); s != 204 {
			t.Errorf("drain: %d %s", s, body)
		}
	}
	if connects(t, url).connected() || ready() != 503 {
		t.Error("it takes clients, or says so")
	}
	if s, _ := order(t, at, "DELETE", "/drain", "", ""); s != 204 || ready() != 200 {
		t.Errorf("the drain was not called off: %d", s)
	}
	if s, body := order(t, at, "POST", "/drain", "", `{"deadline":"1h"}`); s != 204 {
		t.Errorf("drain: %d %s", s, body)
	}
	if !c.connected() {
		t.Error("who was here lost its session")
	}
	c.close()
	select {
	case code := <-n.ended:
		n.ended <- code
		if code != exitOK {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end when nobody is left")
	}
}

// What an operator types, against a node that runs.
func TestRemoteCommands(t *testing.T) {
	file := config(t, "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nlog: {level: error}\n"+
		"admin: {listen: '127.0.0.1:0', token: "+testSecret+"}\n"+
		"tenants: {acme: {keys: [k], token: require, secret: "+testSecret+", api_token: acme-token-00000}}\n")
	n := serving(t, "--config", file)
	addr, at := n.find(`listening    (127\.0\.0\.1:\d+)/udp`), n.find(`admin        (http://127\.0\.0\.1:\d+)/`)
	if code, _, stderr := command(t, "status", "--node", at); code != exitFailure || !strings.Contains(stderr, "PILEUS_TOKEN") {
		t.Errorf("without a token: %d %s", code, stderr)
	}
	t.Setenv("PILEUS_TOKEN", testSecret)
	code, token, stderr := command(t, "token", "--config", file, "--app", "live", "--name", "ann", "acme")
	if code != exitOK {
		t.Fatalf("%d %s", code, stderr)
	}
	token = strings.TrimSpace(token)
	c := connects(t, "rtmfp://"+addr+"/k/live", amf.String(token))
	if !c.connected() {
		t.Errorf("a client with a token: %s", c.why())
	}
	ann := c.id.PeerID().String()
	if c := connects(t, "rtmfp://"+addr+"/k/live", amf.String(token)); c.connected() || !strings.Contains(c.why(), "used before") {
		t.Errorf("a client with a used token: %s", c.why())
	}
	for _, test := range []struct {
		args string
		want string
	}{
		{"status", "state          ready"},
		{"peers", `acme    "live"  "ann"`},
		{"peers --json", `"total":1`},
		{"peers " + ann[:6], "round trip"},
		{"peers --timeline " + ann[:6], "nothing yet"},
		{"peers --forget " + ann, ""},
		{"introductions", "STRATEGY"},
		{"reload", "nothing has changed"},
		{"reload --json", `"changed":[]`},
		{"drain --deadline 1h", ""},
		{"status", "draining until"},
		{"drain --cancel", ""},
		{"key add acme --config " + file, ""},
	} {
		args := strings.Fields(test.args)
		if args[0] != "key" {
			args = slices.Insert(args, 1, "--node", at)
		} else {
			args = []string{"key", "add", "--config", file, "acme"}
			test.want = `keys: ["k", "`
		}
		if code, stdout, stderr := command(t, args...); code != exitOK || !strings.Contains(stdout, test.want) {
			t.Errorf("%s: %d %s%s", test.args, code, stdout, stderr)
		}
	}
	if code, _, stderr := command(t, "status", "--node", "http://127.0.0.1:1"); code != exitFailure || !strings.Contains(stderr, "does the node run") {
		t.Errorf("no node: %d %s", code, stderr)
	}
	if code, _, _ := command(t, "status", "--node", "x"); code != exitUsage {
		t.Errorf("no URL: %d", code)
	}
	for args, want := range map[string]int{
		"xyz": exitUsage, "--timeline": exitUsage, "a b": exitUsage, "--timeline --forget " + ann: exitUsage,
		strings.Repeat("0", 63): exitFailure, strings.Repeat("0", 64): exitFailure, "--forget " + ann: exitFailure,
	} {
		if code, _, stderr := command(t, append([]string{"peers", "--node", at}, strings.Fields(args)...)...); code != want {
			t.Errorf("peers %s: %d %s", args, code, stderr)
		}
	}
	t.Setenv("PILEUS_TOKEN", "acme-token-00000")
	if code, stdout, _ := command(t, "peers", "--node", at); code != exitOK || !strings.Contains(stdout, "ann") {
		t.Errorf("a tenant's own: %d %s", code, stdout)
	}
	if code, _, stderr := command(t, "status", "--node", at); code != exitFailure || !strings.Contains(stderr, "operator's token") {
		t.Errorf("a tenant's view of the node: %d %s", code, stderr)
	}
}
